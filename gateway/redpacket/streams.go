package redpacket

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/gateway/ledger"
)

// event is one entry of a win stream: a win, a close, or a move to another part.
type event struct {
	pos    ledger.Position
	prev   uint64 // seq of the event before it in the bucket
	win    ledger.Win
	end    ledger.Close
	move   ledger.Move // From is for the reader to set: the stream's bucket
	isEnd  bool
	isMove bool
}

// redPacket is whom it is about.
func (e *event) redPacket() string {
	switch {
	case e.isEnd:
		return e.end.RedPacket
	case e.isMove:
		return e.move.RedPacket
	}
	return e.win.RedPacket
}

// streamReader reads one stream of each bucket from positions of its own.
type streamReader struct {
	client redis.UniversalClient
	sleep  func(ctx context.Context, d time.Duration) error
	stream [Buckets]string
	block  time.Duration
	count  int64
}

// read returns what stands behind from in each bucket; a bucket with an empty from is left
// out. On one Redis that is one blocking XREAD; on a cluster, where no command may touch
// two buckets, a pipeline of XREADs that do not block, and a short sleep when it brings nothing.
func (r *streamReader) read(ctx context.Context, from *[Buckets]string) (out [Buckets][]redis.XMessage, any bool, err error) {
	if cluster, ok := r.client.(*redis.ClusterClient); ok {
		return r.readCluster(ctx, cluster, from)
	}
	args := &redis.XReadArgs{Count: r.count, Block: r.block}
	byName := map[string]int{}
	for b, f := range from {
		if f != "" {
			args.Streams = append(args.Streams, r.stream[b])
			byName[r.stream[b]] = b
		}
	}
	if len(args.Streams) == 0 {
		return out, false, r.sleep(ctx, r.block)
	}
	for b := range from {
		if from[b] != "" {
			args.Streams = append(args.Streams, from[b])
		}
	}
	res, err := r.client.XRead(ctx, args).Result()
	if errors.Is(err, redis.Nil) {
		return out, false, nil
	}
	for _, s := range res {
		out[byName[s.Stream]] = s.Messages
		any = any || len(s.Messages) > 0
	}
	return out, any, err
}

func (r *streamReader) readCluster(ctx context.Context, c *redis.ClusterClient, from *[Buckets]string) (out [Buckets][]redis.XMessage, any bool, err error) {
	pipe := c.Pipeline()
	var cmds [Buckets]*redis.XStreamSliceCmd
	for b, f := range from {
		if f != "" {
			cmds[b] = pipe.XRead(ctx, &redis.XReadArgs{Streams: []string{r.stream[b], f}, Count: r.count, Block: -1})
		}
	}
	pipe.Exec(ctx) // each command has its own error
	for b, cmd := range cmds {
		if cmd == nil {
			continue
		}
		if e := cmd.Err(); e != nil {
			if !errors.Is(e, redis.Nil) {
				err = e // the buckets of other nodes are served all the same
			}
			continue
		}
		for _, s := range cmd.Val() {
			out[b] = s.Messages
			any = any || len(s.Messages) > 0
		}
	}
	if !any && err == nil {
		err = r.sleep(ctx, min(r.block, 10*time.Millisecond))
	}
	if any {
		err = nil
	}
	return out, any, err
}

// sleep waits, or ends with the context.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errEvent = errors.New("redpacket: an entry of a win stream does not read as an event")

// parseEvent reads an entry of a win stream.
func parseEvent(m redis.XMessage) (e event, err error) {
	id, err := changelog.ParseID(m.ID)
	if err != nil {
		return e, err
	}
	e.pos = ledger.Position{Epoch: id.Epoch, Seq: id.Seq}
	bad := false
	get := func(name string) string {
		s, _ := m.Values[name].(string)
		return s
	}
	num := func(name string) int64 {
		n, err := strconv.ParseInt(get(name), 10, 64)
		bad = bad || err != nil
		return n
	}
	e.prev = uint64(num("p"))
	at := time.UnixMilli(num("t")).UTC()
	switch get("e") {
	case "give":
		e.isMove = true
		e.move = ledger.Move{RedPacket: get("i"), To: int(num("b")), First: int(num("f")), Count: int(num("l")), Amount: num("a"),
			At: at, Epoch: id.Epoch, Seq: id.Seq}
	case "close":
		e.isEnd = true
		e.end = ledger.Close{RedPacket: get("i"), Left: num("a"), LeftShares: int(num("l")), At: at,
			Epoch: id.Epoch, Seq: id.Seq, Reason: get("r")}
	default:
		e.win = ledger.Win{RedPacket: get("i"), Share: int(num("s")), UID: get("u"), N: ledgerN(get("n")), Amount: num("a"),
			Prize: get("z"), At: at, Epoch: id.Epoch, Seq: id.Seq}
	}
	if bad || e.redPacket() == "" {
		return e, fmt.Errorf("%w: %s %v", errEvent, m.ID, m.Values)
	}
	return e, nil
}

// ledgerN: the ledger calls the only draw of a uid "1".
func ledgerN(n string) string {
	if n == "" {
		return "1"
	}
	return n
}
