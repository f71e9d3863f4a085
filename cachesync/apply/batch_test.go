package apply

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

var now = time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)

// still is a clock that stands: by time.Now a batch would have been paused since then.
func still() time.Time { return now }

func rec(v record.Version, payload string) record.Record {
	return record.Record{Type: record.TypeUser, Version: v, Payload: []byte(payload)}
}

func (f *fake) holds(t *testing.T, key string) record.Record {
	t.Helper()
	r, err := record.Parse(f.values[key])
	if err != nil {
		t.Fatalf("%s holds %q: %v", key, f.values[key], err)
	}
	return r
}

func TestNewestVersionStandsWhateverTheOrder(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		f, b := newFake(), &Batch{Now: still}
		var writes []Write
		newest := map[string]record.Version{}
		for range 200 {
			key := string('a' + rune(rng.IntN(5)))
			v := record.Version(rng.IntN(40) + 1)
			r := rec(v, "")
			if rng.IntN(3) == 0 {
				r.Type = record.TypeWin
			}
			writes = append(writes, Write{Key: key, Record: r})
			newest[key] = max(newest[key], v)
		}
		for len(writes) > 0 {
			n := min(len(writes), 1+rng.IntN(30))
			if err := b.Apply(context.Background(), f, writes[:n], now); err != nil {
				t.Fatal(err)
			}
			writes = writes[n:]
		}
		for key, v := range newest {
			if got := f.holds(t, key).Version; got != v {
				t.Fatalf("seed %d: %s holds version %d, want %d", seed, key, got, v)
			}
		}
	}
}

func TestKeptWriteTellsWhatIsThere(t *testing.T) {
	f, b := newFake(), &Batch{Now: still}
	w := []Write{{Key: "u:a", Record: rec(9, "new")}}
	if err := b.Apply(context.Background(), f, w, now); err != nil || w[0].Outcome != Stored {
		t.Fatal(w[0], err)
	}
	w[0].Record = rec(8, "old")
	if err := b.Apply(context.Background(), f, w, now); err != nil || w[0].Outcome != Kept || string(w[0].Found.Payload) != "new" {
		t.Fatal(w[0], err)
	}
}

func TestTombstoneStopsAnOlderWriteAndIsShortLived(t *testing.T) {
	f, b := newFake(), &Batch{Now: still}
	var got int32
	f.before = func(op *memcache.Op) { got = max(got, op.Expiry) }
	dead := record.Record{Type: record.TypeUser, Version: 5, Flags: record.FlagTombstone}
	for _, w := range []Write{{Key: "u:a", Record: dead}, {Key: "u:a", Record: rec(4, "late")}, {Key: "u:a", Record: rec(5, "same")}} {
		if err := b.Apply(context.Background(), f, []Write{w}, now); err != nil {
			t.Fatal(err)
		}
	}
	if r := f.holds(t, "u:a"); !r.Tombstone() || r.Version != 5 || got != record.TombstoneSeconds {
		t.Fatalf("%+v, expiry %d", r, got)
	}
	// A tombstone that only asks for a refill takes the same version.
	if err := b.Apply(context.Background(), f, []Write{{Key: "u:b", Record: record.Unset(rec(7, "x"))}}, now); err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(context.Background(), f, []Write{{Key: "u:b", Record: rec(7, "x")}}, now); err != nil {
		t.Fatal(err)
	}
	if r := f.holds(t, "u:b"); r.Tombstone() || string(r.Payload) != "x" {
		t.Fatalf("%+v", r)
	}
}

func TestWhatIsNoRecordIsReplacedAndCounted(t *testing.T) {
	f, b := newFake(), &Batch{Now: still}
	f.put("u:a", []byte("foreign"))
	f.put("u:b", nil)
	w := []Write{{Key: "u:a", Record: rec(1, "a")}, {Key: "u:b", Record: rec(1, "b")}}
	if err := b.Apply(context.Background(), f, w, now); err != nil || b.Counts.Repaired != 2 {
		t.Fatal(err, b.Counts)
	}
	if string(f.holds(t, "u:a").Payload) != "a" || string(f.holds(t, "u:b").Payload) != "b" {
		t.Fatal("not replaced")
	}
}

func TestExpiredRecordIsNotWritten(t *testing.T) {
	f, b := newFake(), &Batch{Now: still}
	w := []Write{{Key: "u:a", Record: rec(1, "a"), Expiry: now.Unix() - 1}}
	if err := b.Apply(context.Background(), f, w, now); err != nil {
		t.Fatal(err)
	}
	if !f.holds(t, "u:a").Refill() {
		t.Fatal("a record that expired is being served")
	}
}

func TestOvertakenWriteTriesAgainButNotForEver(t *testing.T) {
	f, b := newFake(), &Batch{Now: still}
	f.put("u:a", rec(1, "").Append(nil))
	left := 3
	f.before = func(op *memcache.Op) {
		if op.Kind == memcache.CAS && left > 0 {
			left--
			f.put("u:a", rec(record.Version(2000-left), "").Append(nil))
		}
	}
	w := []Write{{Key: "u:a", Record: rec(5000, "mine")}}
	if err := b.Apply(context.Background(), f, w, now); err != nil || f.holds(t, "u:a").Version != 5000 {
		t.Fatal(err)
	}
	left = 1000
	w[0].Record.Version = 6000
	if err := b.Apply(context.Background(), f, w, now); !errors.Is(err, ErrContended) {
		t.Fatal(err)
	}
}

func TestFailedNodeIsReportedPerWrite(t *testing.T) {
	f, b := newFake(), &Batch{Now: still}
	f.before = func(op *memcache.Op) {
		if op.Key == "u:b" {
			op.Err = memcache.ErrNodeDown
		}
	}
	w := []Write{{Key: "u:a", Record: rec(1, "")}, {Key: "u:b", Record: rec(1, "")}}
	err := b.Apply(context.Background(), f, w, now)
	if !errors.Is(err, memcache.ErrNodeDown) || w[0].Outcome != Stored || w[1].Outcome != Skipped {
		t.Fatal(err, w)
	}
}

func TestWriterThatWokeUpInThePastWithdrawsWhatItStored(t *testing.T) {
	f := newFake()
	at := now
	b := &Batch{Now: func() time.Time { return at }}
	w := []Write{{Key: "u:a", Record: rec(5, "old")}, {Key: "u:b", Record: rec(5, "old")}}
	f.before = func(op *memcache.Op) {
		if op.Kind == memcache.Add && at == now {
			at = at.Add(2 * time.Minute) // paused between reading and writing
		}
		if op.Kind == memcache.Gets && at != now && op.Key == "u:b" {
			f.put("u:b", rec(6, "newer").Append(nil)) // somebody else was here meanwhile
		}
	}
	if err := b.Apply(context.Background(), f, w, now); err != nil {
		t.Fatal(err)
	}
	if r := f.holds(t, "u:a"); !r.Refill() || b.Counts.Withdrawn != 1 {
		t.Errorf("a write of the past stands: %+v, %+v", r, b.Counts)
	}
	if r := f.holds(t, "u:b"); string(r.Payload) != "newer" {
		t.Errorf("something newer was withdrawn: %+v", r)
	}
}
