package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
	"sluice/cachesync/goredis"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
	"sluice/cachesync/resp"
	"sluice/gateway/config"
	"sluice/gateway/ledger"
	"sluice/gateway/ledger/postgres"
	"sluice/gateway/ledger/remote"
	"sluice/gateway/ledger/sqlite"
	"sluice/gateway/redpacket"
	"sluice/gateway/redpacket/relations"
	"sluice/gateway/room"
	"sluice/gateway/token"
	"sluice/gateway/user"
)

// parts are the connections and stores that roles share; close ends them in
// the reverse order of opening.
type parts struct {
	cfg      config.Config
	log      *slog.Logger
	registry *prometheus.Registry
	ids      *redpacket.IDs
	ring     *token.Ring
	control  redis.UniversalClient // go-redis: scripts' loading, streams, admin work
	house    *redpacket.House
	hot      *resp.Client               // the pipelined client of draws and scripts; nil where nothing draws
	relays   map[int]*redpacket.Relays  // of a gateway: the ways to the homes of other regions
	houses   map[uint8]*redpacket.House // the house and those behind relays, by home
	rooms    *room.Store
	users    *cachesync.Users
	closers  []func() error
	started  string // Unix ms, tells one start from the next
}

// openParts prepares what every role needs. It does no I/O: a role starts also
// while its backends are down, and says so by its readiness.
func openParts(cfg config.Config, log *slog.Logger, role config.Role) (*parts, error) {
	p := &parts{cfg: cfg, log: log, registry: prometheus.NewRegistry(), started: strconv.FormatInt(time.Now().UnixMilli(), 10)}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if p.ids, err = redpacket.NewIDs([]byte(cfg.Secret)); err != nil {
		return nil, err
	}
	if p.ring, err = newRing(cfg); err != nil {
		return nil, err
	}
	if role == config.RoleGateway {
		if err := p.openRelays(); err != nil {
			return nil, err
		}
	}
	if way := p.relays[cfg.HomeID()]; way != nil {
		p.control = way.Control()
	} else {
		p.control = newRedis(cfg.Redis, 0)
		p.onClose(p.control.Close)
	}
	p.rooms = room.NewStore(p.control)
	unknown := user.Everyone{}
	if cfg.Users.URL != "" { // a user whom the service does not know yet is asked for again
		unknown.For = time.Minute
	}
	p.users = &cachesync.Users{RDB: p.control, Epoch: cfg.Users.Epoch, Next: unknown}
	return p, nil
}

func (p *parts) onClose(f func() error) { p.closers = append(p.closers, f) }

// close ends everything that was opened.
func (p *parts) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		if err := p.closers[i](); err != nil {
			p.log.Warn("closing", "err", err)
		}
	}
}

// newRedis is a go-redis client that never resends by itself: a script that
// moves money must not run twice without our knowing. block is how long its
// reads may block.
func newRedis(cfg config.Redis, block time.Duration) redis.UniversalClient {
	return goredis.New(&redis.UniversalOptions{
		Addrs: cfg.Addrs, IsClusterMode: cfg.Cluster, Username: cfg.Username, Password: cfg.Password,
		DialTimeout: cfg.Timeout, ReadTimeout: cfg.Timeout + block, WriteTimeout: cfg.Timeout,
		PoolSize: 8, MinIdleConns: 1,
	})
}

// openHouse makes the door to the home's buckets; hot says that draws come
// through here, on the pipelined client.
func (p *parts) openHouse(hot bool) error {
	if way := p.relays[p.cfg.HomeID()]; way != nil {
		var err error
		p.hot = way.Client()
		if p.house, err = p.farHouse(p.cfg.HomeID(), way); err != nil {
			return err
		}
		return p.openFar()
	}
	cfg := redpacket.HouseConfig{Home: uint8(p.cfg.HomeID()), IDs: p.ids, Control: p.control}
	if hot {
		r := p.cfg.Redis
		client, err := resp.New(resp.Config{
			Addrs: r.Addrs, Username: r.Username, Password: r.Password, Cluster: r.Cluster, Timeout: r.Timeout,
		})
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		p.hot = client
		p.onClose(client.Close)
		p.registry.MustRegister(backendCollector{"redis", client.Stats})
		cfg.Backend = redpacket.NewPipelined(client)
	}
	if node, ok := p.control.(*redis.Client); ok && p.cfg.Redis.Replicas > 0 {
		if cfg.Backend == nil {
			cfg.Backend = redpacket.GoRedis{Client: p.control}
		}
		var err error
		if cfg.Backend, err = redpacket.NewReplicated(cfg.Backend, node, p.cfg.Redis.Replicas, p.cfg.Redis.Timeout); err != nil {
			return err
		}
	}
	house, err := redpacket.NewHouse(cfg)
	if err != nil {
		return err
	}
	p.house = house
	return p.openFar()
}

// openMemcached connects to the region's cache tier. authoritative clients
// carry changes that no node may miss: appliers.
func (p *parts) openMemcached(authoritative bool) (*memcache.Client, error) {
	client, err := memcache.New(memcache.Config{
		Servers: p.cfg.Memcached.Servers, Timeout: p.cfg.Memcached.Timeout, Authoritative: authoritative,
	})
	if err != nil {
		return nil, fmt.Errorf("memcached: %w", err)
	}
	p.onClose(client.Close)
	p.registry.MustRegister(backendCollector{"memcached", client.Stats})
	return client, nil
}

