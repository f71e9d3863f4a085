package apply

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// behind makes a Stepper that is a second behind, with changes of so many keys.
func behind(t *testing.T, s Situation, changes int, key func(i int) string) (st *Stepper, at *time.Time) {
	t.Helper()
	clock := now
	at = &clock
	st = NewStepper(Config{Source: "home", Buckets: []int{7}, Now: func() time.Time { return *at },
		Situation: func() Situation { return s }}, map[int]changelog.ID{7: {Epoch: 1}})
	st.ReadDone(clock, false, nil) // caught up once
	for i := range changes {
		v := record.VersionAt(1, now) + record.Version(i)
		st.Entry(7, &changelog.Entry{ID: changelog.ID{Epoch: 1, Seq: uint64(i + 1)}, Version: v, Changes: []changelog.Change{{
			Key: key(i), Record: record.Record{Type: record.TypeUser, Version: v, CommitMS: now.UnixMilli(), Payload: []byte("x")},
		}}})
	}
	clock = clock.Add(time.Second)
	st.ReadDone(clock, false, nil)
	return st, at
}

func TestInvalidateDeletesABacklogButSetsHotKeys(t *testing.T) {
	key := func(i int) string {
		if i%2 == 0 {
			return "u:hot"
		}
		return fmt.Sprint("u:", i)
	}
	st, _ := behind(t, Situation{AllClasses: true}, 1000, key)
	writes := st.Turn()
	if len(writes) != 501 {
		t.Fatalf("%d writes, want the newest of each of 501 keys", len(writes))
	}
	for _, w := range writes {
		if hot := w.Key == "u:hot"; w.Record.Refill() == hot {
			t.Fatalf("%s: refill %t", w.Key, w.Record.Refill())
		}
	}
	// While scaling in, the same backlog is collapsed, not deleted.
	for _, s := range []Situation{{}, {AllClasses: true, Draining: true}} {
		st, _ := behind(t, s, 1000, key)
		for _, w := range st.Turn() {
			if w.Record.Tombstone() {
				t.Fatalf("%+v: %s was deleted", s, w.Key)
			}
		}
	}
}

func TestChangesOlderThanTheirTombstonesAskForARefill(t *testing.T) {
	st, at := behind(t, Situation{}, 3, func(i int) string { return fmt.Sprint("u:", i) })
	*at = now.Add(record.LateSeconds * time.Second)
	st.ReadDone(*at, false, nil)
	for _, w := range st.Turn() {
		if !w.Record.Refill() {
			t.Errorf("%s of %d s ago is written as a value", w.Key, record.LateSeconds)
		}
	}
}

func TestChangesHeldThroughAPauseAskForARefill(t *testing.T) {
	st, at := behind(t, Situation{}, 3, func(i int) string { return fmt.Sprint("u:", i) })
	*at = at.Add(10 * time.Second) // SIGSTOP, SIGCONT: nothing was read since
	for _, w := range st.Turn() {
		if !w.Record.Refill() {
			t.Errorf("%s is written ten seconds after it was read", w.Key)
		}
	}
}

func TestAGapIsAskedForOnceMoreThenReported(t *testing.T) {
	st, at := behind(t, Situation{}, 3, func(i int) string { return fmt.Sprint("u:", i) })
	entry := func(seq uint64) { st.Entry(7, &changelog.Entry{ID: changelog.ID{Epoch: 1, Seq: seq}}) }
	st.a.cfg.Repair = func(context.Context, int, changelog.ID, changelog.ID) error { return nil }
	entry(5) // 4 is missing
	entry(6)
	if st.Gap() || st.From(7).Seq != 3 {
		t.Fatalf("position %s: the gap was not asked for again", st.From(7))
	}
	entry(5)
	st.ReadDone(*at, false, nil)
	if !st.Gap() || st.From(7).Seq != 5 {
		t.Fatalf("position %s: the gap was not reported", st.From(7))
	}
	entry(2)
	if st.From(7).Seq != 5 || st.a.Stats().Duplicates != 1 {
		t.Fatal("a duplicate moved the position")
	}
}

// rewinding makes a Stepper that has written five changes long ago, all of one key.
func rewinding(t *testing.T) (st *Stepper, at *time.Time, read func(from, to uint64)) {
	t.Helper()
	st, at = behind(t, Situation{}, 0, nil)
	read = func(from, to uint64) {
		for seq := from; seq <= to; seq++ {
			v := record.VersionAt(1, now) + record.Version(seq)
			st.Entry(7, &changelog.Entry{ID: changelog.ID{Epoch: 1, Seq: seq}, Version: v, Changes: []changelog.Change{{
				Key: "u:1", Record: record.Record{Type: record.TypeUser, Version: v, CommitMS: at.UnixMilli(), Payload: []byte("x")},
			}}})
		}
	}
	*at = at.Add(secondPass)
	st.Applied()
	st.From(7)
	read(1, 5)
	st.ReadDone(*at, false, nil)
	if len(st.Turn()) != 1 {
		t.Fatal("nothing to write")
	}
	st.Done()
	*at = at.Add(2 * keepBehind)
	return st, at, read
}

