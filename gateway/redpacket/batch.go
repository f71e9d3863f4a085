package redpacket

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"sluice/cachesync/resp"
	"sluice/gateway/redpacket/script"
)

// mostTogether bounds the draws of one call of the script: others wait while it runs, some 10 us a draw.
const mostTogether = 64

// batches makes the draws that come while Redis is busy, from one red packet, by one call of the script: what a
// call costs Redis beside the win itself is the same for one user as for many. A draw that finds fewer
// unanswered calls for its red packet than HomeConfig.Calls is made at once. Others gather until one of those
// is answered, or mostTogether are together. Nobody waits for a timer, and Redis, which answers one
// connection in order, would have kept them waiting too.
//
//	1st draw ----------------> call               under way
//	2nd .. nth draw --> batch ........... > call  when it is answered
type batches struct {
	mu      sync.Mutex
	gather  map[from]gathering
	free    sync.Pool // of *batch
	members sync.Pool
}

// from is what the draws of one batch have in common.
type from struct {
	id      ID
	part    int
	hashes  int64 // winners' hashes as the callers know them
	guarded bool  // by a list or a lock
}

func drawFrom(id ID, uid string, st *State) from {
	return from{id, partOf(uid, st.spread), st.winnerHashes, st.Lock != LockNone || st.Audience == AudienceList}
}

// gathering is what is under way, or waits, from one red packet.
type gathering struct {
	calls   int    // unanswered
	waiting *batch // open to more members, or nil
}

// batch is one call of the script. Its first member leads it.
type batch struct {
	members    []*member
	err        error // why it is not made
	keys, args []string
	space      []byte
	ends       []int
	reply      []byte
}

// member is one draw of a batch.
type member struct {
	uid       string
	fan, pass string
	wake      chan struct{} // tells the leader to make the call, the others that it is answered

	out   Outcome
	again bool
	err   error
}

func (t *batches) init() {
	t.gather = map[from]gathering{}
	t.free.New = func() any { return new(batch) }
	t.members.New = func() any { return &member{wake: make(chan struct{}, 1)} }
}

// join puts m into a batch; lead says that it is for m to make the call, and now that it may at once.
func (t *batches) join(f from, m *member, calls int) (b *batch, lead, now bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gather[f]
	if b = g.waiting; b == nil {
		b, lead = t.free.Get().(*batch), true
		if now = g.calls < calls; now {
			g.calls++
		} else {
			g.waiting = b
		}
	}
	b.members = append(b.members, m)
	if len(b.members) == mostTogether {
		g.start()
	}
	t.gather[f] = g
	return b, lead, now
}

// start lets the waiting batch go.
func (g *gathering) start() {
	g.calls++
	g.waiting.members[0].wake <- struct{}{}
	g.waiting = nil
}

// answered is called when a call is. If the home kept it waiting in vain, whoever waits behind it has waited long enough.
func (t *batches) answered(f from, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.gather[f]
	g.calls--
	if g.waiting != nil {
		if errors.Is(err, resp.ErrTimeout) {
			g.waiting.err = err
		}
		g.start()
	}
	if g.calls == 0 {
		delete(t.gather, f)
	} else {
		t.gather[f] = g
	}
}

// drawTogether makes one draw, in a batch with those of others.
func (d *Home) drawTogether(ctx context.Context, f from, uid, fan, pass string) (out Outcome, again bool, err error) {
	t := &d.batches
	m := t.members.Get().(*member)
	m.uid, m.fan, m.pass = uid, fan, pass
	b, lead, now := t.join(f, m, d.Calls)
	if lead {
		if !now {
			<-m.wake
		}
		err := d.drawBatch(context.WithoutCancel(ctx), f, b) // the others' too: it is not for the leader to end
		t.answered(f, err)
		for i, other := range b.members {
			b.members[i] = nil
			if i > 0 {
				other.wake <- struct{}{}
			}
		}
		b.members = b.members[:0]
		t.free.Put(b)
	} else {
		select {
		case <-m.wake:
		case <-ctx.Done():
			return Outcome{}, false, Later(200*time.Millisecond, ctx.Err()) // m is the leader's still
		}
	}
	out, again, err = m.out, m.again, m.err
	t.members.Put(m)
	return out, again, err
}

