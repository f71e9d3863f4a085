package warmup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
	"sluice/cachesync/warmup"
	"sluice/cachesync/warmup/plan"
	"sluice/cachesync/warmup/source"
	"sluice/internal/servers"
)

// TestMain is also `sluice warm` itself, for tests that kill it.
func TestMain(m *testing.M) {
	if os.Getenv("WARMUP_TEST_COMMAND") == "" {
		os.Exit(m.Run())
	}
	cmd := warmup.Command(warmup.Deps{})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(os.Args[1:])
	if err := cmd.Execute(); err != nil {
		if err.Error() != "" {
			fmt.Fprintln(os.Stderr, err)
		}
		var code interface{ ExitCode() int }
		if errors.As(err, &code) {
			os.Exit(code.ExitCode())
		}
		os.Exit(1)
	}
	os.Exit(0)
}

func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "WARMUP_TEST_COMMAND=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func config(t testing.TB, n int64, servers ...string) warmup.Config {
	t.Helper()
	return warmup.Config{
		Set: "users", StatePath: filepath.Join(t.TempDir(), "users.state"),
		Regions: []warmup.Region{{Name: "idc", Servers: servers}},
		Feed:    warmup.Rows{Source: &source.Synthetic{N: n}, Plan: plan.Config{Key: "u:{uid}", KeepUntil: time.Now().Add(time.Hour), Spread: time.Hour}},
	}
}

func client(t *testing.T, servers ...string) *memcache.Client {
	t.Helper()
	c, err := memcache.New(memcache.Config{Servers: servers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func key(i int64) string { return fmt.Sprintf("u:s%010d", i) }

// present counts the keys of the synthetic set that are in memcached.
func present(t *testing.T, c *memcache.Client, n int64) (found int64) {
	t.Helper()
	for at := int64(1); at <= n; at += 1000 {
		ops := make([]memcache.Op, 0, 1000)
		for i := at; i < at+1000 && i <= n; i++ {
			ops = append(ops, memcache.Op{Kind: memcache.Get, Key: key(i)})
		}
		if err := c.Do(t.Context(), ops); err != nil {
			t.Fatal(err)
		}
		for i := range ops {
			if rec, err := record.Parse(ops[i].Value); ops[i].Err == nil && err == nil && rec.Type == record.TypeUser {
				found++
			}
		}
	}
	return found
}

func TestEverythingArrivesInEveryRegionAndIsProved(t *testing.T) {
	a, b, c := servers.Memcached(t), servers.Memcached(t), servers.Memcached(t)
	cfg := config(t, 20_000, a, b)
	cfg.Regions = append(cfg.Regions, warmup.Region{Name: "burst", Servers: []string{c}})
	res, err := warmup.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if res.Exit != warmup.ExitOK || res.Rows != 20_000 || len(res.Regions) != 2 || res.Duplicates != 0 {
		t.Errorf("%+v", res)
	}
	for _, r := range res.Regions {
		if r.Stored != 20_000 || r.Coverage.Covered != r.Coverage.Read || r.Coverage.Read != 10_000 || r.Low < 0.99 {
			t.Errorf("%+v %+v", r, r.Coverage)
		}
	}
	if n := present(t, client(t, a, b), 20_000); n != 20_000 {
		t.Errorf("%d in idc", n)
	}
	if n := present(t, client(t, c), 20_000); n != 20_000 {
		t.Errorf("%d in burst", n)
	}
	// Once more: nothing changes.
	res, err = warmup.Run(t.Context(), cfg)
	if err != nil || res.Regions[0].Stored != 0 || res.Regions[0].Kept+res.Regions[0].Replaced != 20_000 {
		t.Errorf("%v %+v", err, res.Regions)
	}
}

// Live changes go on during the warm-up, newer ones by writers as the syncer
// is one, and none of them may be gone afterwards.
func TestLiveChangesAreNeverOverwritten(t *testing.T) {
	const n = 20_000
	addr := servers.Memcached(t)
	c := client(t, addr)
	live := map[string]record.Version{}
	var mu sync.Mutex
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for i := uint64(1); ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				k := key(1 + rng.Int64N(n))
				v := record.VersionAt(1, time.Now()) + record.Version(i%1000)
				if writeNewer(c, k, v) {
					mu.Lock()
					live[k] = max(live[k], v)
					mu.Unlock()
				}
			}
		})
	}
	cfg := config(t, n, addr)
	cfg.Rate = 40_000
	res, err := warmup.Run(t.Context(), cfg)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if len(live) < 100 {
		t.Fatalf("only %d live changes", len(live))
	}
	for k, v := range live {
		it, err := c.Get(k)
		if err != nil {
			t.Fatal(k, err)
		}
		rec, err := record.Parse(it.Value)
		if err != nil || rec.Version < v {
			t.Errorf("%s: version %v, live change %v is gone", k, rec.Version, v)
		}
	}
	t.Logf("%d keys changed live, %d of them met by the warm-up", len(live), res.Regions[0].Kept)
}

