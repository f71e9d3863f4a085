package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"sluice/cachesync/changelog"
	"sluice/cachesync/record"
)

// Bug is a known mistake put back on purpose.
type Bug int

// Bugs.
const (
	NoBug         Bug = iota
	NoVersionGate     // records are set, whatever is there
	GroupRetry        // a read that was lost is not repeated: the source believes it delivered
	NoFillLock        // fills do not lock
	SavedBefore       // the position is saved before what it covers is written
	FillMints         // a fill gives its record a version of its own
	bugCount
)

var bugNames = [...]string{"none", "no version gate", "consumer-group retry", "no fill lock", "position saved before apply", "fill mints its own version"}

// String is the bug in words.
func (b Bug) String() string { return bugNames[b] }

// Violation is a property that did not hold.
type Violation struct {
	Seed uint64
	Step int
	What string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d, step %d: %s", v.Seed, v.Step, v.What)
}

// world is everything; only one goroutine is in it.
type world struct {
	rng  *rand.Rand
	bug  Bug
	ms   int64 // the one true clock
	skew int64 // of the home's clock
	home home
	reg  []*area
	keys []string

	asking map[string]*fill // region/key -> who asks the source right now
	step   int
	bad    *Violation
	seed   uint64
	trace  io.Writer // nil: nobody looks
}

// home is the truth of one bucket.
type home struct {
	last    record.Version
	seq     uint64
	trimmed uint64 // entries up to here are gone from the log
	log     []changelog.Entry
	truth   map[string]record.Record
}

const bucket = 0

var base = time.UnixMilli(record.BaseMS + 1_000_000_000)

func (w *world) now() time.Time { return base.Add(time.Duration(w.ms) * time.Millisecond) }

func (w *world) fail(format string, args ...any) {
	if w.bad == nil {
		w.bad = &Violation{w.seed, w.step, fmt.Sprintf(format, args...)}
	}
}

// say writes a line of the trace.
func (w *world) say(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%4d %9dms  %s\n", w.step, w.ms, fmt.Sprintf(format, args...))
	}
}

// commit changes one or two keys at home, as the prelude does.
func (w *world) commit() {
	h := &w.home
	at := w.now().UnixMilli() - record.BaseMS + w.skew
	v := record.MakeVersion(1, at, 0)
	if v <= h.last {
		v = h.last + 1
	}
	h.last = v
	h.seq++
	e := changelog.Entry{ID: changelog.ID{Epoch: 1, Seq: h.seq}, Version: v}
	for _, k := range w.rng.Perm(len(w.keys))[:1+w.rng.IntN(2)] { // a key stands in a commit once
		key := w.keys[k]
		r := record.Record{Type: record.TypeUser, Version: v, CommitMS: w.now().UnixMilli() + w.skew, Payload: []byte(v.String())}
		if w.rng.IntN(3) == 0 {
			r.Type = record.TypeWin
		}
		if w.rng.IntN(8) == 0 {
			r.Flags, r.Payload = record.FlagTombstone, nil
		}
		h.truth[key] = r
		w.say("home: %d %s = %s flags %d", h.seq, key, v, r.Flags)
		e.Changes = append(e.Changes, changelog.Change{Key: key, Record: r})
	}
	h.log = append(h.log, e)
}

// emitAgain puts a key's record into the log once more, as anti-entropy does.
func (w *world) emitAgain(key string) {
	h := &w.home
	r, ok := h.truth[key]
	if !ok {
		return
	}
	r.CommitMS = w.now().UnixMilli() + w.skew
	h.seq++
	w.say("home: %d %s = %s again", h.seq, key, r.Version)
	h.log = append(h.log, changelog.Entry{ID: changelog.ID{Epoch: 1, Seq: h.seq}, Version: r.Version,
		Changes: []changelog.Change{{Key: key, Again: true, Record: r}}})
}

// after returns what the log still has behind a position, at most n entries.
func (h *home) after(seq uint64, n int) (out []changelog.Entry, more bool) {
	from := max(seq, h.trimmed)
	if from >= h.seq {
		return nil, false
	}
	out = h.log[from:]
	if len(out) > n {
		return out[:n], true
	}
	return out, false
}

// Run simulates one seed; nil means that everything held.
func Run(seed uint64, bug Bug) *Violation { return Trace(seed, bug, nil) }

