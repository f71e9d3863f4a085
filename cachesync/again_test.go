package cachesync

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/cachesync/memcache"
	"sluice/cachesync/region"
	"sluice/internal/servers"
)

// A region that is wrong for a reason nobody knew of is right again after a round, and says so.
func TestAntiEntropyRepairsWhatNobodyKnewOf(t *testing.T) {
	ctx := context.Background()
	addr := servers.Redis(t, "--appendfsync", "no").Addr
	h := newHome(t, addr)
	store := newStore(t, servers.Memcached(t))
	users := &Users{RDB: h.rdb}
	s := run(t, Config{Region: "bj1", AgainPerSecond: 1000, Homes: []Home{{Name: "bj1", Redis: Redis{Addrs: []string{addr}}}}},
		Deps{Store: store, Truth: map[string]Source{"u:": users.Live()}})
	await(t, "connection", func() bool { return s.Ready() == nil })
	if err := s.again.round(ctx, s.links[0], 1000); err != nil {
		t.Fatal(err)
	}
	for _, text := range append(UserScripts(1), changelog.AgainScripts(1)...) {
		if err := redis.NewScript(text).Load(ctx, h.rdb).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, uid := range []string{"older", "missing", "equal"} {
		if err := users.Put(ctx, []User{{UID: uid, State: []byte(`{"n":1}`)}}); err != nil {
			t.Fatal(err)
		}
	}
	c := NewCache(CacheConfig{Store: store})
	all := func() bool {
		return holds(c, "u:older", `{"n":1}`) && holds(c, "u:missing", `{"n":1}`) && holds(c, "u:equal", `{"n":1}`)
	}
	await(t, "all", all)
	// A syncer that has just begun writes its log a second time, which repairs too, and counts
	// as nothing: so the damage is done again until only the round repairs it.
	repaired := func() bool {
		store.Do(ctx, []memcache.Op{
			{Kind: memcache.Set, Key: "u:older", Value: Record{Type: TypeUser, Version: MakeVersion(0, 1, 0), Payload: []byte("{}")}.Append(nil)},
			{Kind: memcache.Delete, Key: "u:missing"},
		})
		before := s.Stats().Links[0].Counts
		if err := s.again.round(ctx, s.links[0], 1000); err != nil {
			t.Fatal(err)
		}
		await(t, "all again", all)
		for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
			n := s.Stats().Links[0].Counts
			if n.AgainOlder-before.AgainOlder == 1 && n.AgainMissing-before.AgainMissing == 1 && n.AgainEqual > before.AgainEqual {
				return true
			}
		}
		return false
	}
	await(t, "a round that repairs both", repaired)
	if g := s.again; g.emitted.Load() < 3 || g.looked.Load() < 3 {
		t.Errorf("looked %d, emitted %d", g.looked.Load(), g.emitted.Load())
	}
}

