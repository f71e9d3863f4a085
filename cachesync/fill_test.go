package cachesync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/pipeline"
	"sluice/cachesync/record"
	"sluice/internal/servers"
)

// source answers every key with one version, after a while.
type source struct {
	version Version
	delay   time.Duration
	asked   atomic.Int64
	fail    error
}

func (s *source) Fill(ctx context.Context, keys []string) ([]Filled, error) {
	s.asked.Add(int64(len(keys)))
	time.Sleep(s.delay)
	if s.fail != nil {
		return nil, s.fail
	}
	var out []Filled
	for _, k := range keys {
		if k == "u:nobody" {
			continue
		}
		out = append(out, Filled{Key: k, Record: Record{Type: TypeUser, Version: s.version, Payload: []byte("from home")}})
	}
	return out, nil
}

func newCache(t testing.TB, store Store, s Source, l Limits) *Cache {
	c := NewCache(CacheConfig{Store: store})
	c.Source("u:", s, l)
	t.Cleanup(c.Close)
	return c
}

// The clock stands still and nobody loses patience: how busy the machine is does not matter.
func TestTenThousandClientsOnOneColdKeyCauseOneFill(t *testing.T) {
	addr := servers.Memcached(t)
	src := &source{version: 7, delay: 20 * time.Millisecond}
	now := time.Now()
	var caches []*Cache
	for range 4 { // as many processes
		store, err := memcache.New(memcache.Config{Servers: []string{addr}, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		c := NewCache(CacheConfig{Store: store, Now: func() time.Time { return now }})
		c.Source("u:", src, Limits{Timeout: time.Minute})
		t.Cleanup(c.Close)
		caches = append(caches, c)
	}
	var wg sync.WaitGroup
	var wrong atomic.Int64
	for i := range 10000 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			reads := []Read{{Key: "u:hot"}}
			if err := caches[i%len(caches)].Read(context.Background(), reads); err != nil || reads[0].State != Hit || string(reads[0].Record.Payload) != "from home" {
				wrong.Add(1)
			}
		}()
	}
	wg.Wait()
	if src.asked.Load() != 1 || wrong.Load() != 0 {
		t.Fatalf("%d fills, %d wrong answers", src.asked.Load(), wrong.Load())
	}
}

// flaky is a memcached that, for the calls that fail names, does the work or not, and does not
// answer, or that is down.
type flaky struct {
	Store
	fail func(op *memcache.Op) (err error, done bool)
}

func (f flaky) Do(ctx context.Context, ops []memcache.Op) error {
	var first error
	for i := range ops {
		err, done := f.fail(&ops[i])
		if err == nil || done {
			f.Store.Do(ctx, ops[i:i+1])
		}
		if err != nil {
			ops[i].Err = &pipeline.Error{Node: "flaky", Cause: err}
			first = ops[i].Err
		}
	}
	return first
}

func TestSlowMemcachedCausesNoSecondFill(t *testing.T) {
	f := func(t *testing.T, silent func(op *memcache.Op, n int64) (err error, done bool)) {
		store := newStore(t, servers.Memcached(t))
		src := &source{version: 7, delay: 20 * time.Millisecond}
		var calls [2]atomic.Int64
		var wg sync.WaitGroup
		for p := range calls { // as many processes
			c := newCache(t, flaky{store, func(op *memcache.Op) (error, bool) {
				if strings.HasPrefix(op.Key, record.PrefixLock) || op.Kind == memcache.Get {
					return silent(op, calls[p].Add(1))
				}
				return nil, false
			}}, src, Limits{Timeout: time.Minute})
			for range 20 {
				wg.Go(func() {
					reads := []Read{{Key: "u:hot"}}
					if c.Read(context.Background(), reads); reads[0].State != Hit {
						t.Errorf("%+v", reads[0])
					}
				})
			}
		}
		wg.Wait()
		if n := src.asked.Load(); n != 1 {
			t.Errorf("%d fills", n)
		}
	}
	t.Run("locks are taken but not answered", func(t *testing.T) {
		f(t, func(op *memcache.Op, n int64) (error, bool) {
			if op.Kind == memcache.Add && n < 30 {
				return memcache.ErrTimeout, true
			}
			return nil, false
		})
	})
	t.Run("locks are not taken", func(t *testing.T) {
		f(t, func(op *memcache.Op, n int64) (error, bool) {
			if op.Kind == memcache.Add && n < 30 {
				return memcache.ErrLost, false
			}
			return nil, false
		})
	})
	t.Run("looks are not answered", func(t *testing.T) {
		f(t, func(op *memcache.Op, n int64) (error, bool) {
			if op.Kind == memcache.Get && n < 60 {
				return memcache.ErrBusy, false
			}
			return nil, false
		})
	})
}

