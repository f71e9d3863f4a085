// Package goredis makes go-redis clients, for control work, that never send a script twice.
//
// go-redis resends what went unanswered: a single client up to MaxRetries times, which can be
// turned off, and a ClusterClient up to MaxRedirects times, which cannot: MOVED and ASK are
// followed under the same count. So a wrong password would count twice after a stall. Here
// EVAL and EVALSHA are marked as what must not be resent; MOVED and ASK, with which Redis says
// that it did not run the command, are followed all the same.
//
//	rdb := goredis.New(&redis.UniversalOptions{Addrs: seeds, IsClusterMode: true})
//
// Clients may be used from any goroutine.
package goredis

import (
	"context"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

// New makes a client of one Redis, or of a cluster if o.IsClusterMode says so.
func New(o *redis.UniversalOptions) redis.UniversalClient {
	own := *o
	own.MaxRetries = -1
	if !own.IsClusterMode {
		return redis.NewClient(own.Simple())
	}
	c := redis.NewClusterClient(own.Cluster())
	c.AddHook(once{})
	return c
}

// Owner is the node that holds key: of a cluster the master that has it now, else the one there is.
func Owner(ctx context.Context, rdb redis.UniversalClient, key string) (redis.UniversalClient, error) {
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, key)
	}
	return rdb, nil
}

// Masters are the nodes that hold keys: of a cluster all its masters, else the one there is.
func Masters(ctx context.Context, rdb redis.UniversalClient) (list []redis.UniversalClient, err error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		return []redis.UniversalClient{rdb}, nil
	}
	var mu sync.Mutex // they are visited at the same time
	err = cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, node)
		return nil
	})
	return list, err
}

// Scan goes once through the keys of all nodes and gives those that match to f, in pieces of about
// count; a key may come twice. It ends with the first error, f's too.
func Scan(ctx context.Context, rdb redis.UniversalClient, match string, count int64, f func(keys []string) error) error {
	nodes, err := Masters(ctx, rdb)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		for cursor := uint64(0); ; {
			var keys []string
			if keys, cursor, err = node.Scan(ctx, cursor, match, count).Result(); err != nil {
				return err
			}
			if err := f(keys); err != nil {
				return err
			}
			if cursor == 0 {
				break
			}
		}
	}
	return nil
}

// once is the hook that marks scripts.
type once struct{}

// sentOnce is a command that go-redis does not resend.
type sentOnce struct{ redis.Cmder }

// NoRetry is asked before a command is sent again.
func (sentOnce) NoRetry() bool { return true }

func mark(cmd redis.Cmder) redis.Cmder {
	switch cmd.Name() {
	case "eval", "evalsha":
		return sentOnce{cmd}
	}
	return cmd // among them commands to all nodes, whose types go-redis must recognize
}

// DialHook implements redis.Hook.
func (once) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (once) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return next(ctx, mark(cmd)) }
}

// ProcessPipelineHook implements redis.Hook. One script in a pipeline keeps all of it from
// being sent again.
func (once) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		marked := make([]redis.Cmder, len(cmds))
		for i, cmd := range cmds {
			marked[i] = mark(cmd)
		}
		return next(ctx, marked)
	}
}
