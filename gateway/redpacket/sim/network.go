package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

var (
	errLost    = errors.New("sim: i/o timeout")
	errRefused = errors.New("sim: connection refused")
)

// crash ends a role in the middle of what it does.
type crash struct{}

// link is a go-redis hook that stands in for network and server: no connection is made.
type link struct {
	w *World
	// chances of one command, in percent
	loseRequest, loseReply, late, twice int
	// die is how many commands the role still makes; negative: it lives
	die int
}

func newClient(l *link) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", MaxRetries: -1, Protocol: 2, MinIdleConns: 0,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		Dialer:                   func(context.Context, string, string) (net.Conn, error) { return nil, errRefused }})
	c.AddHook(l)
	return c
}

func (l *link) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *link) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		l.step()
		return l.process(cmd)
	}
}

func (l *link) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		l.step()
		var first error
		for _, c := range cmds {
			if err := l.process(c); err != nil && first == nil {
				first = err
			}
		}
		return first
	}
}

// step lets the role die here.
func (l *link) step() {
	if l.die < 0 {
		return
	}
	if l.die--; l.die < 0 {
		l.die = 0 // its deferred calls do not get through either
		panic(crash{})
	}
}

func (l *link) process(cmd redis.Cmder) error {
	raw := cmd.Args()
	args := make([]string, len(raw))
	for i, a := range raw {
		switch a := a.(type) {
		case string:
			args[i] = a
		case int:
			args[i] = strconv.Itoa(a)
		default:
			args[i] = fmt.Sprint(a)
		}
	}
	w := l.w
	chance := func(percent int) bool { return !w.calm && percent > 0 && w.rng.IntN(100) < percent }
	fail := func() error {
		cmd.SetErr(errLost)
		return errLost
	}
	switch {
	case chance(l.loseRequest):
		return fail()
	case chance(l.late):
		w.late = append(w.late, args) // it arrives some time, when nobody waits any more
		return fail()
	}
	if chance(l.twice) {
		w.redis.do(args...)
	}
	reply := w.redis.do(args...)
	if chance(l.loseReply) {
		return fail()
	}
	err := deliver(cmd, reply)
	if err != nil {
		cmd.SetErr(err)
	}
	return err
}

// deliver gives a reply to the kind of command that waits for it.
func deliver(cmd redis.Cmder, reply any) error {
	if e, ok := reply.(errReply); ok {
		return redisError(e)
	}
	switch c := cmd.(type) {
	case *redis.Cmd:
		if reply == nil {
			return redis.Nil
		}
		c.SetVal(reply)
	case *redis.StringCmd:
		if reply == nil {
			return redis.Nil
		}
		c.SetVal(fmt.Sprint(reply))
	case *redis.StatusCmd:
		c.SetVal(fmt.Sprint(reply))
	case *redis.BoolCmd:
		c.SetVal(reply != nil)
	case *redis.IntCmd:
		n, _ := reply.(int64)
		c.SetVal(n)
	case *redis.SliceCmd:
		list, _ := reply.([]any)
		c.SetVal(list)
	case *redis.StringSliceCmd:
		list, _ := reply.([]any)
		texts := make([]string, len(list))
		for i, x := range list {
			texts[i] = x.(string)
		}
		c.SetVal(texts)
	case *redis.MapStringStringCmd:
		list, _ := reply.([]any)
		m := map[string]string{}
		for i := 0; i+1 < len(list); i += 2 {
			m[list[i].(string)] = list[i+1].(string)
		}
		c.SetVal(m)
	case *redis.XMessageSliceCmd:
		c.SetVal(messages(reply))
	case *redis.XStreamSliceCmd:
		if reply == nil {
			return redis.Nil
		}
		var out []redis.XStream
		for _, s := range reply.([]any) {
			pair := s.([]any)
			out = append(out, redis.XStream{Stream: pair[0].(string), Messages: messages(pair[1])})
		}
		c.SetVal(out)
	default:
		return fmt.Errorf("sim: a reply for %T", cmd)
	}
	return nil
}

func messages(reply any) (out []redis.XMessage) {
	list, _ := reply.([]any)
	for _, e := range list {
		pair := e.([]any)
		m := redis.XMessage{ID: pair[0].(string), Values: map[string]any{}}
		fields := pair[1].([]any)
		for i := 0; i+1 < len(fields); i += 2 {
			m.Values[fields[i].(string)] = fields[i+1]
		}
		out = append(out, m)
	}
	return out
}

// redisError is what go-redis makes of an error reply.
type redisError string

func (e redisError) Error() string { return string(e) }

// RedisError marks it for redis.HasErrorPrefix and the like.
func (redisError) RedisError() {}
