package cachesync

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/cachesync/goredis"
	"sluice/cachesync/memcache"
	"sluice/cachesync/region"
)

// Deps are what a Syncer is given besides its Config. All may be zero.
type Deps struct {
	// Store is the region's memcached; nil means a client over Config.Memcached, which the
	// Syncer then watches and closes. A Store given here must be Authoritative.
	Store apply.Store
	// Timeout is that client's; zero value means 500 ms.
	Timeout time.Duration
	// Caches in this process: they hear at once what was written.
	Caches []*Cache
	// Snapshots list what this region's own home holds, for a memcached that lost its data:
	// money, users, rooms.
	Snapshots []Snapshotter
	// Truth reads this region's own home's records by the prefix of their keys, for what is
	// sent again to all regions. It must not answer for a bucket that is not certified.
	Truth map[string]Source
	// Dial opens connections to Redis; nil means net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Now  func() time.Time // nil means time.Now
	Log  *slog.Logger     // nil means slog.Default
}

// Snapshotter lists the records that this region's own home holds, with their stored versions.
type Snapshotter interface {
	// Snapshot calls emit with the records of all buckets, in pieces, each read after emit
	// returned from the one before. It need not be a consistent whole: changes since it began
	// come through the change log. What cannot be read is left out, and is an error at the end.
	Snapshot(ctx context.Context, emit func([]Filled) error) error
}

// Syncer keeps one region's memcached equal to all homes: it is what `sluice sync` runs,
// and in `sluice run` a part of the one process.
type Syncer struct {
	cfg      Config
	deps     Deps
	store    apply.Store
	client   *memcache.Client // nil when the Store is no client
	owned    *memcache.Client // to be closed; nil when the Store was given
	links    []*link
	feed     *feed
	registry *region.Registry // nil without a control region
	control  redis.UniversalClient
	probes   *prober
	again    *again

	classes atomic.Bool   // regions of all three classes are there
	drain   atomic.Bool   // a burst region is being drained
	gap     chan struct{} // changes are gone: this region must join again
	cold    chan struct{} // a node lost its data
	step    atomic.Pointer[step]

	trimmed atomic.Pointer[changelog.TrimStats]
}

// step is how far a join has come, for `sluice region join`.
type step struct {
	name     string
	progress float64
}

// link is one home, seen from this region.
type link struct {
	home Home
	rdb  redis.UniversalClient
	acks atomic.Uint64

	mu       sync.Mutex
	appliers []*apply.Applier     // of the session
	at       map[int]changelog.ID // applied, over all appliers
	start    map[int]changelog.ID // where the session begins: saved positions, a neighbour's, or the head
}

func (l *link) all() []*apply.Applier {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.appliers
}

// replicasWithin is how long replicas may take before a reply of the change log is read again.
const replicasWithin = 500 * time.Millisecond

// settled keeps back what the home's replicas do not have: shown here, a win could be told that
// a promoted replica never heard of. A relay has waited already.
func (l *link) settled(relayed bool) func(ctx context.Context) error {
	if l.home.Replicas == 0 || relayed {
		return nil
	}
	return func(ctx context.Context) error {
		return changelog.AwaitReplicas(ctx, l.rdb, l.home.Replicas, replicasWithin)
	}
}

// NewSyncer checks the configuration and prepares everything; Run does the work, and
// Close must follow.
func NewSyncer(cfg Config, deps Deps) (*Syncer, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	if deps.Dial == nil {
		d := &net.Dialer{Timeout: 2 * time.Second}
		deps.Dial = d.DialContext
	}
	s := &Syncer{cfg: cfg, deps: deps, store: deps.Store, gap: make(chan struct{}, 1), cold: make(chan struct{}, 1)}
	if s.store == nil {
		client, err := s.newClient(cfg.Memcached)
		if err != nil {
			return nil, err
		}
		s.store = client
		s.owned = client
	}
	s.client, _ = s.store.(*memcache.Client)
	for _, h := range cfg.Homes {
		s.links = append(s.links, s.newLink(h))
	}
	if len(cfg.Control.Addrs) > 0 {
		s.control = cfg.Control.NewRedis(deps.Dial)
		s.registry = &region.Registry{RDB: s.control, Lease: cfg.Lease, Grace: cfg.Grace}
	}
	s.probes = newProber(s)
	s.again = &again{s: s, torn: make(chan int, Buckets)}
	if cfg.Invalidations != "" {
		s.feed = newFeed(deps.Log)
	}
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Class == "" {
		c.Class = ClassIDC
	}
	if c.Lease == 0 {
		c.Lease = 10 * time.Second
	}
	if c.Grace == 0 {
		c.Grace = 30 * time.Second
	}
	if c.ProbeEvery == 0 {
		c.ProbeEvery = 1000
	}
	if c.AgainPerSecond == 0 {
		c.AgainPerSecond = 200
	}
	return c
}