func writeNewer(c *memcache.Client, key string, v record.Version) bool {
	value := record.Record{Type: record.TypeUser, Version: v, Payload: []byte("live")}.Append(nil)
	for range 100 {
		it, err := c.Get(key)
		if errors.Is(err, memcache.ErrCacheMiss) {
			if c.Add(&memcache.Item{Key: key, Value: value}) == nil {
				return true
			}
			continue
		}
		if err != nil {
			return false
		}
		if old, _ := record.Parse(it.Value); old.Version >= v {
			return false
		}
		it.Value = value
		if c.CompareAndSwap(it) == nil {
			return true
		}
	}
	return false
}

func TestOlderRecordsAreReplacedForeignOnesRepaired(t *testing.T) {
	addr := servers.Memcached(t)
	c := client(t, addr)
	put := func(i int64, value []byte) {
		if err := c.Set(&memcache.Item{Key: key(i), Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	put(1, record.Record{Type: record.TypeUser, Version: 1}.Append(nil))
	put(2, []byte("what is this"))
	put(3, record.Record{Type: record.TypeUser, Version: 1 << 62, Flags: record.FlagTombstone}.Append(nil))
	res, err := warmup.Run(t.Context(), config(t, 1000, addr))
	if err != nil {
		t.Fatal(err)
	}
	if r := res.Regions[0]; r.Stored != 997 || r.Replaced != 2 || r.Repaired != 1 || r.Kept != 1 || r.Coverage.Deleted != 1 {
		t.Errorf("%+v %+v", r, r.Coverage)
	}
}

// kill -9 at ten random moments, then to the end: complete and proved.
func TestKilledRunsGoOnWhereTheyWere(t *testing.T) {
	const n = 300_000
	addr := servers.Memcached(t, "-m", "256")
	dir := t.TempDir()
	args := []string{"--synthetic", fmt.Sprint(n), "--memcached", addr, "--state-dir", dir, "--json", "--quiet", "--rate", "60000"}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 7))
	for i := range 10 {
		cmd := process(t, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(50+rng.IntN(1200)) * time.Millisecond)
		cmd.Process.Kill()
		if err := cmd.Wait(); err == nil {
			t.Logf("run %d was done before it was killed", i)
		}
	}
	out, err := process(t, args...).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var res warmup.Result
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &res); err != nil {
		t.Fatal(err)
	}
	if res.Exit != warmup.ExitOK || res.Rows != n {
		t.Errorf("%s", res.Line())
	}
	if found := present(t, client(t, addr), n); found != n {
		t.Errorf("%d of %d are there", found, n)
	}
	if !res.Resumed {
		t.Error("the last run began anew")
	}
	t.Logf("last run: %s; wrote %d", res.Line(), res.Regions[0].Stored)
}

func TestASecondRunIsRefusedMeanwhile(t *testing.T) {
	addr := servers.Memcached(t)
	cfg := config(t, 100_000, addr)
	cfg.Rate = 20_000
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := warmup.Run(ctx, cfg); done <- err }()
	c := client(t, addr)
	for present(t, c, 1) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := warmup.Run(t.Context(), cfg); warmup.ExitOf(err) != warmup.ExitUsage || !strings.Contains(err.Error(), "going on") {
		t.Errorf("same machine: %v", err)
	}
	other := cfg
	other.StatePath = filepath.Join(t.TempDir(), "elsewhere.state")
	if _, err := warmup.Run(t.Context(), other); warmup.ExitOf(err) != warmup.ExitUsage || !strings.Contains(err.Error(), "lease") {
		t.Errorf("other machine: %v", err)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("an interrupted run says it is done")
	}
	cfg.Rate = 0
	if res, err := warmup.Run(t.Context(), cfg); err != nil || !res.Resumed {
		t.Errorf("after the interruption: %v %s", err, res.Line())
	}
}

