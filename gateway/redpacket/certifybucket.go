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
	"sluice/gateway/redpacket/script"
)

// bucket certifies one bucket up to, but not including, the loading of the scripts.
func (c *Certifier) bucket(ctx context.Context, b int, l ledger.Bucket, set *script.Set, spreads []ledger.RedPacket) (BucketReport, error) {
	r := BucketReport{Bucket: b}
	k := &c.h.keys[b]
	why, atLeast, err := c.lost(ctx, b, l, spreads)
	if err != nil {
		return r, err
	}
	if _, r.Why, err = changelog.RaiseKnown(ctx, c.h.control, b, set.Epoch, atLeast, why, knownOf(l)); err != nil {
		return r, err
	}
	r.Lost = r.Why != ""
	from := l.Epoch
	for try := 1; ; try++ {
		if l, err = c.record(ctx, b, l, set, spreads, &r); err == nil {
			break
		}
		if try == 3 || r.Lost || !errors.Is(err, ledger.ErrFenced) && !errors.Is(err, ledger.ErrGap) {
			return r, err
		}
		// A settler posted meanwhile what it had read before. That may be of a Redis that was put
		// back since: then this one has lost it.
		known, err := c.Ledger.Positions(ctx, int(c.h.home))
		if err != nil {
			return r, fmt.Errorf("reading positions: %w", err)
		}
		l = known[b]
		why, _, err := c.lost(ctx, b, l, spreads)
		if err == nil && (why != "" || l.Epoch != from) {
			err = fmt.Errorf("redpacket: the ledger moved to epoch %d, position %v during the certification: %s", l.Epoch, l.Position, why)
		}
		if err != nil {
			return r, err
		}
	}
	if r.Lost {
		err = c.call(ctx, set, script.Rechain, k.base(changelog.MendKey(b)), strconv.FormatUint(l.Position.Seq, 10))
	}
	return r, err
}

// record posts the tail, writes again what Redis lost, and puts the certificate into the ledger.
func (c *Certifier) record(ctx context.Context, b int, l ledger.Bucket, set *script.Set, spreads []ledger.RedPacket, r *BucketReport) (ledger.Bucket, error) {
	l, err := c.tail(ctx, b, l, r)
	if err != nil {
		return l, err
	}
	r.Restored, r.Quarantined = 0, nil
	if r.Lost {
		if err := c.load(ctx, set, []int{b}, script.Name.Mending); err != nil {
			return l, err
		}
		if err := c.restore(ctx, b, set, r, spreads); err != nil {
			return l, err
		}
	}
	if l.Epoch == set.Epoch { // the embedded house goes on in the same one
		return l, nil
	}
	return l, c.Ledger.Certify(ctx, ledger.Certificate{Home: int(c.h.home), Bucket: b, Who: c.Who,
		At: c.h.now().UTC().Truncate(time.Millisecond), FromEpoch: l.Epoch, ToEpoch: set.Epoch, Position: l.Position,
		Posted: r.Posted, Quarantined: r.Quarantined, Note: r.Why})
}

// lost finds out whether Redis has forgotten something, and up to which seq it had counted.
func (c *Certifier) lost(ctx context.Context, b int, l ledger.Bucket, spreads []ledger.RedPacket) (why string, atLeast uint64, err error) {
	k := &c.h.keys[b]
	vals, err := c.h.control.HMGet(ctx, k.meta, "epoch", "seq", "win").Result()
	if err != nil {
		return "", 0, scriptError(err)
	}
	num := func(i int) uint64 {
		s, _ := vals[i].(string)
		n, _ := strconv.ParseUint(s, 10, 64)
		return n
	}
	atLeast = l.Position.Seq
	if c.Evidence != nil {
		seen, err := c.Evidence(ctx, b)
		if err != nil {
			return "", 0, fmt.Errorf("asking for evidence: %w", err)
		}
		if atLeast = max(atLeast, seen); seen > num(1) {
			why = fmt.Sprintf("others have seen seq %d, Redis has %d", seen, num(1))
		}
	}
	mend, err := c.h.control.Get(ctx, changelog.MendKey(b)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", 0, scriptError(err)
	}
	switch {
	case mend != "":
		why = mend
	case vals[0] == nil && l.Epoch != 0:
		why = "Redis is empty"
	case vals[0] == nil:
		// A bucket that never was: unless the ledger knows of red packets in it.
		err := c.Ledger.EachRedPacket(ctx, ledger.Filter{Homes: []int{int(c.h.home)}, Buckets: []int{b}},
			func(ledger.RedPacket) error { why = "Redis is empty"; return ledger.Stop })
		if err != nil {
			return "", 0, err
		}
	case num(0) < l.Epoch:
		why = fmt.Sprintf("Redis is of epoch %d, the ledger certified %d", num(0), l.Epoch)
	case num(2) < l.Position.Seq:
		why = fmt.Sprintf("Redis knows wins up to seq %d, the ledger up to %d", num(2), l.Position.Seq)
	}
	if why != "" {
		return why, atLeast, nil
	}
	if why, err = c.absent(ctx, b); why == "" && err == nil {
		why, err = c.absentPart(ctx, b, spreads)
	}
	return why, atLeast, err
}

