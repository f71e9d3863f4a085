package cachesync

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/cachesync/region"
	"sluice/internal/servers"
)

// world is a control region, one home and regions that come and go.
type world struct {
	control string
	home    *home
	addr    string
	reg     *region.Registry
}

func newWorld(t testing.TB) *world {
	w := &world{control: servers.Redis(t, "--appendfsync", "no").Addr, addr: servers.Redis(t, "--appendfsync", "no").Addr}
	w.home = newHome(t, w.addr)
	rdb := redis.NewClient(&redis.Options{Addr: w.control})
	t.Cleanup(func() { rdb.Close() })
	w.reg = &region.Registry{RDB: rdb, Lease: time.Second, Grace: 20 * time.Second}
	return w
}

func (w *world) config(name, class, memcached string) Config {
	return Config{
		Region: name, Class: class, Memcached: []string{memcached}, Lease: time.Second, Grace: 20 * time.Second,
		Homes:   []Home{{Name: "bj1", Redis: Redis{Addrs: []string{w.addr}}}},
		Control: Redis{Addrs: []string{w.control}}, ProbeEvery: 10,
	}
}

func (w *world) state(t testing.TB, name string) region.State {
	list, err := w.reg.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if r.Name == name {
			return r.State
		}
	}
	return ""
}

// begin runs a Syncer until stop; it is stopped at the end at the latest.
func begin(t testing.TB, cfg Config) (s *Syncer, stop func() error) {
	t.Helper()
	s, _, stop = start(t, cfg)
	return s, stop
}

// start is begin with what waits until Run ends by itself.
func start(t testing.TB, cfg Config) (s *Syncer, end, stop func() error) {
	t.Helper()
	s, err := NewSyncer(cfg, Deps{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx); s.Close() }()
	end = sync.OnceValue(func() error {
		select {
		case err := <-done:
			return err
		case <-time.After(30 * time.Second):
			t.Error("Run does not end")
			return nil
		}
	})
	stop = func() error {
		cancel()
		return end()
	}
	t.Cleanup(func() { stop() })
	return s, end, stop
}

func TestJoiningRegionCopiesANeighbourAndMissesNothing(t *testing.T) {
	w := newWorld(t)
	first := servers.Memcached(t)
	begin(t, w.config("bj1", "idc", first))
	await(t, "bj1 active", func() bool { return w.state(t, "bj1") == region.Active })
	for i := range 3000 {
		w.home.set(t, fmt.Sprint("u:", i), "before")
	}
	near := NewCache(CacheConfig{Store: newStore(t, first)})
	await(t, "bj1 has all", func() bool { return holds(near, "u:2999", "before") })
	stopLoad := make(chan struct{})
	loaded := make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stopLoad:
				loaded <- n
				return
			default:
				w.home.set(t, fmt.Sprint("u:", n%3000), fmt.Sprint("during ", n))
			}
		}
	}()
	second := servers.Memcached(t)
	begin(t, w.config("burst1", "burst", second))
	await(t, "burst1 active", func() bool { return w.state(t, "burst1") == region.Active })
	close(stopLoad)
	n := <-loaded
	far := NewCache(CacheConfig{Store: newStore(t, second)})
	for i := range 3000 {
		want := "before"
		for j := n - 1; j >= 0 && j > n-3001; j-- {
			if j%3000 == i {
				want = fmt.Sprint("during ", j)
				break
			}
		}
		await(t, fmt.Sprintf("u:%d = %s", i, want), func() bool { return holds(far, fmt.Sprint("u:", i), want) })
	}
	t.Logf("%d changes while joining", n)
}