func TestDeadMemcachedIsNoReasonToAskForAHotKeyAllTheTime(t *testing.T) {
	src := &source{version: 7}
	var now atomic.Int64
	c := NewCache(CacheConfig{
		Store: flaky{newStore(t, servers.Memcached(t)), func(*memcache.Op) (error, bool) { return memcache.ErrNodeDown, false }},
		Now:   func() time.Time { return time.UnixMilli(1e12 + now.Load()) },
	})
	c.Source("u:", src, Limits{})
	t.Cleanup(c.Close)
	read := func(fresh bool) {
		t.Helper()
		reads := []Read{{Key: "u:hot", Fresh: fresh}}
		if c.Read(context.Background(), reads); reads[0].State != Hit || string(reads[0].Record.Payload) != "from home" {
			t.Errorf("%+v", reads[0])
		}
	}
	asked := func(want int64) {
		t.Helper()
		if n := src.asked.Load(); n != want {
			t.Errorf("the source was asked %d times, want %d", n, want)
		}
	}
	for range 100 {
		read(false)
	}
	asked(1)
	read(true)
	asked(2)
	now.Add(holdUnstored.Milliseconds())
	read(false)
	asked(3)
	for range 100 {
		read(false)
	}
	asked(3)
	now.Add(holdUnstored.Milliseconds())
	await(t, "answers forgotten", func() bool {
		f := c.sourceOf("u:")
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.flights)+len(f.held) == 0
	})
}

func TestFillOfAPausedProcessIsToldLater(t *testing.T) {
	store := newStore(t, servers.Memcached(t))
	for key, kind := range map[string]memcache.Kind{"u:before": memcache.Gets, "u:meanwhile": memcache.Add} {
		var paused atomic.Int64
		c := NewCache(CacheConfig{
			Store: flaky{store, func(op *memcache.Op) (error, bool) {
				if op.Key == key && op.Kind == kind {
					paused.Add(MaxFillAge.Milliseconds() + 1)
				}
				return nil, false
			}},
			Now: func() time.Time { return time.UnixMilli(1e12 + paused.Load()) },
		})
		c.Source("u:", &source{version: 7}, Limits{})
		reads := []Read{{Key: key}}
		if c.Read(context.Background(), reads); reads[0].State != Later || !errors.Is(reads[0].Err, ErrLater) {
			t.Errorf("%+v", reads[0])
		}
		c.Close()
		if holds(NewCache(CacheConfig{Store: store}), key, "from home") {
			t.Errorf("%s was written too late", key)
		}
	}
}

func TestColdKeysNeverExceedTheSourcesLimit(t *testing.T) {
	keys := 1_000_000
	if testing.Short() {
		keys = 20_000
	}
	src := &source{version: 7}
	const perSecond = 2000
	c := newCache(t, newStore(t, servers.Memcached(t)), src, Limits{PerSecond: perSecond, Queue: 200})
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	began := time.Now()
	var wg sync.WaitGroup
	var later, hit, other atomic.Int64
	const clients = 64
	for g := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			reads := make([]Read, 100)
			for from := g * len(reads); from < keys; from += clients * len(reads) {
				for i := range reads {
					reads[i] = Read{Key: fmt.Sprint("u:", from+i)}
				}
				if err := c.Read(ctx, reads); err != nil {
					t.Errorf("%v; %d keys filled, %d later: %+v", err, hit.Load(), later.Load(), c.Stats())
					return
				}
				for i := range reads {
					switch reads[i].State {
					case Hit:
						hit.Add(1)
					case Later:
						later.Add(1)
					default:
						other.Add(1)
					}
				}
			}
		}()
	}
	wg.Wait()
	took := time.Since(began)
	if limit := int64(perSecond*took.Seconds()) + 256; src.asked.Load() > limit {
		t.Errorf("the source was asked for %d keys in %s, limit %d", src.asked.Load(), took, limit)
	}
	if later.Load() == 0 || hit.Load() == 0 || other.Load() != 0 {
		t.Errorf("%d later, %d hit, %d other", later.Load(), hit.Load(), other.Load())
	}
	t.Logf("%d keys in %s: %d filled, %d told later", keys, took, hit.Load(), later.Load())
}

