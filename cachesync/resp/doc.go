// Package resp is a lean pipelined Redis client for the hot path: commands of
// all goroutines share one connection per node (package pipeline), single node
// or Redis Cluster, RESP2.
//
//	c, err := resp.New(resp.Config{Addrs: []string{"10.0.0.1:6379"}})
//	var cmd resp.Cmd                                  // keep and reuse it
//	cmd.Reset("EVALSHA").Arg(sha).Int(1).Key("{b07}:meta").Arg(uid)
//	err = c.Do(ctx, &cmd)                             // cmd.Reply until the next Reset
//
// A command is NEVER sent twice by the client, since money hangs on it. What an
// error says about the command:
//
//	resp.ReplyError          Redis answered: NOSCRIPT, FENCED, WRONGTYPE, ... (Code)
//	errors.Is(ErrUnknown)    sent, but no reply: it may have run
//	errors.Is(ErrNotSent)    certainly not run: node down, queue full, too late
//
// A cluster's MOVED and ASK are followed: Redis says with them that it did not
// run the command.
//
// Commands that block (XREAD BLOCK, BLPOP) hold up everybody on the connection:
// use a client of their own for them.
//
// A Client may be used from any goroutine, a Cmd from one at a time.
package resp