func TestASecondRewindSkipsNothingOfTheFirst(t *testing.T) {
	st, at, read := rewinding(t)
	st.Rewind()
	if from := st.From(7); from.Seq != 0 {
		t.Fatalf("repeats behind %s, want the beginning", from)
	}
	read(1, 2) // of five
	st.ReadDone(*at, true, nil)
	for range 3 {
		if seq := st.Applied()[7].Seq; seq != 0 {
			t.Fatalf("position %d while what is behind it is being repeated", seq)
		}
		*at = at.Add(2 * keepBehind)
	}
	st.Rewind()
	if from := st.From(7); from.Seq != 0 {
		t.Fatalf("repeats behind %s the second time: what is between is skipped", from)
	}
	read(1, 5)
	st.ReadDone(*at, false, nil)
	if w := st.Turn(); len(w) != 1 || w[0].Record.Version != record.VersionAt(1, now)+5 {
		t.Fatalf("repeated %v, want the newest", w)
	}
	st.Done()
	st.Applied()
	*at = at.Add(2 * keepBehind)
	if seq := st.Applied()[7].Seq; seq != 5 {
		t.Fatalf("position %d when all is repeated, want 5", seq)
	}
}

func TestWhatWasOnItsWayAtARewindDoesNotEndIt(t *testing.T) {
	st, at, read := rewinding(t)
	st.From(7)
	st.Rewind() // while a read waits behind 5
	st.ReadDone(*at, false, nil)
	if st.a.caughtUp || st.a.settled {
		t.Fatal("caught up by a read that was sent before")
	}
	if from := st.From(7); from.Seq != 0 {
		t.Fatalf("repeats behind %s, want the beginning", from)
	}
	read(1, 5)
	st.ReadDone(*at, false, nil)
	if st.Turn() == nil {
		t.Fatal("nothing to repeat")
	}
	st.Rewind() // while the turn is written
	st.Done()
	st.Applied() // notes 5 as written
	*at = at.Add(2 * keepBehind)
	if seq := st.Applied()[7].Seq; seq != 0 {
		t.Fatalf("position %d: a turn from before the Rewind counted as its end", seq)
	}
}

func TestPositionsSurviveAsText(t *testing.T) {
	at := map[int]changelog.ID{0: {Epoch: 1, Seq: 2}, 63: {Epoch: 4095, Seq: 1 << 40}}
	back := ParsePositions("12 " + FormatPositions(at) + " x=1-1 64=1-1 5=bad")
	if fmt.Sprint(back) != fmt.Sprint(at) {
		t.Errorf("%v, want %v", back, at)
	}
}

func TestOlderProcessCannotSaveOverAYoungerOne(t *testing.T) {
	f := newFake()
	first := &CachePositions{Store: f, Now: func() time.Time { return now }}
	second := &CachePositions{Store: f, Now: func() time.Time { return now.Add(-time.Hour) }} // its clock is behind
	ctx := context.Background()
	if at, err := first.Load(ctx, "bj1"); err != nil || len(at) != 0 {
		t.Fatal(at, err)
	}
	if err := first.Save(ctx, "bj1", map[int]changelog.ID{1: {Epoch: 1, Seq: 10}}); err != nil {
		t.Fatal(err)
	}
	if at, err := second.Load(ctx, "bj1"); err != nil || at[1].Seq != 10 {
		t.Fatal(at, err)
	}
	if err := first.Save(ctx, "bj1", map[int]changelog.ID{1: {Epoch: 1, Seq: 99}}); err != ErrFenced {
		t.Fatal(err)
	}
	if err := second.Save(ctx, "bj1", map[int]changelog.ID{1: {Epoch: 1, Seq: 11}}); err != nil {
		t.Fatal(err)
	}
}

// nodesOf is a Store of several nodes, of which some may be down.
type nodesOf struct {
	*fake // nobody's
	each  map[string]*fake
	down  string
}

func (n *nodesOf) Nodes() []string { return []string{"a", "b"} }

func (n *nodesOf) DoNode(ctx context.Context, node string, ops []memcache.Op) error {
	if node == n.down {
		return memcache.ErrNodeDown
	}
	return n.each[node].Do(ctx, ops)
}

// A node was given up; the process that did so has ended, and nobody remembers.
func TestNodeThatMissedWhatAnEarlierProcessWroteIsStale(t *testing.T) {
	f := func(name string, downAtLoad bool, want ...string) {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			store := &nodesOf{each: map[string]*fake{"a": newFake(), "b": newFake()}}
			var stale []string
			process := func() *CachePositions {
				c := &CachePositions{Store: store, Now: func() time.Time { return now }, OnStale: func(node string) { stale = append(stale, node) }}
				if _, err := c.Load(ctx, "bj1"); err != nil {
					t.Fatal(err)
				}
				return c
			}
			save := func(c *CachePositions, seq uint64) { c.Save(ctx, "bj1", map[int]changelog.ID{1: {Epoch: 1, Seq: seq}}) }
			first := process()
			save(first, 10)
			store.down = "b"
			save(first, 20)
			if !downAtLoad {
				store.down = ""
			}
			second := process()
			store.down = ""
			save(second, 21)
			save(second, 22)
			if !slices.Equal(stale, want) {
				t.Errorf("%q, want %q", stale, want)
			}
		})
	}
	f("back after the beginning", true, "b")
	f("back before the beginning", false) // who begins begins where it is
}