// A node dies midway and stays away: the coverage says so. Then it comes back
// empty during a run: its keys, and only its, are warmed again.
func TestLostNodeIsToldHonestlyAndWarmedAgain(t *testing.T) {
	a, b := servers.StartMemcached(t), servers.StartMemcached(t)
	cfg := config(t, 60_000, a.Addr, b.Addr)
	cfg.Rate, cfg.WaitNode = 40_000, 300*time.Millisecond
	go func() {
		time.Sleep(700 * time.Millisecond)
		b.Kill()
	}()
	res, err := warmup.Run(t.Context(), cfg)
	if warmup.ExitOf(err) != warmup.ExitTarget {
		t.Fatalf("%v", err)
	}
	cov := res.Regions[0].Coverage
	real := float64(present(t, client(t, a.Addr), 60_000)) / 60_000
	if cov == nil || res.Regions[0].Low > real+0.02 || res.Regions[0].High < real-0.02 || real > 0.8 {
		t.Errorf("%v told, %.3f real: %s", cov, real, res.Line())
	}
	b.Start()
	before := present(t, client(t, a.Addr, b.Addr), 60_000)
	cfg.Rate = 0
	res, err = warmup.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if n := present(t, client(t, a.Addr, b.Addr), 60_000); n != 60_000 {
		t.Errorf("%d there", n)
	}
	r := res.Regions[0]
	if again := strings.Join(res.Again, " "); !res.Resumed || !strings.Contains(again, b.Addr) || strings.Contains(again, a.Addr) || r.Stored+r.Kept > 60_000-before+10_000 {
		t.Errorf("again %q, stored %d kept %d, %d were there", res.Again, r.Stored, r.Kept, before)
	}
}

func TestNodeThatRestartsMidwayIsWarmedAgain(t *testing.T) {
	a, b := servers.StartMemcached(t), servers.StartMemcached(t)
	cfg := config(t, 60_000, a.Addr, b.Addr)
	cfg.Rate = 30_000
	go func() {
		time.Sleep(1200 * time.Millisecond)
		b.Kill()
		b.Start()
	}()
	res, err := warmup.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if n := present(t, client(t, a.Addr, b.Addr), 60_000); n != 60_000 {
		t.Errorf("%d there: %s", n, res.Line())
	}
	if len(res.Again) == 0 || !strings.Contains(res.Again[0], b.Addr) {
		t.Errorf("again: %q", res.Again)
	}
}

func TestStayWarmsNodesThatLoseTheirDataLater(t *testing.T) {
	addr := servers.Memcached(t)
	c := client(t, addr)
	cfg := config(t, 2000, addr)
	cfg.Stay = 3 * time.Second
	done := make(chan error, 1)
	go func() { _, err := warmup.Run(t.Context(), cfg); done <- err }()
	for present(t, c, 2000) < 2000 {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(700 * time.Millisecond)
	c.FlushNode(t.Context(), addr)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := present(t, c, 2000); n != 2000 {
		t.Errorf("%d there", n)
	}
}

func TestDeadlineIsAnAlarmBeforeAndAnExitCodeAfter(t *testing.T) {
	var mu sync.Mutex
	var kinds []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var a warmup.Alarm
		json.NewDecoder(r.Body).Decode(&a)
		mu.Lock()
		kinds = append(kinds, a.Kind)
		mu.Unlock()
	}))
	defer srv.Close()
	hook := &warmup.Webhook{URL: srv.URL}
	cfg := config(t, 100_000, servers.Memcached(t))
	cfg.Rate, cfg.Before, cfg.Alarm = 10_000, time.Now().Add(5*time.Second), hook.Raise
	var out bytes.Buffer
	cfg.Watcher = &warmup.Lines{Out: &out, Every: time.Second}
	res, err := warmup.Run(t.Context(), cfg)
	hook.Close()
	if warmup.ExitOf(err) != warmup.ExitLate || res.Outcome != "late" || !strings.Contains(res.Line(), "of the rows read") || res.Rows < 10_000 || res.Rows > 90_000 {
		t.Errorf("%v %s", err, res.Line())
	}
	if res.Regions[0].Coverage == nil || res.Regions[0].Coverage.Fraction() < 0.99 {
		t.Errorf("what was read is not there: %v", res.Regions[0].Coverage)
	}
	if strings.Join(kinds, " ") != "will_be_late late" {
		t.Errorf("alarms %q", kinds)
	}
	if !strings.Contains(out.String(), "WILL BE LATE") || !strings.Contains(out.String(), "left") {
		t.Errorf("terminal: %s", out.String())
	}
	cfg.Before = time.Now().Add(-time.Second)
	if _, err := warmup.Run(t.Context(), cfg); warmup.ExitOf(err) != warmup.ExitUsage {
		t.Errorf("a deadline in the past: %v", err)
	}
}