// Appliers of a cluster tell their positions one after another: a region that begins where another
// one is must know all of them, or it would skip what that one has not written yet.
func TestRegionBeginsAtNoNeighbourThatHasNotToldAllPositions(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	s, err := NewSyncer(w.config("burst1", "burst", "127.0.0.1:1"), Deps{Store: newStore(t, servers.Memcached(t)), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := map[int]changelog.ID{}
	for b := range Buckets {
		at[b] = changelog.ID{Epoch: 1, Seq: 7}
		if err := changelog.Ack(ctx, w.home.rdb, "bj1", 1, apply.FormatPositions(at)); err != nil {
			t.Fatal(err)
		}
		if err := s.beginAt(ctx, "bj1"); (err == nil) != (len(at) == Buckets) {
			t.Errorf("with %d positions: %v", len(at), err)
		}
	}
}

func TestDrainedRegionLeavesAndAnotherProcessFences(t *testing.T) {
	w := newWorld(t)
	mem := servers.Memcached(t)
	begin(t, w.config("bj1", "idc", mem))
	_, end, _ := start(t, w.config("burst1", "burst", servers.Memcached(t)))
	await(t, "both active", func() bool { return w.state(t, "bj1") == region.Active && w.state(t, "burst1") == region.Active })
	if err := w.reg.Drain(context.Background(), "burst1"); err != nil {
		t.Fatal(err)
	}
	await(t, "burst1 gone", func() bool { return w.state(t, "burst1") == "" })
	if err := end(); !errors.Is(err, ErrDrained) {
		t.Errorf("Run ended with %v", err)
	}
	if n := w.home.rdb.HExists(context.Background(), changelog.ReadersKey, "burst1").Val(); n {
		t.Error("the home still waits for a region that left")
	}
	// A second process in bj1's place: the first must stop.
	if _, _, err := w.reg.Register(context.Background(), region.Region{Name: "bj1"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := w.reg.Drain(context.Background(), "nowhere"); !errors.Is(err, region.ErrUnknown) {
		t.Error(err)
	}
}

func TestRegionBehindTheCapJoinsAgainEmpty(t *testing.T) {
	w := newWorld(t)
	mem := servers.Memcached(t)
	cfg := w.config("far1", "monthly", mem)
	_, stop := begin(t, cfg)
	await(t, "active", func() bool { return w.state(t, "far1") == region.Active })
	w.home.set(t, "u:stale", "old")
	far := NewCache(CacheConfig{Store: newStore(t, mem)})
	await(t, "first", func() bool { return holds(far, "u:stale", "old") })
	stop() // saves its position
	// Meanwhile the key changes, and the log is trimmed over it.
	w.home.set(t, "u:stale", "new")
	for range 3 {
		w.home.set(t, "u:stale", "newest")
	}
	w.home.rdb.XTrimMaxLen(context.Background(), changelog.LogKey(BucketOf("u:stale")), 1)
	begin(t, cfg)
	await(t, "never the stale value", func() bool {
		reads := []Read{{Key: "u:stale", NoFill: true}}
		far.Read(context.Background(), reads)
		return reads[0].State == Miss || string(reads[0].Record.Payload) == "newest"
	})
	time.Sleep(300 * time.Millisecond) // long enough to have noticed the gap
	await(t, "active again", func() bool { return w.state(t, "far1") == region.Active })
	w.home.set(t, "u:after", "x")
	await(t, "live again", func() bool { return holds(far, "u:after", "x") })
}

// A drained region that comes back finds its positions, and that nobody waited for it.
func TestRegionThatFindsAGapWhileJoiningJoinsAgain(t *testing.T) {
	w := newWorld(t)
	neighbours, mem := servers.Memcached(t), servers.Memcached(t)
	begin(t, w.config("bj1", "idc", neighbours))
	cfg := w.config("burst1", "burst", mem)
	_, stop := begin(t, cfg)
	await(t, "both active", func() bool { return w.state(t, "bj1") == region.Active && w.state(t, "burst1") == region.Active })
	w.home.set(t, "u:x", "old")
	c := NewCache(CacheConfig{Store: newStore(t, mem)})
	await(t, "first", func() bool { return holds(c, "u:x", "old") })
	if err := w.reg.Drain(context.Background(), "burst1"); err != nil {
		t.Fatal(err)
	}
	await(t, "gone", func() bool { return w.state(t, "burst1") == "" })
	stop()
	for _, value := range []string{"newer", "newer still", "new"} {
		w.home.set(t, "u:x", value)
	}
	n := NewCache(CacheConfig{Store: newStore(t, neighbours)})
	await(t, "the neighbour has read all of it", func() bool { return holds(n, "u:x", "new") })
	w.home.rdb.XTrimMaxLen(context.Background(), changelog.LogKey(BucketOf("u:x")), 1)
	begin(t, cfg)
	await(t, "active again", func() bool { return w.state(t, "burst1") == region.Active })
	await(t, "the newest", func() bool { return holds(c, "u:x", "new") })
}

// A process that was paused while another took its place finds its changes trimmed: it must
// neither empty the other's memcached nor take the place back.
func TestFencedProcessWithAGapHarmsNobody(t *testing.T) {
	w := newWorld(t)
	mem := servers.Memcached(t)
	s, end, _ := start(t, w.config("bj1", "idc", mem))
	await(t, "active", func() bool { return w.state(t, "bj1") == region.Active })
	w.home.set(t, "u:x", "kept")
	c := NewCache(CacheConfig{Store: newStore(t, mem)})
	await(t, "value", func() bool { return holds(c, "u:x", "kept") })
	token, _, err := w.reg.Register(context.Background(), region.Region{Name: "bj1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.gap <- struct{}{} // what its appliers tell when changes are gone
	if err := end(); !errors.Is(err, region.ErrFenced) {
		t.Errorf("Run ended with %v", err)
	}
	if !holds(c, "u:x", "kept") {
		t.Error("the cache of the process in its place was emptied")
	}
	if state, err := w.reg.Renew(context.Background(), region.Region{Name: "bj1"}, token, ""); err != nil || state != region.Active {
		t.Errorf("the process in its place is %q, %v", state, err)
	}
}

func TestLostRegionIsSeenByItsLeaseAndAFlapEmptiesNothing(t *testing.T) {
	w := newWorld(t)
	mem := servers.Memcached(t)
	cfg := w.config("burst1", "burst", mem)
	_, stop := begin(t, cfg)
	await(t, "active", func() bool { return w.state(t, "burst1") == region.Active })
	w.home.set(t, "u:a", "x")
	c := NewCache(CacheConfig{Store: newStore(t, mem)})
	await(t, "value", func() bool { return holds(c, "u:a", "x") })
	stop()
	await(t, "lost", func() bool { return w.state(t, "burst1") == region.Lost })
	begin(t, cfg)
	await(t, "active at once", func() bool { return w.state(t, "burst1") == region.Active })
	if !holds(c, "u:a", "x") {
		t.Error("a flap within the grace time emptied the region")
	}
}

func TestPresentCountsJoiningAndLostButNotDraining(t *testing.T) {
	f := func(all, drain bool, states ...region.State) {
		t.Helper()
		var list []region.Region
		for i, class := range []string{"idc", "monthly", "burst"} {
			if states[i] != "" {
				list = append(list, region.Region{Class: class, State: states[i]})
			}
		}
		if a, d := region.Present(list); a != all || d != drain {
			t.Errorf("%v: %t %t", states, a, d)
		}
	}
	f(true, false, region.Active, region.Active, region.Joining)
	f(true, false, region.Active, region.Lost, region.Active)
	f(false, true, region.Active, region.Active, region.Draining)
	f(false, false, region.Active, region.Active, "")
}

func TestCopyingTellsHowFarItIs(t *testing.T) {
	from := newStore(t, servers.Memcached(t))
	var writes []apply.Write
	for i := range 5000 {
		writes = append(writes, apply.Write{Key: fmt.Sprint("u:", i), Record: Record{Type: TypeUser, Version: 1}})
	}
	if err := (&apply.Batch{Patience: time.Minute}).Apply(context.Background(), from, writes, time.Now()); err != nil {
		t.Fatal(err)
	}
	s, err := NewSyncer(newWorld(t).config("burst1", "burst", servers.Memcached(t)), Deps{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := len(s.copyFrom(context.Background(), &region.Region{Name: "bj1", Memcached: from.Nodes()})); n == 0 {
		t.Error("no sample")
	}
	if step := s.step.Load(); step.name != "copying bj1" || step.progress < 0.99 || step.progress > 1 {
		t.Errorf("%s %v", step.name, step.progress)
	}
}