// keepFor is how long a process may use its copy of a record: of red packets, their winners'
// filters and rooms, which everybody asks for at once. Changes are heard within
// milliseconds; this bounds what a missed one could do. Users and wins are asked for by one
// user each, and copies of them would only take memory.
func keepFor(key string, _ cachesync.Record) time.Duration {
	for _, prefix := range []string{record.PrefixRedPacket, record.PrefixRoom} {
		if strings.HasPrefix(key, prefix) {
			return time.Second
		}
	}
	return 0
}

// openCache is the region's cache as a gateway reads it.
func (p *parts) openCache(client *memcache.Client) *cachesync.Cache {
	cache := cachesync.NewCache(cachesync.CacheConfig{
		Store: client, Keep: keepFor, Local: cachesync.LocalConfig{MissingAge: -1}, // what was just made must be found
	})
	packets := redpacket.Sources{IDs: p.ids, ByHome: map[uint8]cachesync.Source{}}
	filters := redpacket.Sources{IDs: p.ids, ByHome: map[uint8]cachesync.Source{}}
	for home, house := range p.houses {
		packets.ByHome[home], filters.ByHome[home] = redpacket.NewSource(house), redpacket.NewFilterSource(house)
	}
	cache.Source(record.PrefixRedPacket, packets, cachesync.Limits{})
	cache.Source(record.PrefixFilter, filters, cachesync.Limits{})
	// A room or a user may have been changed at any home, and nothing in the key says at which.
	rooms, users := cachesync.Newest{p.rooms}, cachesync.Newest{p.users}
	for home, way := range p.relays {
		if home != p.cfg.HomeID() {
			rooms, users = append(rooms, room.NewStore(way.Control())), append(users, &cachesync.Users{RDB: way.Control()})
		}
	}
	if u := p.cfg.Users; u.URL != "" {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
		p.onClose(func() error { client.CloseIdleConnections(); return nil })
		users = append(users, &user.HTTP{URL: u.URL, Token: u.Token, Epoch: u.Epoch, Client: client})
	}
	cache.Source(record.PrefixRoom, rooms, cachesync.Limits{})
	cache.Source(record.PrefixUser, users, p.userLimits())
	p.registry.MustRegister(cacheCollector{cache})
	p.onClose(func() error { cache.Close(); return nil })
	return cache
}

// userLimits are those of the user service; else of the homes' Redis, which answer in batches. A far
// one answers a batch only after the way there and back, and a relay takes two at a time: there
// batches are large instead.
func (p *parts) userLimits() cachesync.Limits {
	limits := cachesync.Limits{PerSecond: 200_000}
	if p.cfg.Users.URL != "" {
		limits.PerSecond = p.cfg.Users.PerSecond
	}
	if len(p.relays) > 0 {
		limits.Batch = 1024
	}
	return limits
}

// newRelations tells who is a fan of whom; nil when no service is configured.
func (p *parts) newRelations() (relations.Relations, error) {
	r := p.cfg.Relations
	if r.URL == "" {
		return nil, nil
	}
	return relations.NewCached(&relations.HTTP{URL: r.URL, Token: r.Token}, relations.CacheConfig{})
}

// openLedger opens the ledger that the DSN names.
func (p *parts) openLedger(ctx context.Context) (ledger.Store, error) {
	store, err := openLedger(ctx, p.cfg.Ledger.DSN)
	if err != nil {
		return nil, err
	}
	p.onClose(store.Close)
	return store, nil
}

func openLedger(ctx context.Context, dsn string) (ledger.Store, error) {
	if file, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		return sqlite.Open(ctx, sqlite.Options{Path: file})
	}
	return postgres.Open(ctx, postgres.Options{URL: dsn})
}

// lazyLedger is a gateway's view of the ledger: opened when it is first asked,
// so that a gateway starts, and draws, without it.
type lazyLedger struct {
	mu    sync.Mutex
	open  func(context.Context) (ledger.Store, error)
	store ledger.Store
}

func (p *parts) lazyLedger() *lazyLedger { return &lazyLedger{open: p.openLedger} }

// archive is the ledger as a gateway asks it: its own connection, settle, or nothing.
func (p *parts) archive() remote.Source {
	switch {
	case p.cfg.Ledger.DSN != "":
		return p.lazyLedger()
	case p.cfg.Ledger.URL != "":
		return remote.NewClient(p.cfg.Ledger.URL, p.cfg.Admin.Token)
	}
	return nil
}

func (l *lazyLedger) get(ctx context.Context) (ledger.Store, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		store, err := l.open(ctx)
		if err != nil {
			return nil, err
		}
		l.store = store
	}
	return l.store, nil
}

// RedPacket implements remote.Source, as the others do.
func (l *lazyLedger) RedPacket(ctx context.Context, id string) (ledger.RedPacket, error) {
	s, err := l.get(ctx)
	if err != nil {
		return ledger.RedPacket{}, err
	}
	return s.RedPacket(ctx, id)
}

func (l *lazyLedger) Award(ctx context.Context, redPacket, uid, n string) (ledger.Award, error) {
	s, err := l.get(ctx)
	if err != nil {
		return ledger.Award{}, err
	}
	return s.Award(ctx, redPacket, uid, n)
}

func (l *lazyLedger) Wins(ctx context.Context, redPacket, cursor string, limit int) ([]ledger.Award, string, error) {
	s, err := l.get(ctx)
	if err != nil {
		return nil, "", err
	}
	return s.Wins(ctx, redPacket, cursor, limit)
}

func (l *lazyLedger) WinsOf(ctx context.Context, uid, cursor string, limit int) ([]ledger.Award, string, error) {
	s, err := l.get(ctx)
	if err != nil {
		return nil, "", err
	}
	return s.WinsOf(ctx, uid, cursor, limit)
}