func TestWhatDoesNotFitIsRefusedUpFront(t *testing.T) {
	cfg := config(t, 1_000_000, servers.Memcached(t, "-m", "64"))
	_, err := warmup.Run(t.Context(), cfg)
	if warmup.ExitOf(err) != warmup.ExitTarget || !strings.Contains(err.Error(), "1000000 records x 100 % of the keys x ") || !strings.Contains(err.Error(), "64 MB") {
		t.Errorf("%v", err)
	}
}

func TestEvictionsSlowTheRunDownAndLowerTheCoverage(t *testing.T) {
	addr := servers.Memcached(t, "-m", "10")
	const n = 100_000
	cfg := config(t, n, addr)
	cfg.NoFit, cfg.Rate = true, 40_000
	res, err := warmup.Run(t.Context(), cfg)
	if warmup.ExitOf(err) != warmup.ExitCoverage {
		t.Fatalf("%v", err)
	}
	r := res.Regions[0]
	real := float64(present(t, client(t, addr), n)) / n
	if r.Evictions == 0 || r.Backoffs == 0 || r.Low > real+0.02 || r.High < real-0.02 {
		t.Errorf("evictions %d, slowed %d, coverage %v, real %.3f", r.Evictions, r.Backoffs, r.Coverage, real)
	}
}

func TestDeadTargetAndSlowGateway(t *testing.T) {
	cfg := config(t, 100, fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t)))
	begin := time.Now()
	if _, err := warmup.Run(t.Context(), cfg); warmup.ExitOf(err) != warmup.ExitTarget || time.Since(begin) > 20*time.Second {
		t.Errorf("%v", err)
	}
	var calls atomic.Int64
	gw := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := calls.Add(1)
		sum := float64(min(n, 3)) * 10 // slow at first, then fine
		fmt.Fprintf(w, "sluice_request_seconds_sum{route=\"a\"} %g\nsluice_request_seconds_count{route=\"a\"} %d\n", sum, n*100)
	}))
	defer gw.Close()
	cfg = config(t, 60_000, servers.Memcached(t))
	cfg.Rate, cfg.PressureURL = 30_000, gw.URL
	res, err := warmup.Run(t.Context(), cfg)
	if err != nil || res.Regions[0].Backoffs == 0 {
		t.Errorf("a gateway at 100 ms slowed nothing down: %v %+v", err, res.Regions)
	}
}

