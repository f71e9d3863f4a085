package memcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"sluice/cachesync/pipeline"
)

// lines is a call whose reply is read line by line until one of the ends.
type lines struct {
	pipeline.Call
	ends []string
	out  []string
}

func (l *lines) ReadReply(r *pipeline.Reader) error {
	for {
		line, err := r.Line()
		if err != nil {
			return err
		}
		l.out = append(l.out, string(line))
		for _, end := range l.ends {
			if bytes.HasPrefix(line, []byte(end)) {
				return nil
			}
		}
	}
}

func (*lines) Recycle() {}

func (c *Client) command(ctx context.Context, addr, command string, ends ...string) ([]string, error) {
	n := c.byAddr[addr]
	if n == nil {
		return nil, fmt.Errorf("%w: no node %s", ErrNoServers, addr)
	}
	l := &lines{ends: append(ends, "ERROR", "CLIENT_ERROR", "SERVER_ERROR")}
	l.Init(l)
	l.Req = append(l.Req, command...)
	defer l.Release()
	if err := n.pipe.Do(ctx, &l.Call, 1); err != nil {
		return nil, err
	}
	if err := replyError([]byte(l.out[len(l.out)-1])); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", addr, strings.TrimSpace(command), err)
	}
	return l.out, nil
}

// NodeStats asks a node for its "stats", by name.
func (c *Client) NodeStats(ctx context.Context, addr string) (map[string]string, error) {
	out, err := c.command(ctx, addr, "stats\r\n", "END")
	if err != nil {
		return nil, err
	}
	stats := make(map[string]string, len(out))
	for _, line := range out {
		if f := strings.SplitN(line, " ", 3); len(f) == 3 && f[0] == "STAT" {
			stats[f[1]] = f[2]
		}
	}
	return stats, nil
}

// Health is the part of a node's stats that tells of its data.
type Health struct {
	PID, Uptime                 int64
	Items, Bytes, LimitBytes    int64
	Evictions, Flushes, Expired int64
	Gets, Hits                  int64
}

// NodeHealth reads Health from a node.
func (c *Client) NodeHealth(ctx context.Context, addr string) (Health, error) {
	s, err := c.NodeStats(ctx, addr)
	if err != nil {
		return Health{}, err
	}
	n := func(name string) int64 {
		v, _ := strconv.ParseInt(s[name], 10, 64)
		return v
	}
	return Health{
		PID: n("pid"), Uptime: n("uptime"), Items: n("curr_items"), Bytes: n("bytes"), LimitBytes: n("limit_maxbytes"),
		Evictions: n("evictions"), Flushes: n("cmd_flush"), Expired: n("expired_unfetched"), Gets: n("cmd_get"), Hits: n("get_hits"),
	}, nil
}

// FlushNode empties a node.
func (c *Client) FlushNode(ctx context.Context, addr string) error {
	_, err := c.command(ctx, addr, "flush_all\r\n", "OK")
	return err
}

// MustEmpty says that nothing of what a node holds may be read any more: it missed a write for
// good, or FlushNode failed. Its connections are opened anew, and whichever is first empties it,
// now or when it is back.
func (c *Client) MustEmpty(addr string) {
	n := c.byAddr[addr]
	if n == nil {
		return
	}
	n.mu.Lock()
	n.owed = true
	n.mu.Unlock()
	n.pipe.Reset(errOwed)
}

var errOwed = errors.New("to be emptied")
