package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// area is one region.
type area struct {
	w        *world
	id       int
	mem      *mem
	appliers []*applier
	fills    []*fill
	cut      int64 // the link to the home is cut until then
	calm     bool  // no more faults
	tokens   int
	acked    changelog.ID // told to the home
	cold     int64        // when the canary will be missed; 0 = it is there
	joining  bool         // not active: nobody reads here until it has caught up
	seen     map[string]sight
}

// sight is what a reader saw last of a key, and until when it may go back.
type sight struct {
	version record.Version
	pardon  int64
}

func newArea(w *world, id int) *area {
	a := &area{w: w, id: id, mem: &mem{w: w, id: id, all: map[string]memItem{}}, seen: map[string]sight{}}
	a.appliers = []*applier{a.newApplier()}
	return a
}

// forgive lets readers see older values for a second: after an eviction, flush or join.
func (a *area) forgive(key string) {
	for _, k := range a.w.keys {
		if key == "" || k == key {
			s := a.seen[k]
			s.pardon = a.w.ms + 1000
			a.seen[k] = s
		}
	}
}

// evict takes a key that was not just written: memcached takes the least recently used.
func (a *area) evict(key string) {
	if it, ok := a.mem.get(key); ok && a.w.ms-it.born > 600 {
		a.w.say("region %d: evict %s", a.id, key)
		delete(a.mem.all, key)
		a.forgive(key)
	}
}

// pause stops one process of the region for a while.
func (a *area) pause(ms int64) {
	until := a.w.ms + ms
	a.w.say("region %d: pause of %d ms", a.id, ms)
	if len(a.fills) > 0 && a.w.rng.IntN(2) == 0 {
		a.fills[a.w.rng.IntN(len(a.fills))].until = until
		return
	}
	a.appliers[a.w.rng.IntN(len(a.appliers))].until = until
}

// crash ends an applier; what it had not saved it will do again.
func (a *area) crash(i int) {
	a.w.say("region %d: crash", a.id)
	a.appliers[i] = a.newApplier()
}

// leaveAndJoin empties the region and lets it join again, with a neighbour's copy.
func (a *area) leaveAndJoin() {
	a.w.say("region %d: joins again", a.id)
	neighbour := a.w.reg[(a.id+1)%len(a.w.reg)]
	at, _, ok := neighbour.position()
	if !ok || at.Seq < a.w.home.trimmed {
		at = changelog.ID{Epoch: 1, Seq: a.w.home.seq}
		ok = false
	}
	a.mem.flush()
	a.joining, a.seen = true, map[string]sight{}
	a.fills = nil
	a.unlockAll()
	a.appliers = []*applier{a.applierAt(at)}
	a.save(at, a.tokens)
	a.acked = at
	if !ok {
		return
	}
	var writes []apply.Write
	for _, key := range neighbour.mem.keys() {
		if r, ok := neighbour.mem.record(key); ok && key != positionKey {
			writes = append(writes, apply.Write{Key: key, Record: r})
		}
	}
	b := apply.Batch{AddFirst: true, Now: a.w.now}
	b.Apply(context.Background(), a.mem, writes, a.w.now())
}

// active reports whether readers are served: a joining region is, once it has all its home has.
func (a *area) active() bool {
	if a.joining {
		for _, p := range a.appliers {
			if p.s.Written()[bucket].Seq == a.w.home.seq {
				a.joining = false
				a.forgive("")
			}
		}
	}
	return !a.joining
}

// unlockAll forgets who asks: the locks went with the data.
func (a *area) unlockAll() {
	for id, f := range a.w.asking {
		if f.a == a {
			delete(a.w.asking, id)
		}
	}
	for _, f := range a.fills {
		f.unlocked = true
	}
}

const positionKey = "pos:home"

// position is what is saved in the region's memcached, and by whom.
func (a *area) position() (at changelog.ID, token int, ok bool) {
	it, ok := a.mem.get(positionKey)
	if !ok {
		return changelog.ID{}, 0, false
	}
	n, err := fmt.Sscanf(string(it.value), "%d-%d %d", &at.Epoch, &at.Seq, &token)
	return at, token, n == 3 && err == nil
}

// save keeps a position, unless a younger process has.
func (a *area) save(id changelog.ID, token int) {
	if _, other, ok := a.position(); ok && other > token {
		return
	}
	a.mem.put(&memcache.Op{Key: positionKey, Value: fmt.Appendf(nil, "%s %d", id, token)})
	a.acked = id
}