func TestBadSourcesAreNamed(t *testing.T) {
	addr := servers.Memcached(t)
	dir := t.TempDir()
	f := func(name, text string, exit warmup.Exit, want ...string) {
		t.Helper()
		path := filepath.Join(dir, name)
		os.WriteFile(path, []byte(text), 0o644)
		src := &source.Files{Patterns: []string{path}}
		if err := src.Resolve(); err != nil {
			t.Fatal(err)
		}
		var rejects bytes.Buffer
		cfg := config(t, 0, addr)
		cfg.Feed, cfg.Rejects = warmup.Rows{Source: src, Plan: plan.Config{Key: "u:{uid}"}}, &rejects
		res, err := warmup.Run(t.Context(), cfg)
		text = res.Report() + rejects.String()
		if warmup.ExitOf(err) != exit {
			t.Errorf("%s: %v", name, err)
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q in\n%s", name, w, text)
			}
		}
	}
	var many strings.Builder
	many.WriteString("uid,name\n")
	for i := range 1000 {
		fmt.Fprintf(&many, "%d,x\n", i)
	}
	f("empty.csv", "", warmup.ExitSource, "empty.csv", "empty file")
	f("none.csv", "uid,name\n", warmup.ExitSource, "no row")
	f("few.csv", many.String()+"7,again\nb d,x\n\"1\n", warmup.ExitOK, "2 bad", "few.csv:1003", "few.csv:1004", "space or control", "1 duplicates")
	f("much.csv", many.String()+strings.Repeat("1\n", 100), warmup.ExitSource, "rows are bad", "much.csv:1012", "missing columns")
	f("tail.csv", many.String()[:200]+strings.Repeat("1\n", 3), warmup.ExitSource, "3 of 43 rows are bad", "tail.csv:44")
	f("cut.csv", many.String()+"1000", warmup.ExitSource, "cut.csv:1002: the file ends within this row", "missing columns")
	f("cut.jsonl", strings.Repeat(`{"uid":1}`+"\n", 1000)+`{"uid":`, warmup.ExitSource, "cut.jsonl:1001: the file ends within this row")
	f("twice.jsonl", `{"uid":1,"uid":2}`+"\n"+strings.Repeat(`{"uid":1}`+"\n", 1000), warmup.ExitOK, "twice.jsonl:1: field uid stands twice")
	f("all.csv", "uid,name\n/,x\n", warmup.ExitSource, "no usable row")
}

func TestEarlyEndAndFilterAreTold(t *testing.T) {
	addr := servers.Memcached(t)
	cfg := config(t, 1000, addr)
	cfg.Expect = 2000
	if _, err := warmup.Run(t.Context(), cfg); warmup.ExitOf(err) != warmup.ExitSource || !strings.Contains(err.Error(), "1000 rows instead of at least 2000") {
		t.Error(err)
	}
	cfg = config(t, 1000, addr)
	cfg.Feed = warmup.Rows{Source: &source.Synthetic{N: 1000}, Plan: plan.Config{Key: "u:{uid}", Filter: "level < 10"}}
	if res, err := warmup.Run(t.Context(), cfg); err != nil || res.Filtered != 900 {
		t.Error(err, res.Line())
	}
}

type home struct {
	name string
	n    int
}

func (h home) Name() string { return h.name }
func (h home) Records(_ context.Context, from, to time.Time) iter.Seq2[warmup.HomeRecord, error] {
	return func(yield func(warmup.HomeRecord, error) bool) {
		for i := range h.n {
			k := fmt.Sprintf("rp:%s%d", h.name, i)
			if !yield(warmup.HomeRecord{Key: k, Record: record.Record{Type: record.TypeRedPacket, Version: 5, Payload: []byte(k)}}, nil) {
				return
			}
		}
		if h.n == 7 {
			yield(warmup.HomeRecord{}, io.ErrUnexpectedEOF)
		}
	}
}

func TestTonightComesFromAllHomes(t *testing.T) {
	addr := servers.Memcached(t)
	hour := time.Now().Add(time.Hour)
	cfg := config(t, 0, addr)
	cfg.Feed = warmup.Tonight{Homes: []warmup.Home{home{"a", 1000}, home{"b", 1500}}, From: hour, To: hour.Add(time.Hour), KeepUntil: hour.Add(2 * time.Hour)}
	res, err := warmup.Run(t.Context(), cfg)
	if err != nil || res.Rows != 2500 {
		t.Fatal(err, res.Line())
	}
	c := client(t, addr)
	for _, k := range []string{"rp:a0", "rp:a999", "rp:b1499"} {
		if _, err := c.Get(k); err != nil {
			t.Error(k, err)
		}
	}
	cfg = config(t, 0, addr)
	cfg.Feed = warmup.Tonight{Homes: []warmup.Home{home{"c", 7}}, From: hour}
	if _, err := warmup.Run(t.Context(), cfg); warmup.ExitOf(err) != warmup.ExitSource || !strings.Contains(err.Error(), "home c:7") {
		t.Error(err)
	}
}
