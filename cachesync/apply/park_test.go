package apply

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/pipeline"
	"sluice/cachesync/record"
)

// pair is a Store of two nodes, of which "odd" may be down.
type pair struct {
	shared
	down  bool
	empty int // how often MustEmpty was told of it
}

func (p *pair) Owner(key string) (string, error) {
	if (key[len(key)-1]-'0')%2 == 1 {
		return "odd", nil
	}
	return "even", nil
}

func (p *pair) MustEmpty(string) { p.empty++ }

// bench is an Applier of one bucket over a pair, driven by hand.
type bench struct {
	*Applier
	t     *testing.T
	pair  *pair
	clock time.Time
	seq   uint64
	spare *pending
	all   [writers]Batch
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, pair: &pair{shared: shared{fake: newFake()}}, clock: now, spare: newPending(1)}
	b.pair.before = func(op *memcache.Op) {
		if node, _ := b.pair.Owner(op.Key); node == "odd" && b.pair.down {
			op.Err = &pipeline.Error{Node: node, Cause: memcache.ErrNodeDown}
		}
	}
	b.Applier = New(Config{Source: "home", Buckets: []int{0}, Store: b.pair, Now: func() time.Time { return b.clock }})
	for i := range b.all {
		b.all[i].Now = b.cfg.Now
	}
	b.begin()
	b.pass(5 * time.Second) // the second pass is over
	b.change("u:0", "first")
	b.round()
	b.pass(5 * time.Second)
	return b
}

// pass lets time go by, in which positions are saved.
func (b *bench) pass(d time.Duration) {
	for range d / (100 * time.Millisecond) {
		b.clock = b.clock.Add(100 * time.Millisecond)
		b.mu.Lock()
		b.remember(b.clock)
		b.beforeRead()
		b.mu.Unlock()
		b.readDone(b.clock, false, nil)
		b.round()
	}
}

func (b *bench) change(key, payload string) {
	b.seq++
	v := record.VersionAt(1, b.clock) + record.Version(b.seq)
	b.Entry(0, &changelog.Entry{ID: changelog.ID{Epoch: 1, Seq: b.seq}, Version: v, Changes: []changelog.Change{{
		Key: key, Record: record.Record{Type: record.TypeUser, Version: v, CommitMS: b.clock.UnixMilli(), Payload: []byte(payload)}}}})
	b.readDone(b.clock, false, nil)
}

// round is what the writer does when it is woken.
func (b *bench) round() {
	b.unpark(b.t.Context())
	turn := b.tryTake(b.spare)
	if turn == nil {
		return
	}
	b.write(b.t.Context(), &b.all, turn)
	b.done(turn)
	turn.reset()
	b.spare = turn
}

func (b *bench) holds(key string) string {
	r, _ := record.Parse(b.pair.values[key])
	return string(r.Payload)
}

func (b *bench) saved() uint64 { return b.Applied()[0].Seq }

func TestNodeThatIsAwayForAMomentMissesNothing(t *testing.T) {
	b := newBench(t)
	b.change("u:1", "old")
	b.change("u:3", "kept")
	b.round()
	b.pass(5 * time.Second)
	from := b.saved()
	if from != b.seq {
		t.Fatalf("position %d of %d before anything happened", from, b.seq)
	}
	b.pair.down = true
	b.change("u:1", "middle")
	b.change("u:2", "other node")
	b.round()
	b.change("u:1", "new")
	b.round()
	if got := b.holds("u:2"); got != "other node" {
		t.Errorf("the node that is well has %q: it waits for the other", got)
	}
	if st := b.Stats(); st.Backlog != 1 {
		t.Errorf("backlog %d, want the one key that is parked", st.Backlog)
	}
	b.pass(5 * time.Second)
	if got := b.saved(); got != from {
		t.Errorf("position %d goes on from %d, though changes are not written", got, from)
	}
	b.pair.down = false
	b.change("u:4", "later")
	b.pass(lookEvery + 100*time.Millisecond)
	for key, want := range map[string]string{"u:1": "new", "u:3": "kept", "u:4": "later"} {
		if got := b.holds(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if b.pair.empty != 0 {
		t.Error("the node was to be emptied")
	}
	b.pass(5 * time.Second)
	if got := b.saved(); got != b.seq {
		t.Errorf("position %d stays behind %d after all is written", got, b.seq)
	}
}

func TestNodeThatIsAwayForLongComesBackEmpty(t *testing.T) {
	b := newBench(t)
	b.pair.down = true
	b.change("u:1", "x")
	b.round()
	b.pass(parkFor + time.Second)
	if b.pair.empty == 0 {
		t.Fatal("after all this time the node is not to be emptied")
	}
	told := b.pair.empty
	b.change("u:3", "y")
	b.round()
	if b.pair.empty != told+1 {
		t.Error("what it misses afterwards does not empty it")
	}
	b.pass(5 * time.Second)
	if got := b.saved(); got != b.seq {
		t.Errorf("position %d stays behind %d for a node that is given up", got, b.seq)
	}
	if st := b.Stats(); st.Backlog != 0 {
		t.Errorf("%d changes are kept for it", st.Backlog)
	}
	b.pair.down = false
	b.pass(time.Second)
	told = b.pair.empty
	b.change("u:1", "z")
	b.round()
	if got := b.holds("u:1"); got != "z" || b.pair.empty != told {
		t.Errorf("back again it has %q", got)
	}
}

func TestAKeyThatChangesOftenIsParkedOnce(t *testing.T) {
	b := newBench(t)
	b.pair.down = true
	key := "u:" + strings.Repeat("long", 50) + "1"
	for range 3 * parkBytes / len(key) / 100 {
		for range 100 {
			b.change(key, "x")
			b.round()
		}
	}
	if b.pair.empty != 0 {
		t.Error("one key was too much: the node is to be emptied")
	}
}

func TestWhatIsParkedIsBounded(t *testing.T) {
	b := newBench(t)
	b.pair.down = true
	for i := range parkKeys + 1000 {
		b.change(fmt.Sprintf("u:%d1", i), "x")
		if i%5000 == 0 {
			b.round()
		}
	}
	b.round()
	if b.pair.empty == 0 {
		t.Error("the node is not to be emptied")
	}
	if st := b.Stats(); st.Backlog > parkKeys {
		t.Errorf("%d changes are kept", st.Backlog)
	}
}