// applier is a process that brings the home's changes here.
type applier struct {
	a       *area
	s       *apply.Stepper
	b       *apply.Batch
	until   int64 // paused until then
	token   int
	checked int64
	ended   bool // fenced: a younger process does the work

	delivered uint64 // GroupRetry: what the source believes to have delivered
	writing   []apply.Write
	began     time.Time
	turn      bool
}

// newApplier starts where the region's position says, or else where the region last told
// the home that it was.
func (a *area) newApplier() *applier {
	at, _, ok := a.position()
	if !ok {
		at = a.acked
	}
	p := a.applierAt(at)
	a.save(at, p.token)
	a.forgive("")
	return p
}

func (a *area) applierAt(at changelog.ID) *applier {
	cfg := apply.Config{
		Source: "home", Buckets: []int{bucket}, Store: a.mem, Now: a.w.now, Gather: 500 * time.Millisecond,
		Repair: func(context.Context, int, changelog.ID, changelog.ID) error { return nil },
		Situation: func() apply.Situation {
			return apply.Situation{AllClasses: a.id == 0} // one region may cut its backlog by deleting
		},
	}
	a.tokens++
	return &applier{a: a, token: a.tokens, s: apply.NewStepper(cfg, map[int]changelog.ID{bucket: at}), b: &apply.Batch{Now: a.w.now}, delivered: at.Seq}
}

var errCut = errors.New("cut")

// advance does one thing: a read, one round of operations, or saving the position.
func (p *applier) advance() {
	w := p.a.w
	if w.ms < p.until || p.ended {
		return
	}
	if a := p.a; a.cold != 0 && w.ms >= a.cold {
		a.cold = 0
		for _, p := range a.appliers {
			p.s.Rewind()
		}
	}
	if w.ms-p.checked > 150 { // the saver runs every 100 ms, beside the writer
		p.checked = w.ms
		p.savePosition()
		return
	}
	switch {
	case p.turn:
		p.round()
	case p.begin():
	default:
		p.read()
	}
}

func (p *applier) savePosition() {
	if p.a.w.bug == SavedBefore {
		return
	}
	if id, ok := p.s.Applied()[bucket]; ok {
		if _, other, ok := p.a.position(); ok && other > p.token {
			p.ended = true
			return
		}
		p.a.save(id, p.token)
	}
}

// read asks the home for what is behind the position; the answer may be lost on the way.
func (p *applier) read() {
	w := p.a.w
	from := p.s.From(bucket)
	if w.bug == GroupRetry {
		from.Seq = max(from.Seq, p.delivered)
	}
	if w.ms < p.a.cut {
		p.s.ReadDone(w.now(), false, errCut)
		return
	}
	list, more := w.home.after(from.Seq, 1+w.rng.IntN(8))
	lost := !p.a.calm && w.rng.IntN(10) == 0
	if len(list) > 0 {
		p.delivered = list[len(list)-1].ID.Seq
	}
	if lost {
		p.s.ReadDone(w.now(), false, errCut)
		return
	}
	for i := range list {
		p.s.Entry(bucket, &list[i])
	}
	p.s.ReadDone(w.now(), more, nil)
	if w.bug == SavedBefore && len(list) > 0 {
		p.a.save(list[len(list)-1].ID, p.token)
	}
	if p.s.Gap() {
		if w.bug == GroupRetry {
			return // a group has no sequence to see gaps by
		}
		p.a.leaveAndJoin()
	}
}

// begin takes a turn, if it is time for one.
func (p *applier) begin() bool {
	writes := p.s.Turn()
	if writes == nil {
		return false
	}
	p.writing, p.turn, p.began = writes, true, p.a.w.now()
	p.a.w.say("region %d: turn of %d", p.a.id, len(writes))
	p.b.Plan(writes, p.began)
	return true
}

// round does one round of the batch: the same steps as Batch.Apply.
func (p *applier) round() {
	w := p.a.w
	if w.bug == NoVersionGate {
		for i := range p.writing {
			r := p.writing[i].Record
			p.a.mem.put(&memcache.Op{Key: p.writing[i].Key, Value: r.Append(nil)})
		}
		p.turn = false
		p.s.Done()
		return
	}
	if w.now().Sub(p.began) > apply.DefaultPatience {
		p.b.Withhold()
	}
	ops := p.b.Ops()
	if len(ops) == 0 {
		p.turn = false
		p.s.Done()
		return
	}
	p.a.mem.Do(context.Background(), ops)
	p.b.Took()
	if w.now().Sub(p.began) > apply.DefaultPatience {
		p.b.Doubt()
	}
}