// A node that is slow holds up those who fill; who waits for them is told "later" in time.
func TestCallersWaitNoLongerThanTheirSourceAllows(t *testing.T) {
	release := make(chan struct{})
	store := flaky{newStore(t, servers.Memcached(t)), func(op *memcache.Op) (error, bool) {
		if op.Kind == memcache.Add && op.Key == "lk:u:a" {
			<-release
		}
		return nil, false
	}}
	c := newCache(t, store, &source{version: 7}, Limits{Workers: 1, Timeout: 200 * time.Millisecond})
	defer close(release)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, keys := range [][]string{{"u:a"}, {"u:b", "u:c"}} { // held up, and behind it in the queue
		reads := make([]Read, len(keys))
		for i, key := range keys {
			reads[i].Key = key
		}
		if err := c.Read(ctx, reads); err != nil {
			t.Fatal(err)
		}
		for _, r := range reads {
			if r.State != Later || !errors.Is(r.Err, ErrLater) {
				t.Errorf("%+v", r)
			}
		}
	}
}

// What is filled in time is told, whatever else was asked for with it.
func TestAKeyThatIsLateHidesNoOther(t *testing.T) {
	release := make(chan struct{})
	store := flaky{newStore(t, servers.Memcached(t)), func(op *memcache.Op) (error, bool) {
		if op.Key == "lk:u:a" {
			<-release
		}
		return nil, false
	}}
	c := newCache(t, store, &source{version: 7}, Limits{Timeout: 2 * time.Second})
	c.Source("rm:", &source{version: 7}, Limits{Timeout: 2 * time.Second})
	defer close(release)
	reads := []Read{{Key: "u:a"}}
	for i := range 20 {
		reads = append(reads, Read{Key: fmt.Sprint("rm:", i)})
	}
	if err := c.Read(context.Background(), reads); err != nil {
		t.Fatal(err)
	}
	for i, r := range reads {
		if want := map[bool]State{true: Later, false: Hit}[i == 0]; r.State != want {
			t.Errorf("%s: %s, want %s", r.Key, r.State, want)
		}
	}
}

func TestFillNeverCoversSomethingNewer(t *testing.T) {
	store := newStore(t, servers.Memcached(t))
	src := &source{version: 7, delay: 50 * time.Millisecond}
	c := newCache(t, store, src, Limits{})
	go func() {
		time.Sleep(20 * time.Millisecond) // while the fill is on its way
		var b apply.Batch
		b.Apply(context.Background(), store, []apply.Write{{Key: "u:a", Record: Record{Type: TypeUser, Version: 9, Payload: []byte("applied")}}}, time.Now())
	}()
	reads := []Read{{Key: "u:a"}}
	if err := c.Read(context.Background(), reads); err != nil || string(reads[0].Record.Payload) != "applied" {
		t.Fatal(err, reads[0])
	}
}

func TestSlowFillIsDroppedAndToldLater(t *testing.T) {
	src := &source{version: 7, delay: MaxFillAge + 50*time.Millisecond}
	c := newCache(t, newStore(t, servers.Memcached(t)), src, Limits{})
	reads := []Read{{Key: "u:a"}}
	if err := c.Read(context.Background(), reads); err != nil || reads[0].State != Later || c.Stats().Sources["u:"].Late != 1 {
		t.Fatal(err, reads[0], c.Stats())
	}
	reads[0] = Read{Key: "u:a", NoFill: true}
	if c.Read(context.Background(), reads); reads[0].State != Miss {
		t.Fatal("a fill that came too late was written")
	}
}

