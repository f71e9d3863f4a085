package town

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sluice/internal/servers"
)

// Config says what to start.
type Config struct {
	Binary  string        // the sluice binary, required
	Scripts string        // the folder of routes.yaml and handlers, required
	Delay   time.Duration // of a line, one way; 0 means none
}

// Secrets of every town: nothing outside this machine can reach it.
const (
	Secret     = "0123456789abcdef-town-0123456789"
	AdminToken = "0123456789abcdef-admin"
)

// Town is the three regions.
type Town struct {
	Regions []*Region
	Control string // the control region's Redis
	cfg     Config
	tb      servers.TB
	lines   *lines
	ctx     context.Context
}

// Region is one of them. Redis, Settle are nil where there is no home.
type Region struct {
	Name, Class string
	ID          int
	File        string // its sluice.yaml
	Public      string // address of the gateway for clients
	Admin       string // of the gateway for operators
	SyncAdmin   string
	SettleAdmin string
	Memcached   string
	Redis       *servers.RedisServer
	HomeAddr    string // of Redis, on the region's own address

	Gateway, Sync, Relay, Settle *servers.Process

	ip       string
	relays   [2]string // within sync, and beside it
	logRelay string
	extra    string // admin of the second relay
}

// Start starts all and waits until the gateways are ready and all regions active.
func Start(tb servers.TB, cfg Config) *Town {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	t := &Town{cfg: cfg, tb: tb, lines: newLines(tb, cfg.Delay), ctx: ctx}
	t.Control = servers.Redis(tb, "--appendfsync", "no").Addr
	for i, class := range []string{"idc", "monthly", "burst"} {
		t.Regions = append(t.Regions, t.stores(i+1, []string{"bj1", "month1", "burst1"}[i], class))
	}
	for _, r := range t.Regions {
		t.write(r)
	}
	for _, r := range t.Regions {
		t.start(r)
	}
	for _, r := range t.Regions {
		t.await(r.Admin, r.Gateway)
		t.await(r.SyncAdmin, r.Sync)
	}
	return t
}

// Region finds one by its name.
func (t *Town) Region(name string) *Region {
	for _, r := range t.Regions {
		if r.Name == name {
			return r
		}
	}
	t.tb.Fatalf("town: there is no region %q", name)
	return nil
}

// stores starts what a region keeps its data in, and gives it its addresses.
func (t *Town) stores(id int, name, class string) *Region {
	r := &Region{Name: name, Class: class, ID: id, ip: fmt.Sprintf("127.0.0.%d", 10+id)}
	at := func() string { return fmt.Sprintf("%s:%d", r.ip, servers.FreePort(t.tb)) }
	r.Public, r.Admin, r.SyncAdmin, r.SettleAdmin, r.extra = at(), at(), at(), at(), at()
	r.relays = [2]string{at(), at()}
	r.logRelay = at()
	_, port, _ := net.SplitHostPort(servers.Memcached(t.tb, "-l", r.ip, "-m", "128"))
	r.Memcached = net.JoinHostPort(r.ip, port)
	if class != "burst" {
		r.Redis = servers.Redis(t.tb, "--bind", "127.0.0.1", r.ip)
		_, port, _ := net.SplitHostPort(r.Redis.Addr)
		r.HomeAddr = net.JoinHostPort(r.ip, port)
	}
	return r
}

// write writes a region's sluice.yaml: the same for all its processes.
func (t *Town) write(r *Region) {
	dir := t.tb.TempDir()
	r.File = filepath.Join(dir, "sluice.yaml")
	var b strings.Builder
	home := ""
	if r.Redis == nil {
		home = ", home: 1"
	}
	fmt.Fprintf(&b, `region: {name: %s, id: %d, class: %s%s}
listen: %s
admin: {listen: "%s", token: "%s"}
data: %s
scripts: %s
secret: "%s"
tokens: {keys: [{id: k1, algorithm: HS256, secret: "%s"}]}
memcached: {servers: ["%s"]}
relay: {listen: "%s", addrs: ["%s", "%s"], secret: "%s"}
`, r.Name, r.ID, r.Class, home, r.Public, r.Admin, AdminToken, filepath.Join(dir, "data"), t.cfg.Scripts, Secret, Secret,
		r.Memcached, r.relays[0], r.relays[0], r.relays[1], Secret)
	if r.Redis != nil {
		fmt.Fprintf(&b, "redis: {addrs: [\"%s\"]}\nledger: {dsn: \"sqlite:%s\"}\n", r.HomeAddr, filepath.Join(dir, "ledger.db"))
	}
	fmt.Fprintf(&b, "sync:\n  control: {addrs: [\"%s\"]}\n  probe_every: 20\n", t.Control)
	if r.Redis != nil {
		fmt.Fprintf(&b, "  relay_listen: %s\n", r.logRelay)
	}
	b.WriteString("  homes:\n")
	for _, other := range t.Regions {
		switch {
		case other.Redis == nil:
		case other == r:
			fmt.Fprintf(&b, "    - {name: %s, id: %d, redis: {addrs: [\"%s\"]}}\n", r.Name, r.ID, r.HomeAddr)
		default:
			fmt.Fprintf(&b, "    - {name: %s, id: %d, redis: {addrs: [\"%s\"]}, relay: \"%s\"}\n", other.Name, other.ID,
				t.lines.lay(r.Name, other.Name, "redis", other.HomeAddr), t.lines.lay(r.Name, other.Name, "log", other.logRelay))
		}
	}
	if err := os.WriteFile(r.File, []byte(b.String()), 0o600); err != nil {
		t.tb.Fatalf("town: %v", err)
	}
}

// start starts a region's processes.
func (t *Town) start(r *Region) {
	run := func(addr string, args ...string) *servers.Process {
		return servers.StartProgram(t.tb, t.cfg.Binary, nil, addr, append(args, "-c", r.File, "--log", "warn")...)
	}
	if r.Redis != nil {
		r.Settle = run(r.SettleAdmin, "settle", "--sync=false", "--admin", r.SettleAdmin)
		t.await(r.SettleAdmin, r.Settle)
	}
	r.Sync = run(r.SyncAdmin, "sync", "--admin", r.SyncAdmin)
	r.Relay = run(r.relays[1], "sync", "--relay-only", "--relay", r.relays[1], "--admin", r.extra)
	r.Gateway = run(r.Public, "gateway")
}

// await waits until an admin listener says ready.
func (t *Town) await(admin string, p *servers.Process) {
	t.tb.Helper()
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		res, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
	}
	t.tb.Fatalf("town: %s is not ready:\n%s", admin, p.Output())
}

// Sluice runs a command with a region's file.
func (t *Town) Sluice(r *Region, args ...string) (string, error) {
	out, err := exec.CommandContext(t.ctx, t.cfg.Binary, append(args, "-c", r.File)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("sluice %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
