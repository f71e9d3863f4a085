package redpacket

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/cachesync/resp"
)

// Backend runs a script in the bucket's Redis by EVALSHA and appends the reply, one text,
// to dst. The first key picks the node of a cluster.
//
// Its errors say what happened: ErrFenced means that nothing ran. Any other error means
// that it is not known whether the script ran; calling it again is safe, because every
// script remembers what it answered.
type Backend interface {
	EvalSHA(ctx context.Context, sha string, keys, args []string, dst []byte) ([]byte, error)
}

// scriptError sorts the errors of Redis.
func isFenced(err error) bool { return errors.Is(err, ErrFenced) }

func scriptError(err error) error {
	if err == nil {
		return nil
	}
	msg := strings.TrimPrefix(err.Error(), "redis: ")
	switch {
	case strings.HasPrefix(msg, "NOSCRIPT"), strings.HasPrefix(msg, changelog.Fenced), strings.Contains(msg, changelog.Fenced+" script"):
		return fmt.Errorf("%w: %v", ErrFenced, msg)
	case strings.HasPrefix(msg, "LOADING"), strings.HasPrefix(msg, "READONLY"), strings.HasPrefix(msg, "MASTERDOWN"),
		strings.HasPrefix(msg, "CLUSTERDOWN"), strings.HasPrefix(msg, "TRYAGAIN"):
		return Later(time.Second, err)
	case strings.Contains(msg, "BROKEN "):
		return fmt.Errorf("%w: %v", ErrFrozen, msg)
	case strings.HasPrefix(msg, "NOTSENT"), strings.HasPrefix(msg, "UNKNOWN"): // says a relay of the home behind it
		return Later(time.Second, err)
	}
	return Later(200*time.Millisecond, err)
}

// GoRedis is a Backend on go-redis, for control work and tests. The client must not resend
// by itself: set MaxRetries to -1.
type GoRedis struct{ Client redis.UniversalClient }

// EvalSHA implements Backend.
func (g GoRedis) EvalSHA(ctx context.Context, sha string, keys, args []string, dst []byte) ([]byte, error) {
	cmd := make([]any, 0, 3+len(keys)+len(args))
	cmd = append(cmd, "evalsha", sha, len(keys))
	for _, k := range keys {
		cmd = append(cmd, k)
	}
	for _, a := range args {
		cmd = append(cmd, a)
	}
	res := redis.NewCmd(ctx, cmd...)
	res.SetFirstKeyPos(3)
	g.Client.Process(ctx, res)
	text, err := res.Text()
	if err != nil {
		return dst, scriptError(err)
	}
	return append(dst, text...), nil
}

// Pipelined is a Backend on the pipelined client, for the draw.
type Pipelined struct {
	client *resp.Client
	cmds   sync.Pool
}

// NewPipelined makes a Backend on a pipelined client.
func NewPipelined(c *resp.Client) *Pipelined {
	return &Pipelined{client: c, cmds: sync.Pool{New: func() any { return new(resp.Cmd) }}}
}

// EvalSHA implements Backend.
func (p *Pipelined) EvalSHA(ctx context.Context, sha string, keys, args []string, dst []byte) ([]byte, error) {
	cmd := p.cmds.Get().(*resp.Cmd)
	cmd.Reset("EVALSHA").Arg(sha).Int(int64(len(keys)))
	for _, k := range keys {
		cmd.Key(k)
	}
	for _, a := range args {
		cmd.Arg(a)
	}
	err := p.client.Do(ctx, cmd)
	if err == nil {
		dst = append(dst, cmd.Reply.Bytes...)
	}
	p.cmds.Put(cmd)
	return dst, scriptError(err)
}