// Every region meets a change that nobody can read: none empties itself, and all have what it was.
func TestAChangeThatCannotBeReadIsSentAgainByItsHome(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	users := &Users{RDB: w.home.rdb}
	for _, text := range append(UserScripts(1), changelog.AgainScripts(1)...) {
		if err := redis.NewScript(text).Load(ctx, w.home.rdb).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var caches []*Cache
	var syncers []*Syncer
	for name, class := range map[string]string{"bj1": "idc", "month1": "monthly"} {
		mem := servers.Memcached(t)
		store := newStore(t, mem)
		cfg := w.config(name, class, mem)
		cfg.AgainPerSecond = -1 // nothing else sends it again
		syncers = append(syncers, run(t, cfg, Deps{Store: store, Truth: map[string]Source{"u:": users.Live()}}))
		await(t, name+" active", func() bool { return w.state(t, name) == region.Active })
		if err := store.Do(ctx, []memcache.Op{{Kind: memcache.Set, Key: "marker", Value: []byte("not emptied")}}); err != nil {
			t.Fatal(err)
		}
		caches = append(caches, NewCache(CacheConfig{Store: store}))
	}
	if err := users.Put(ctx, []User{{UID: "ann", State: []byte(`{"n":1}`)}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range caches {
		await(t, "the change before", func() bool { return holds(c, "u:ann", `{"n":1}`) })
	}
	b := BucketOf("ann")
	unreadable := redis.NewScript(changelog.Prelude(1) + `
local seq = commit({'u:ann', 'no type', '0', ARGV[1]}, nil, '0')
redis.call('SET', KEYS[4], '0.' .. string.format('%.0f', vms) .. '.' .. string.format('%.0f', vctr) .. ' 0 ' .. ARGV[1])
return seq`)
	keys := []string{changelog.MetaKey(b), changelog.LogKey(b), changelog.WinKey(b), liveKey(b, "ann")}
	if err := unreadable.Run(ctx, w.home.rdb, keys, `{"n":2}`).Err(); err != nil {
		t.Fatal(err)
	}
	for i, c := range caches {
		await(t, "the change that could not be read", func() bool { return holds(c, "u:ann", `{"n":2}`) })
		if st := syncers[i].Stats().Links[0]; st.Malformed == 0 || st.Gaps != 0 {
			t.Errorf("%d malformed entries, %d gaps", st.Malformed, st.Gaps)
		}
		op := []memcache.Op{{Kind: memcache.Get, Key: "marker"}}
		if c.store.Do(ctx, op); op[0].Err != nil {
			t.Error("a region has emptied itself:", op[0].Err)
		}
	}
}

// Many changes of one bucket may be unreadable, and its home down for a moment: no bucket is forgotten.
func TestEveryBucketWithAnUnreadableChangeIsSentAgain(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer rdb.Close()
	scans := make(scanning, 10)
	rdb.AddHook(scans)
	g := &again{s: &Syncer{deps: Deps{Log: quiet()}}, torn: make(chan int, Buckets)}
	for range 2 * Buckets {
		g.soon(3)
	}
	g.soon(5)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go g.mend(ctx, &link{rdb: rdb})
	seen := map[string]int{}
	for range 3 { // the first fails
		seen[<-scans]++
	}
	if seen["{b03}:*"] != 2 || seen["{b05}:*"] != 1 {
		t.Errorf("%v", seen)
	}
}

// scanning tells which keys are scanned for; the first answer is lost.
type scanning chan string

func (s scanning) DialHook(next redis.DialHook) redis.DialHook { return next }
func (s scanning) ProcessPipelineHook(p redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return p
}
func (s scanning) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	lost := false
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "scan" {
			return next(ctx, cmd)
		}
		s <- cmd.Args()[3].(string)
		if err := next(ctx, cmd); err != nil || lost {
			return err
		}
		lost = true
		return io.ErrUnexpectedEOF
	}
}

// What waits for the certifier is left alone: nothing of it is known to be true.
func TestAntiEntropyLeavesBucketsThatAreShut(t *testing.T) {
	ctx := context.Background()
	addr := servers.Redis(t, "--appendfsync", "no").Addr
	h := newHome(t, addr)
	h.rdb.Set(ctx, BucketKey(7, "u:x"), "0.1.0 0 {}", 0)
	s := run(t, Config{Region: "bj1", AgainPerSecond: -1, Homes: []Home{{Name: "bj1", Redis: Redis{Addrs: []string{addr}}}}},
		Deps{Store: newStore(t, servers.Memcached(t)), Truth: map[string]Source{"u:": fixed{}}})
	if err := s.again.round(ctx, s.links[0], 1000); err != nil {
		t.Fatal(err)
	}
	if g := s.again; g.shut.Load() == 0 || g.emitted.Load() != 0 {
		t.Errorf("shut %d, emitted %d", g.shut.Load(), g.emitted.Load())
	}
	if n := h.rdb.XLen(ctx, changelog.LogKey(7)).Val(); n != 0 {
		t.Errorf("%d entries in its log", n)
	}
}

// fixed is a Source that knows every key.
type fixed struct{}

func (fixed) Fill(_ context.Context, keys []string) (out []Filled, err error) {
	for _, k := range keys {
		out = append(out, Filled{Key: k, Record: Record{Type: TypeUser, Version: MakeVersion(0, 1, 0), Payload: []byte("{}")}})
	}
	return out, nil
}