// drawBatch runs the script for all members, and fills in what came of it.
func (d *Home) drawBatch(ctx context.Context, f from, b *batch) error {
	bucket := f.id.PartBucket(f.part)
	var reply []byte
	var set *script.Set
	err := b.err
	if err == nil {
		b.request(&d.h.keys[bucket], f, d.Tries)
		reply, set, err = d.h.run(ctx, bucket, script.Draw, b.keys, b.args, b.reply[:0])
		b.reply = reply[:0]
		clear(b.keys)
		clear(b.args)
	}
	b.err = nil
	for _, m := range b.members {
		if err != nil {
			m.out, m.again, m.err = Outcome{}, false, err
			continue
		}
		var line []byte
		line, reply, _ = bytes.Cut(reply, []byte{'\n'})
		m.out, m.again, m.err = parseDraw(script.Draw, line, bucket, set.Epoch)
	}
	return err
}

// request fills in keys and args. What is built for that is one piece of memory.
func (b *batch) request(k *keys, f from, tries int64) {
	s, ends := b.space[:0], b.ends[:0]
	add := func(name string) {
		s = f.id.Append(append(append(s, k.tag...), name...))
		ends = append(ends, len(s))
	}
	rp := ":rp:"
	if f.part > 0 {
		rp = ":rq:" // see keys.part
	}
	add(rp)
	add(":sh:")
	if f.guarded {
		add(":l:")
		add(":pw:")
	}
	for _, m := range b.members {
		add(":w:")
		if f.hashes > 1 {
			s = strconv.AppendInt(append(s, ':'), hashOf(m.uid, f.hashes), 10)
			ends[len(ends)-1] = len(s)
		}
	}
	hashes := len(s)
	s = strconv.AppendInt(s, f.hashes, 10)
	b.space, b.ends = s, ends
	all, at := string(s), 0
	b.keys = append(b.keys[:0], k.meta, k.log, k.win)
	for i, end := range ends {
		b.keys = append(b.keys, all[at:end])
		if at = end; i == 1 && !f.guarded {
			b.keys = append(b.keys, b.keys[3], b.keys[3])
		}
	}
	b.args = append(b.args[:0], all[ends[0]-IDLen:ends[0]], all[hashes:], text64(tries))
	for _, m := range b.members {
		b.args = append(b.args, m.uid, m.fan, m.pass)
	}
}

// DrawAll makes the draws of several users from one lucky or equal red packet as Draw does for users who come at
// the same moment: those who go by the same record by one call. It is for who must say which draws meet, the
// simulator. Each user's outcome or error stands at his place.
func (d *Home) DrawAll(ctx context.Context, id ID, uids []string) ([]Outcome, []error) {
	outs, errs := make([]Outcome, len(uids)), make([]error, len(uids))
	alone := func(i int) { outs[i], errs[i] = d.Draw(ctx, DrawRequest{ID: id, UID: uids[i]}) }
	var order []from
	batches, places := map[from]*batch{}, map[from][]int{}
	for i, uid := range uids {
		seen := new(Seen)
		if err := d.Look(ctx, id, uid, seen); err != nil || !seen.Found {
			alone(i)
			continue
		}
		var ok bool
		if outs[i], ok = seen.Decide(); ok {
			continue
		}
		f := drawFrom(id, uid, &seen.State)
		b := batches[f]
		if b == nil {
			b = new(batch)
			order, batches[f] = append(order, f), b
		}
		b.members = append(b.members, &member{uid: uid, fan: "0", pass: "0"})
		places[f] = append(places[f], i)
	}
	for _, f := range order {
		d.drawBatch(ctx, f, batches[f])
		for j, m := range batches[f].members {
			i := places[f][j]
			switch {
			case m.again, errors.Is(m.err, errDry), errors.Is(m.err, ErrNotFound):
				alone(i)
			case m.err != nil:
				errs[i] = m.err
			default:
				outs[i], errs[i] = d.tell(ctx, m.out)
			}
		}
	}
	return outs, errs
}