func TestFailedAndUnknownKeysAreToldApart(t *testing.T) {
	store := newStore(t, servers.Memcached(t))
	src := &source{version: 7}
	c := newCache(t, store, src, Limits{})
	reads := []Read{{Key: "u:nobody"}, {Key: "u:a"}, {Key: "x:none"}}
	c.Read(context.Background(), reads)
	if !errors.Is(reads[0].Err, ErrNotFound) || reads[0].State != Miss || reads[1].State != Hit || reads[2].State != Miss {
		t.Fatalf("%+v", reads)
	}
	src.fail = errors.New("source is down")
	reads = []Read{{Key: "u:b"}}
	if c.Read(context.Background(), reads); reads[0].State != Later || !errors.Is(reads[0].Err, src.fail) {
		t.Fatalf("%+v", reads)
	}
}

func TestTombstonesForeignValuesAndRefillsAreNoHits(t *testing.T) {
	store := newStore(t, servers.Memcached(t))
	src := &source{version: 7}
	c := newCache(t, store, src, Limits{})
	put := func(key string, v []byte) {
		store.Do(context.Background(), []memcache.Op{{Kind: memcache.Set, Key: key, Value: v}})
	}
	put("u:empty", nil)
	put("u:foreign", []byte("somebody else's"))
	put("u:dead", Record{Version: 9, Flags: FlagTombstone}.Append(nil))
	put("u:refill", Record{Version: 7, Flags: FlagTombstone | FlagRefill}.Append(nil))
	put("u:ahead", Record{Version: 8, Flags: FlagTombstone | FlagRefill}.Append(nil))
	reads := []Read{{Key: "u:empty"}, {Key: "u:foreign"}, {Key: "u:dead"}, {Key: "u:refill"}, {Key: "u:ahead"}}
	c.Read(context.Background(), reads)
	for i, want := range []State{Hit, Hit, Tombstone, Hit, Later} {
		if reads[i].State != want {
			t.Errorf("%s: %s, want %s", reads[i].Key, reads[i].State, want)
		}
	}
	if !errors.Is(reads[4].Err, ErrBehind) {
		t.Error(reads[4].Err)
	}
	if st := c.Stats(); st.Empty != 1 || st.Foreign != 1 {
		t.Errorf("%+v", st)
	}
}