func (s *Syncer) newClient(servers []string) (*memcache.Client, error) {
	client, err := memcache.New(memcache.Config{
		Servers: servers, Authoritative: true, Timeout: s.deps.Timeout,
		Events: memcache.Events{
			OnEject: func(node string, cause error) { s.deps.Log.Warn("memcached node is down", "node", node, "err", cause) },
			OnReturn: func(node string, flushed bool) {
				s.deps.Log.Info("memcached node is back", "node", node, "emptied", flushed)
			},
			OnCold: func(node string, why memcache.Cold) { // what is done about it: the position there is gone too
				s.deps.Log.Warn("memcached node lost its data", "node", node, "why", string(why))
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cachesync: memcached of region %s: %w", s.cfg.Region, err)
	}
	return client, nil
}

// NewRedis is a client for commands that may block or be repeated by their caller only:
// nothing is sent twice.
func (r Redis) NewRedis(dial func(ctx context.Context, network, addr string) (net.Conn, error)) redis.UniversalClient {
	return goredis.New(&redis.UniversalOptions{
		Addrs: r.Addrs, IsClusterMode: r.Cluster, Username: r.Username, Password: r.Password,
		Dialer: dial, PoolSize: 4, ReadTimeout: 2 * time.Second, ContextTimeoutEnabled: true,
		DisableIdentity: true, Protocol: 2,
	})
}

func (s *Syncer) newLink(h Home) *link {
	return &link{home: h, rdb: h.Redis.NewRedis(s.deps.Dial)}
}

// arm makes the appliers of a session.
func (s *Syncer) arm(l *link) {
	var list []*apply.Applier
	for _, buckets := range groups(l.home.Redis.Cluster) {
		list = append(list, apply.New(apply.Config{
			Source: l.home.PositionName(buckets[0]), Buckets: buckets, Store: s.store, MaxPending: s.cfg.PendingBytes,
			Positions: &apply.CachePositions{Store: s.store, Now: s.deps.Now, OnCold: s.nodeCold, OnStale: s.nodeStale},
			Reader: changelog.NewReader(changelog.ReaderConfig{
				Buckets: buckets, Username: l.home.Redis.Username, Password: l.home.Redis.Password,
				Stream: l.home.Relay != "", Settled: l.settled(l.home.Relay != ""),
				Dial: func(ctx context.Context) (net.Conn, error) {
					if l.home.Relay != "" {
						return s.deps.Dial(ctx, "tcp", l.home.Relay)
					}
					return s.dialBucket(ctx, l, buckets[0])
				},
			}),
			Start:  func(ctx context.Context, bucket int) (changelog.ID, error) { return s.startOf(ctx, l, bucket) },
			Repair: func(ctx context.Context, bucket int, from, to changelog.ID) error { return s.rejoin(ctx) },
			Unreadable: func(bucket int) {
				if l.home.Name == s.cfg.Region {
					s.again.soon(bucket)
				}
			},
			Ack:       func(ctx context.Context, at map[int]changelog.ID) error { return s.ack(ctx, l, at) },
			Situation: func() apply.Situation { return apply.Situation{AllClasses: s.classes.Load(), Draining: s.drain.Load()} },
			Applied:   func(key string, v Version) { s.applied(key, v, l.home.Name == s.cfg.Region) }, Now: s.deps.Now, Log: s.deps.Log.With("region", s.cfg.Region),
		}))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Told whole from the first moment on, though each applier tells its own buckets only: others
	// begin where this region is, and must find all.
	l.appliers, l.at = list, maps.Clone(l.start)
	if l.at == nil {
		l.at = map[int]changelog.ID{}
	}
}

// PositionName is what the position of one of the home's buckets is saved under (apply.CachePositions).
func (h Home) PositionName(bucket int) string {
	if h.Redis.Cluster {
		return fmt.Sprintf("%s:%02d", h.Name, bucket)
	}
	return h.Name
}

// groups says which buckets share a connection: all, or in a cluster each has its own.
func groups(cluster bool) [][]int {
	if !cluster {
		all := make([]int, Buckets)
		for b := range all {
			all[b] = b
		}
		return [][]int{all}
	}
	var out [][]int
	for b := range Buckets {
		out = append(out, []int{b})
	}
	return out
}

// dialBucket connects to the node that holds a bucket.
func (s *Syncer) dialBucket(ctx context.Context, l *link, bucket int) (net.Conn, error) {
	addr := l.home.Redis.Addrs[0]
	if c, ok := l.rdb.(*redis.ClusterClient); ok {
		// The connection before this one may have ended because the slot was moved: the next
		// dial knows, while a client that is asked for nothing else looks every ten seconds.
		c.ReloadState(ctx)
		node, err := c.MasterForKey(ctx, changelog.LogKey(bucket))
		if err != nil {
			return nil, err
		}
		addr = node.Options().Addr
	}
	return s.deps.Dial(ctx, "tcp", addr)
}

// applied hears of everything that was written here; ours says that this home committed it.
func (s *Syncer) applied(key string, v Version, ours bool) {
	for _, c := range s.deps.Caches {
		c.Applied(key, v)
	}
	if s.feed != nil {
		s.feed.applied(key, v)
	}
	s.probes.applied(key, v, ours)
}

// watchNodes reads the canaries, which tell why a node lost its data.
func (s *Syncer) watchNodes(ctx context.Context) error {
	return s.client.Watch(ctx, 0)
}

// ticks tells the caches of this process that the stream of Applied calls is whole.
func (s *Syncer) ticks(ctx context.Context) error {
	tick := time.NewTicker(feedEvery)
	defer tick.Stop()
	for {
		for _, c := range s.deps.Caches {
			c.Alive()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// beats writes the heartbeats of this region's own home.
func (s *Syncer) beats(ctx context.Context, l *link) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error { // one by one, a cluster's would each wait for an fsync
			for _, buckets := range groups(l.home.Redis.Cluster) {
				changelog.Beat(ctx, p, buckets)
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			s.deps.Log.Debug("heartbeat failed", "home", l.home.Name, "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// relays sends the change log of this region's own home to those who ask.
func (s *Syncer) relays(ctx context.Context, l *link) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.RelayListen)
	if err != nil {
		return fmt.Errorf("cachesync: relay: %w", err)
	}
	r := &changelog.Relay{Username: l.home.Redis.Username, Password: l.home.Redis.Password, Settled: l.settled(false), Log: s.deps.Log,
		Dial: func(ctx context.Context, bucket int) (net.Conn, error) { return s.dialBucket(ctx, l, bucket) }}
	return r.Serve(ctx, ln)
}

// trims keeps the change logs of this region's own home short.
func (s *Syncer) trims(ctx context.Context, l *link) error {
	t := &changelog.Trimmer{
		RDB: l.rdb, Buckets: allBuckets(), Parse: apply.ParsePositions,
		CapBytes: s.cfg.LogCapBytes, Lease: 3 * s.cfg.Lease, Now: s.deps.Now, Log: s.deps.Log,
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := t.Trim(ctx); err != nil && ctx.Err() == nil {
			s.deps.Log.Warn("change log cannot be trimmed", "home", l.home.Name, "err", err)
		}
		st := t.Stats
		s.trimmed.Store(&st)
	}
}

func allBuckets() []int { return groups(false)[0] }

// Client is the region's memcached; nil if Deps.Store was none.
func (s *Syncer) Client() *memcache.Client { return s.client }

// Close ends the connections; Run must have returned.
func (s *Syncer) Close() error {
	for _, l := range s.links {
		l.rdb.Close()
	}
	if s.control != nil {
		s.control.Close()
	}
	if s.owned != nil {
		return s.owned.Close()
	}
	return nil
}
