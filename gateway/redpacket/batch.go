package redpacket

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"sluice/gateway/redpacket/script"
)

// mostTogether bounds the draws of one call of the script: others wait while it runs, some 10 us a draw.
const mostTogether = 64

// batches makes the draws that are ready at the same moment, from one red packet, by one call of the
// script: what a call costs Redis beside the win itself is the same for one user as for many. It is
// natural batching, as in package pipeline: who finds no batch opens one and leads it, yields once so
// that the handlers which are ready may join, and makes the call for all. Nobody waits for a timer.
type batches struct {
	mu      sync.Mutex
	open    map[from]*batch
	free    sync.Pool
	members sync.Pool
}

// from is what the draws of one batch have in common.
type from struct {
	id      ID
	part    int
	hashes  int64 // winners' hashes as the callers know them
	guarded bool  // by a list or a lock
}

// batch is one call of the script; who leads it owns it.
type batch struct {
	members    []*member
	keys, args []string
	space      []byte
	ends       []int
	reply      []byte
}

// member is one draw of a batch. Who leads the batch fills in what came of it, then wakes the member.
type member struct {
	uid       string
	fan, pass string
	wake      chan struct{}

	out   Outcome
	again bool
	err   error
}

func (t *batches) init() {
	t.open = map[from]*batch{}
	t.free.New = func() any { return new(batch) }
	t.members.New = func() any { return &member{wake: make(chan struct{}, 1)} }
}

// drawTogether makes one draw, in a batch with those of others.
func (d *Home) drawTogether(ctx context.Context, f from, uid, fan, pass string) (out Outcome, again bool, err error) {
	t := &d.batches
	m := t.members.Get().(*member)
	m.uid, m.fan, m.pass = uid, fan, pass
	t.mu.Lock()
	b := t.open[f]
	lead := b == nil || len(b.members) == mostTogether
	if lead {
		b = t.free.Get().(*batch)
		t.open[f] = b
	}
	b.members = append(b.members, m)
	t.mu.Unlock()
	if lead {
		runtime.Gosched()
		t.mu.Lock()
		if t.open[f] == b {
			delete(t.open, f)
		}
		t.mu.Unlock()
		d.drawBatch(context.WithoutCancel(ctx), f, b) // the others' too: it is not for the leader to end
		b.wake()
		t.free.Put(b)
	}
	select {
	case <-m.wake:
	case <-ctx.Done():
		return Outcome{}, false, Later(200*time.Millisecond, ctx.Err()) // m is the leader's still
	}
	out, again, err = m.out, m.again, m.err
	t.members.Put(m)
	return out, again, err
}

// drawBatch runs the script for all members.
func (d *Home) drawBatch(ctx context.Context, f from, b *batch) {
	bucket := f.id.PartBucket(f.part)
	b.request(&d.h.keys[bucket], f, d.Tries)
	reply, set, err := d.h.run(ctx, bucket, script.Draw, b.keys, b.args, b.reply[:0])
	b.reply = reply[:0]
	for _, m := range b.members {
		if err != nil {
			m.out, m.again, m.err = Outcome{}, false, err
			continue
		}
		var line []byte
		line, reply, _ = bytes.Cut(reply, []byte{'\n'})
		m.out, m.again, m.err = parseDraw(script.Draw, line, bucket, set.Epoch)
	}
}

// request fills in keys and args. The keys are built in one piece of memory.
func (b *batch) request(k *keys, f from, tries int64) {
	s, ends := b.space[:0], b.ends[:0]
	key := func(name string) {
		s = f.id.Append(append(append(s, k.tag...), name...))
	}
	end := func() { ends = append(ends, len(s)) }
	if key(":rp:"); f.part > 0 {
		s = s[:0]
		key(":rq:") // see part
	}
	end()
	key(":sh:")
	end()
	if f.guarded {
		key(":l:")
		end()
		key(":pw:")
		end()
	}
	for _, m := range b.members {
		if key(":w:"); f.hashes > 1 {
			s = strconv.AppendUint(append(s, ':'), xxhash.Sum64String(m.uid)%uint64(f.hashes), 10)
		}
		end()
	}
	b.space, b.ends = s, ends
	all, at := string(s), 0
	b.keys = append(b.keys[:0], k.meta, k.log, k.win)
	for i, end := range ends {
		b.keys = append(b.keys, all[at:end])
		if at = end; i == 1 && !f.guarded {
			b.keys = append(b.keys, b.keys[3], b.keys[3])
		}
	}
	b.args = append(b.args[:0], all[ends[0]-IDLen:ends[0]], text64(f.hashes), text64(tries))
	for _, m := range b.members {
		b.args = append(b.args, m.uid, m.fan, m.pass)
	}
}

// wake ends the batch: the members are others' from now on.
func (b *batch) wake() {
	for i, m := range b.members {
		b.members[i] = nil
		m.wake <- struct{}{}
	}
	b.members = b.members[:0]
	clear(b.keys)
	clear(b.args)
}

// DrawAll makes the draws of several users from one lucky or equal red packet as Draw does for users who come at
// the same moment: those of one part by one call. It is for who must say which draws meet, the simulator.
// Each user's outcome or error stands at his place.
func (d *Home) DrawAll(ctx context.Context, id ID, uids []string) ([]Outcome, []error) {
	outs, errs := make([]Outcome, len(uids)), make([]error, len(uids))
	st, err := d.read(ctx, id)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return outs, errs
	}
	var meet [MaxParts]batch
	var places [MaxParts][]int
	for i, uid := range uids {
		part := partOf(uid, st.spread)
		meet[part].members = append(meet[part].members, &member{uid: uid, fan: "0", pass: "0", wake: make(chan struct{}, 1)})
		places[part] = append(places[part], i)
	}
	for part := range meet {
		b := &meet[part]
		if len(b.members) == 0 {
			continue
		}
		d.drawBatch(ctx, from{id, part, st.winnerHashes, st.Lock != LockNone || st.Audience == AudienceList}, b)
		for j, m := range b.members {
			i := places[part][j]
			switch {
			case m.again, errors.Is(m.err, errDry), errors.Is(m.err, ErrNotFound):
				outs[i], errs[i] = d.Draw(ctx, DrawRequest{ID: id, UID: uids[i]})
			case m.err == nil && (m.out.Kind == Won || m.out.Kind == Already):
				outs[i], errs[i] = m.out, d.confirm(ctx, m.out.Pos)
			default:
				outs[i], errs[i] = m.out, m.err
			}
		}
	}
	return outs, errs
}