// Trace is Run that tells what happens.
func Trace(seed uint64, bug Bug, trace io.Writer) *Violation {
	rng := rand.New(rand.NewPCG(seed, 0x51))
	w := &world{rng: rng, bug: bug, seed: seed, trace: trace, asking: map[string]*fill{},
		skew: int64(rng.IntN(2000) - 1000), home: home{truth: map[string]record.Record{}}}
	var again *rand.Rand // every other seed has anti-entropy, with chances of its own
	if seed%2 == 1 {
		again = rand.New(rand.NewPCG(seed, 0x52))
	}
	for i := range 2 + rng.IntN(3) {
		w.keys = append(w.keys, fmt.Sprint("u:", i))
	}
	for i := range 2 + rng.IntN(2) {
		w.reg = append(w.reg, newArea(w, i))
	}
	for w.step = 0; w.step < 400 && w.bad == nil; w.step++ {
		w.ms += int64(w.rng.IntN(20))
		w.act()
		if again != nil && again.IntN(20) == 0 {
			w.emitAgain(w.keys[again.IntN(len(w.keys))])
		}
		w.observe()
	}
	w.settle()
	return w.bad
}

// act lets one thing happen.
func (w *world) act() {
	a := w.reg[w.rng.IntN(len(w.reg))]
	switch n := w.rng.IntN(100); {
	case n < 14:
		w.commit()
	case n < 60:
		a.appliers[w.rng.IntN(len(a.appliers))].advance()
	case n < 82:
		a.fillStep()
	case n < 85:
		a.crash(w.rng.IntN(len(a.appliers)))
	case n < 88: // a pause of anything, short or long
		a.pause([]int64{300, 1500, 3000, 15_000, 130_000}[w.rng.IntN(5)])
	case n < 91:
		a.cut = w.ms + int64(w.rng.IntN(3000))
	case n < 94:
		a.evict(w.keys[w.rng.IntN(len(w.keys))])
	case n < 95:
		w.say("region %d: flush", a.id)
		a.mem.flush()
		a.forgive("")
		a.unlockAll()
		a.cold = w.ms + int64(w.rng.IntN(1000))
	case n < 96: // another process starts in the region's place while the first still runs
		if len(a.appliers) < 2 {
			a.appliers = append(a.appliers, a.newApplier())
		}
	case n < 97:
		a.leaveAndJoin()
	case n < 98: // the log's memory cap
		if w.home.seq > w.home.trimmed+20 {
			w.home.trimmed = w.home.seq - 20
			w.say("home: trimmed to %d", w.home.trimmed)
		}
	default:
		w.ms += int64(w.rng.IntN(40_000))
	}
}

// observe is a reader in every region.
func (w *world) observe() {
	for _, a := range w.reg {
		if !a.active() {
			continue
		}
		for _, key := range w.keys {
			r, ok := a.mem.record(key)
			if !ok || r.Refill() {
				continue
			}
			s := a.seen[key]
			if r.Version < s.version && w.ms > s.pardon {
				w.fail("region %d: %s went back from %s to %s", a.id, key, s.version, r.Version)
			}
			s.version = r.Version
			a.seen[key] = s
		}
	}
}

// settle stops all faults, lets everybody finish, and compares with home.
func (w *world) settle() {
	if w.bad != nil {
		return
	}
	for _, a := range w.reg {
		a.cut, a.calm = 0, true
		for _, p := range a.appliers {
			p.until = 0
		}
		for _, f := range a.fills {
			f.until = 0
		}
	}
	for range 300 {
		w.ms += 10
		for _, a := range w.reg {
			for i := 0; i < len(a.appliers); i++ {
				a.appliers[i].advance()
			}
			a.finishFills()
		}
		if w.observe(); w.bad != nil {
			return
		}
	}
	for _, a := range w.reg {
		for _, key := range w.keys {
			r, ok := a.mem.record(key)
			truth, known := w.home.truth[key]
			switch {
			case !ok || r.Refill():
			case !known || r.Version != truth.Version || r.Tombstone() != truth.Tombstone():
				w.fail("region %d: %s is %s (flags %d), home has %s (flags %d)", a.id, key, r.Version, r.Flags, truth.Version, truth.Flags)
			}
		}
	}
}