// absent looks for a red packet that the ledger knows as alive and Redis does not know.
func (c *Certifier) absent(ctx context.Context, b int) (why string, err error) {
	pipe := c.h.control.Pipeline()
	var ids []string
	var cmds []*redis.IntCmd
	err = c.Ledger.EachRedPacket(ctx, ledger.Filter{Homes: []int{int(c.h.home)}, Buckets: []int{b},
		States: []string{ledger.Unpaid, ledger.Funded}}, func(row ledger.RedPacket) error {
		ids = append(ids, row.ID)
		cmds = append(cmds, pipe.Exists(ctx, c.h.keys[b].rp(row.ID)))
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("reading red packets: %w", err)
	}
	if len(ids) == 0 {
		return "", nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return "", scriptError(err)
	}
	for i, cmd := range cmds {
		if cmd.Val() == 0 {
			return fmt.Sprintf("Redis does not know red packet %s", ids[i]), nil
		}
	}
	return "", nil
}

// tail posts what stands in the win stream behind the ledger's position.
func (c *Certifier) tail(ctx context.Context, b int, l ledger.Bucket, r *BucketReport) (ledger.Bucket, error) {
	if err := c.stale(ctx, b, l, r); err != nil {
		return l, err
	}
	s := Settler{SettlerConfig: SettlerConfig{House: c.h, Ledger: c.Ledger}, h: c.h}
	for {
		messages, err := c.h.control.XRangeN(ctx, c.h.keys[b].win, "("+l.Position.String(), "+", 5000).Result()
		if err != nil {
			return l, scriptError(err)
		}
		if len(messages) == 0 {
			return l, nil
		}
		s.pos[b] = l.Position
		batches, err := s.batches(b, messages)
		if len(batches) == 0 && err != nil {
			return l, fmt.Errorf("%w: %w; post by hand what it says, then trim the stream", ErrFrozen, err)
		}
		if len(batches) == 0 {
			// A settler may have posted and trimmed them since the position was read.
			known, err := c.Ledger.Positions(ctx, int(c.h.home))
			if err != nil {
				return l, fmt.Errorf("reading positions: %w", err)
			}
			if now := known[b].Position; l.Position.Before(now) {
				l.Position = now
				continue
			}
			return l, fmt.Errorf("%w: the win stream goes on at %s, the ledger is at %s: events between them are missing; "+
				"reconcile the bucket's red packets, correct the ledger, then trim the stream", ErrFrozen, messages[0].ID, l.Position)
		}
		if err := c.Ledger.Settle(ctx, batches); err != nil {
			if len(ledger.FreezeErrors(err)) > 0 {
				err = fmt.Errorf("%w: %w", ErrFrozen, err)
			}
			return l, fmt.Errorf("posting the tail of the win stream: %w", err)
		}
		for _, batch := range batches {
			r.Posted += len(batch.Wins) + len(batch.Closes)
			l.Position = batch.To
		}
		if l.Epoch == 0 {
			l.Epoch = l.Position.Epoch
		}
	}
}

// stale drops the events of an epoch before the certified one from the win stream: a Redis was
// put back that had been given up. Their shares are quarantined since; what the events say is
// logged, for the operator who releases them.
func (c *Certifier) stale(ctx context.Context, b int, l ledger.Bucket, r *BucketReport) error {
	if l.Epoch == 0 {
		return nil
	}
	stream, first := c.h.keys[b].win, fmt.Sprintf("%d-0", l.Epoch)
	for after := l.Position.String(); ; {
		messages, err := c.h.control.XRangeN(ctx, stream, "("+after, "("+first, 1000).Result()
		if err != nil {
			return scriptError(err)
		}
		if len(messages) == 0 {
			break
		}
		for _, m := range messages {
			after = m.ID
			r.Stale++
			c.Log.Error("certify: a win of a Redis that had been given up; its share is quarantined: release it by hand",
				"bucket", b, "id", m.ID, "event", fmt.Sprint(m.Values))
		}
	}
	if r.Stale == 0 {
		return nil
	}
	return scriptError(c.h.control.XTrimMinID(ctx, stream, first).Err())
}

// call runs a script of the new epoch, while nobody else can.
func (c *Certifier) call(ctx context.Context, set *script.Set, name script.Name, keys []string, args ...string) error {
	_, err := GoRedis{c.h.control}.EvalSHA(ctx, set.SHA(name), keys, args, nil)
	if err != nil {
		return fmt.Errorf("script %s: %w", name, err)
	}
	return nil
}
