package proof_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
	"sluice/cachesync/warmup/proof"
	"sluice/internal/servers"
)

func TestSampleIsTheSameHoweverOftenAndInWhateverOrder(t *testing.T) {
	const k, n = 500, 20_000
	a, b := proof.NewSample(k), proof.NewSample(k)
	for i := range n {
		a.Offer(fmt.Sprint("u:", i), record.Version(i))
	}
	for i := n - 1; i >= 0; i-- {
		b.Offer(fmt.Sprint("u:", i), record.Version(i))
		b.Offer(fmt.Sprint("u:", i), 0)
		if i == n/2 {
			restored := proof.NewSample(k)
			restored.Restore(b.Entries())
			b = restored
		}
	}
	x, y := a.Entries(), b.Entries()
	if len(x) != k || len(y) != k {
		t.Fatal(len(x), len(y))
	}
	for i := range x {
		if x[i].Key != y[i].Key || x[i].Version != y[i].Version {
			t.Fatalf("%v and %v differ", x[i], y[i])
		}
	}
	if d, e := a.Distinct(); math.Abs(d-n) > 4*e {
		t.Errorf("distinct %f +- %f, want %d", d, e, n)
	}
}

func TestFewKeysAreCountedExactly(t *testing.T) {
	s := proof.NewSample(100)
	for i := range 150 {
		s.Offer(fmt.Sprint(i%50), 1)
	}
	if d, e := s.Distinct(); d != 50 || e != 0 {
		t.Errorf("%f +- %f", d, e)
	}
}

func TestIntervalIsWilsons(t *testing.T) {
	f := func(covered, read int, low, high float64) {
		t.Helper()
		l, h := proof.Coverage{Read: read, Covered: covered}.Interval()
		if math.Abs(l-low) > 0.0005 || math.Abs(h-high) > 0.0005 {
			t.Errorf("%d of %d: %.4f..%.4f, want %.4f..%.4f", covered, read, l, h, low, high)
		}
	}
	f(81, 263, 0.2553, 0.3662) // Newcombe 1998, table I
	f(15, 148, 0.0624, 0.1605)
	f(0, 20, 0, 0.1611)
	f(29, 29, 0.8831, 1)
	f(0, 0, 0, 1)
}

func TestReadBackTellsWhatIsNotThere(t *testing.T) {
	c, err := memcache.New(memcache.Config{Servers: []string{servers.Memcached(t)}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	put := func(key string, v record.Version, flags uint8) {
		c.Set(&memcache.Item{Key: key, Value: record.Record{Version: v, Flags: flags}.Append(nil)})
	}
	put("same", 5, 0)
	put("newer", 6, 0)
	put("older", 4, 0)
	put("deleted", 7, record.FlagTombstone)
	put("refill", 7, record.FlagTombstone|record.FlagRefill)
	c.Set(&memcache.Item{Key: "foreign", Value: []byte("x")})
	sample := proof.NewSample(10)
	for _, k := range []string{"same", "newer", "older", "deleted", "refill", "foreign", "none"} {
		sample.Offer(k, 5)
	}
	got, err := proof.ReadBack(t.Context(), c, sample)
	want := proof.Coverage{Read: 7, Covered: 3, Missing: 2, Older: 1, Failed: 1, Deleted: 1, Whole: true}
	if err != nil || got != want {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
	if low, high := got.Interval(); low != 3.0/7 || high != low || got.String() != "42.86 % (3 of all 7)" {
		t.Errorf("a set read whole is in doubt: %v to %v, %s", low, high, got)
	}
}

func TestWhatDoesNotFitIsRefusedWithTheArithmetic(t *testing.T) {
	f := proof.Fit{Records: 1_000_000, Each: proof.ItemBytes(13, 200)}
	rooms := []proof.Room{{Node: "a:1", Limit: 1 << 30, Share: 0.5}, {Node: "b:1", Limit: 128 << 20, Share: 0.5}}
	why := f.Check(rooms)
	if !strings.HasPrefix(why, "b:1: 1000000 records x 50 % of the keys x ") || !strings.Contains(why, "128 MB x 95 %") {
		t.Error(why)
	}
	rooms[1].Limit = 1 << 30
	if why := f.Check(rooms); why != "" {
		t.Error(why)
	}
}

// The estimate is held against a real memcached.
func TestItemBytesAreMemcacheds(t *testing.T) {
	addr := servers.Memcached(t, "-m", "256")
	c, _ := memcache.New(memcache.Config{Servers: []string{addr}})
	defer c.Close()
	for _, size := range []int{10, 200, 1000, 5000} {
		before, _ := c.NodeHealth(t.Context(), addr)
		const n = 2000
		ops := make([]memcache.Op, n)
		for i := range ops {
			ops[i] = memcache.Op{Kind: memcache.Set, Key: fmt.Sprintf("k%d-%06d", size, i), Value: make([]byte, size)}
		}
		if err := c.Do(t.Context(), ops); err != nil {
			t.Fatal(err)
		}
		after, _ := c.NodeHealth(t.Context(), addr)
		real := (after.Bytes - before.Bytes) / n
		est := proof.ItemBytes(len(ops[0].Key), size)
		if est < real || est > real*13/10+12 {
			t.Errorf("value of %d: estimated %d, memcached counts %d before rounding to chunks", size, est, real)
		}
	}
}
