package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"sluice/cachesync"
	"sluice/cachesync/changelog"
	"sluice/cachesync/record"
	"sluice/cachesync/region"
	"sluice/internal/servers"
)

// place is one region. A gateway of it would use memory and, for draws, the homes as seen
// from here (seen).
type place struct {
	name, class string
	memory      string            // its memcached
	home        string            // its home's Redis, "" for burst
	seen        map[string]string // every home's Redis, through the line from here
	relay       string            // where its home's change log is sent from, "" for burst
	relays      map[string]string // every other home's relay, through the line from here

	mu   sync.Mutex
	stop func()
}

// town is the three regions, the lines between them and the control region.
type town struct {
	h         *host
	control   string
	registry  *region.Registry
	places    []*place
	lines     []*line
	committed atomic.Int64
	note      atomic.Pointer[string]
}

// line is a private line that can be cut.
type line struct {
	name  string
	proxy *toxiproxy.Proxy
}

func newTown(h *host, delay time.Duration) *town {
	t := &town{h: h}
	t.control = servers.Redis(h, "--appendfsync", "no").Addr
	rdb := redis.NewClient(&redis.Options{Addr: t.control})
	h.Cleanup(func() { rdb.Close() })
	t.registry = &region.Registry{RDB: rdb}
	for i, name := range []string{"bj1", "month1", "burst1"} {
		p := &place{name: name, class: []string{"idc", "monthly", "burst"}[i], seen: map[string]string{}, relays: map[string]string{}}
		p.memory = memcached(h, fmt.Sprintf("127.0.0.%d", 11+i))
		if p.class != "burst" {
			p.home = servers.Redis(h).Addr
			p.relay = fmt.Sprintf("127.0.0.1:%d", servers.FreePort(h))
			raise(h, p.home)
		}
		t.places = append(t.places, p)
	}
	quiet := zerolog.Nop()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), quiet)
	for _, p := range t.places {
		for _, other := range t.places {
			switch {
			case other.home == "":
			case other == p:
				p.seen[p.name] = p.home
			default:
				p.seen[other.name] = t.connect(server, p.name+"<-"+other.name, other.home, delay)
				p.relays[other.name] = t.connect(server, p.name+"<-"+other.name+" log", other.relay, delay)
			}
		}
	}
	return t
}

// memcached starts one on a loopback address of its own, so that each region looks like a
// machine.
func memcached(h *host, ip string) string {
	addr := servers.Memcached(h, "-l", ip, "-m", "128")
	_, port, _ := net.SplitHostPort(addr)
	return net.JoinHostPort(ip, port)
}

func (t *town) connect(server *toxiproxy.ApiServer, name, to string, delay time.Duration) string {
	proxy := toxiproxy.NewProxy(server, name, "127.0.0.1:0", to)
	if err := proxy.Start(); err != nil {
		t.h.Fatalf("regions: line %s: %v", name, err)
	}
	t.h.Cleanup(proxy.Stop)
	for _, direction := range []string{"upstream", "downstream"} {
		_, err := proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
			`{"name":"delay-%s","type":"latency","stream":"%s","attributes":{"latency":%d,"jitter":%d}}`,
			direction, direction, delay.Milliseconds(), delay.Milliseconds()/10)))
		if err != nil {
			t.h.Fatalf("regions: delay of line %s: %v", name, err)
		}
	}
	t.lines = append(t.lines, &line{name, proxy})
	return proxy.Listen
}

// raise gives all buckets of a home their first epoch, as a certifier does.
func raise(h *host, addr string) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	for b := range record.Buckets {
		if _, err := changelog.Raise(context.Background(), rdb, b, 1, 0, ""); err != nil {
			h.Fatalf("regions: %v", err)
		}
	}
}

// start runs a region's Syncer until the context ends or it is drained.
func (t *town) start(ctx context.Context, p *place) {
	cfg := cachesync.Config{
		Region: p.name, Class: p.class, Memcached: []string{p.memory},
		Control: cachesync.Redis{Addrs: []string{t.control}}, ProbeEvery: 20, RelayListen: p.relay,
	}
	for _, other := range t.places {
		if other.home != "" {
			cfg.Homes = append(cfg.Homes, cachesync.Home{
				Name: other.name, Redis: cachesync.Redis{Addrs: []string{p.seen[other.name]}}, Relay: p.relays[other.name],
			})
		}
	}
	s, err := cachesync.NewSyncer(cfg, cachesync.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.h.Fatalf("regions: %v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		s.Run(ctx)
		s.Close()
		close(done)
	}()
	p.mu.Lock()
	p.stop = func() { cancel(); <-done }
	p.mu.Unlock()
}

// load changes users at both homes.
func (t *town) load(ctx context.Context, rate int) {
	var homes []*cachesync.Users
	for _, p := range t.places {
		if p.home == "" {
			continue
		}
		rdb := redis.NewClient(&redis.Options{Addr: p.home})
		defer rdb.Close()
		for _, text := range cachesync.UserScripts(1) {
			rdb.ScriptLoad(ctx, text)
		}
		homes = append(homes, &cachesync.Users{RDB: rdb})
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i, u := range homes {
			var users []cachesync.User
			for range max(1, rate/50) {
				n++
				users = append(users, cachesync.User{UID: fmt.Sprintf("%d-%d", i, n%20000), State: []byte(`{"seq":` + strconv.Itoa(n) + `}`)})
			}
			if u.Put(ctx, users) == nil {
				t.committed.Add(int64(len(users)))
			}
		}
	}
}

// faults cuts a line now and then, and lets the burst region leave and join.
func (t *town) faults(ctx context.Context) {
	wait := func(d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	for n := 1; ctx.Err() == nil; n++ {
		wait(10 * time.Second)
		if n%3 == 0 {
			burst := t.places[2]
			t.say("burst1 is being drained")
			t.registry.Drain(ctx, burst.name)
			wait(4 * time.Second)
			burst.mu.Lock()
			stop := burst.stop
			burst.mu.Unlock()
			stop()
			t.say("burst1 joins")
			t.start(ctx, burst)
			continue
		}
		l := t.lines[rand.IntN(len(t.lines))]
		t.say("line " + l.name + " is cut")
		l.proxy.Stop()
		wait(2 * time.Second)
		if err := l.proxy.Start(); err != nil {
			t.say("line " + l.name + ": " + err.Error())
			continue
		}
		t.say("line " + l.name + " is back")
	}
}

func (t *town) say(what string) { t.note.Store(&what) }

func (t *town) said() string {
	if s := t.note.Load(); s != nil {
		return *s
	}
	return "no fault yet"
}