func TestUserStateGoesHomeAndComesBackNewest(t *testing.T) {
	f := func(t *testing.T, addr string) {
		ctx := context.Background()
		rdb := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { rdb.Close() })
		users := &Users{RDB: rdb, Epoch: 1, Next: &source{version: MakeVersion(1, 5, 0)}}
		if err := users.Put(ctx, []User{{UID: "a", State: []byte(`{}`)}}); !errors.Is(err, ErrFenced) {
			t.Fatal(err)
		}
		for b := range Buckets {
			changelog.Raise(ctx, rdb, b, 1, 0)
		}
		for _, text := range UserScripts(1) {
			rdb.ScriptLoad(ctx, text)
		}
		store := newStore(t, servers.Memcached(t))
		s := run(t, Config{Region: "bj1", Homes: []Home{{Name: "bj1", Redis: Redis{Addrs: []string{addr}}}}}, Deps{Store: store})
		await(t, "connection", func() bool { return s.Ready() == nil })
		in := make(chan User, 600)
		for i := range 600 {
			in <- User{UID: fmt.Sprint("user", i), State: []byte(fmt.Sprintf(`{"n":%d}`, i))}
		}
		close(in)
		if err := users.Stream(ctx, in); err != nil {
			t.Fatal(err)
		}
		cache := NewCache(CacheConfig{Store: store})
		for i := range 600 {
			await(t, "user", func() bool { return holds(cache, fmt.Sprint("u:user", i), fmt.Sprintf(`{"n":%d}`, i)) })
		}
		twice := []User{{UID: "twice", State: []byte(`{"n":1}`)}, {UID: "twice", State: []byte(`{"n":2}`)}}
		if err := users.Put(ctx, twice); err != nil {
			t.Fatal(err)
		}
		await(t, "the last of two states in one batch", func() bool { return holds(cache, "u:twice", `{"n":2}`) })
		if err := users.Put(ctx, []User{{UID: "user1"}}); err != nil {
			t.Fatal(err)
		}
		got, err := users.Fill(ctx, []string{"u:user0", "u:user1", "u:other"})
		if err != nil || string(got[0].Record.Payload) != `{"n":0}` || !got[1].Record.Tombstone() || string(got[2].Record.Payload) != "from home" {
			t.Fatal(got, err)
		}
		n := 0
		if err := users.Snapshot(ctx, func(l []Filled) error { n += len(l); return nil }); err != nil {
			t.Fatal(err)
		}
		if n != 601 {
			t.Errorf("snapshots hold %d users, want 601", n)
		}
	}
	t.Run("miniredis", func(t *testing.T) { f(t, miniredis.RunT(t).Addr()) })
	t.Run("redis", func(t *testing.T) { f(t, servers.Redis(t).Addr) })
	for _, bad := range []User{{UID: ""}, {UID: "a b"}, {UID: "a", State: []byte("[]")}, {UID: "a", State: []byte("{")}} {
		if err := (&Users{}).Put(context.Background(), []User{bad}); !errors.Is(err, ErrUser) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestUsersOfAClusterAreListedFromAllNodes(t *testing.T) {
	ctx := context.Background()
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: servers.StartRedisCluster(t, 3).Addrs})
	t.Cleanup(func() { rdb.Close() })
	users := &Users{RDB: rdb}
	for i := range 500 {
		uid := fmt.Sprint("user", i)
		if err := rdb.Set(ctx, liveKey(BucketOf(uid), uid), "1.5.0 0 {}", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	listed := map[string]bool{}
	if err := users.Snapshot(ctx, func(l []Filled) error {
		for _, f := range l {
			listed[f.Key] = f.Err == nil
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(listed) != 500 || !listed["u:user7"] {
		t.Errorf("%d of 500 users are listed", len(listed))
	}
}

func TestFeedInvalidatesCopiesOfOtherProcesses(t *testing.T) {
	addr := servers.Redis(t).Addr
	h := newHome(t, addr)
	store := newStore(t, servers.Memcached(t))
	feedAddr := fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t))
	cache := NewCache(CacheConfig{Store: store, Keep: func(string, Record) time.Duration { return time.Hour }})
	s := run(t, Config{Region: "bj1", Invalidations: feedAddr, Homes: []Home{{Name: "bj1", Redis: Redis{Addrs: []string{addr}}}}}, Deps{Store: store})
	await(t, "connection", func() bool { return s.Ready() == nil })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { cache.Listen(ctx, feedAddr, quiet()); close(done) }()
	defer func() { cancel(); <-done }()
	for i := range 20 {
		h.set(t, "u:x", fmt.Sprint(i))
		await(t, "copy", func() bool { return holds(cache, "u:x", fmt.Sprint(i)) })
		holds(cache, "u:x", fmt.Sprint(i))
		time.Sleep(10 * time.Millisecond)
	}
	await(t, "local hit", func() bool { holds(cache, "u:x", "19"); return cache.Stats().LocalHits > 20 })
}

func TestHitRatioIsCountedByKind(t *testing.T) {
	c := NewCache(CacheConfig{Store: newStore(t, servers.Memcached(t))})
	defer c.Close()
	for range 3 {
		reads := []Read{{Key: "u:a"}, {Key: "rp:x"}, {Key: "other"}}
		if err := c.Read(context.Background(), reads); err != nil {
			t.Fatal(err)
		}
	}
	kinds := c.Stats().Kinds
	if kinds["u:"] != (KindStats{Reads: 3}) || kinds["rp:"] != (KindStats{Reads: 3}) || kinds["w:"] != (KindStats{}) {
		t.Errorf("%+v", kinds)
	}
}
