package cachesync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/cachesync/region"
	"sluice/internal/servers"
)

// TestMain lets the test binary be a Syncer process of its own, to be killed and paused.
func TestMain(m *testing.M) {
	if text := os.Getenv("SLUICE_TEST_SYNCER"); text != "" {
		var cfg Config
		if err := json.Unmarshal([]byte(text), &cfg); err != nil {
			panic(err)
		}
		s, err := NewSyncer(cfg, Deps{Log: quiet()})
		if err != nil {
			panic(err)
		}
		err = s.Run(context.Background())
		if errors.Is(err, ErrDrained) {
			os.Exit(0)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// syncerProcess is a Syncer in a process of its own.
type syncerProcess struct{ cmd *exec.Cmd }

func startProcess(t *testing.T, cfg Config) *syncerProcess {
	text, _ := json.Marshal(cfg)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SLUICE_TEST_SYNCER="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &syncerProcess{cmd}
	t.Cleanup(p.kill)
	return p
}

func (p *syncerProcess) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

func (p *syncerProcess) signal(s syscall.Signal) { p.cmd.Process.Signal(s) }

// wire is a line between regions that can be cut.
type wire struct {
	addr string
	off  atomic.Bool
	mu   sync.Mutex
	open []net.Conn
}

func newWire(t *testing.T, to string) *wire {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: ln.Addr().String()}
	t.Cleanup(func() { ln.Close(); w.cut(true) })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if w.off.Load() || err != nil {
				c.Close()
				continue
			}
			w.mu.Lock()
			w.open = append(w.open, c, up)
			w.mu.Unlock()
			go func() { io.Copy(up, c); up.Close() }()
			go func() { io.Copy(c, up); c.Close() }()
		}
	}()
	return w
}

func (w *wire) cut(off bool) {
	w.off.Store(off)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		if off {
			c.Close()
		}
	}
	if off {
		w.open = nil
	}
}

// drill tells that the long way is wanted, by hand.
func drill() bool { return os.Getenv("SLUICE_DRILL") != "" }

func TestRegionsBecomeEqualAfterEveryFault(t *testing.T) {
	ctx := context.Background()
	homeRedis := servers.Redis(t)
	control := servers.Redis(t, "--appendfsync", "no")
	h := newHome(t, homeRedis.Addr)
	rdb := redis.NewClient(&redis.Options{Addr: control.Addr})
	t.Cleanup(func() { rdb.Close() })
	reg := &region.Registry{RDB: rdb, Lease: 2 * time.Second, Grace: 5 * time.Second}
	names, classes := []string{"bj1", "month1", "burst1"}, []string{"idc", "monthly", "burst"}
	var mems []*servers.MemcachedServer
	var lines, controls []*wire // of each region, to the home and to the control region
	var cfgs []Config
	var procs []*syncerProcess
	for i, name := range names {
		mems = append(mems, servers.StartMemcached(t))
		lines = append(lines, newWire(t, homeRedis.Addr))
		controls = append(controls, newWire(t, control.Addr))
		cfgs = append(cfgs, Config{
			Region: name, Class: classes[i], Memcached: []string{mems[i].Addr}, Lease: 2 * time.Second, Grace: 5 * time.Second,
			Homes:   []Home{{Name: "bj1", Redis: Redis{Addrs: []string{lines[i].addr}}}},
			Control: Redis{Addrs: []string{controls[i].addr}}, ProbeEvery: 10,
		})
		procs = append(procs, startProcess(t, cfgs[i]))
		await(t, name+" active", func() bool { return listed(reg, name) == region.Active })
	}
	load := newLoad(h)
	defer load.stop()
	wait := func(d time.Duration) { time.Sleep(d) }
	faults := []func(){
		func() { lines[1].cut(true); wait(1500 * time.Millisecond); lines[1].cut(false) },
		func() { procs[1].kill(); wait(300 * time.Millisecond); procs[1] = startProcess(t, cfgs[1]) },
		func() { procs[2].signal(syscall.SIGSTOP); wait(3 * time.Second); procs[2].signal(syscall.SIGCONT) },
		func() { mems[1].Kill(); wait(500 * time.Millisecond); mems[1].Start() },
		func() {
			c, err := net.Dial("tcp", mems[2].Addr)
			if err == nil {
				fmt.Fprint(c, "flush_all\r\n")
				c.Read(make([]byte, 16))
				c.Close()
			}
		},
		func() { mems[2].Pause(); wait(2 * time.Second); mems[2].Resume() },
		func() { homeRedis.Pause(); wait(time.Second); homeRedis.Resume() },
		func() { homeRedis.Kill(); wait(300 * time.Millisecond); homeRedis.Start() },
		func() { control.Kill(); wait(time.Second); control.Start() },
		func() { // an old process wakes up beside the one that took its place
			procs[2].signal(syscall.SIGSTOP)
			old := procs[2]
			procs[2] = startProcess(t, cfgs[2])
			wait(4 * time.Second)
			old.signal(syscall.SIGCONT)
		},
	}
	burst := 3
	if drill() {
		burst = 10
		for _, line := range append(lines, controls...) {
			faults = append(faults, func() { line.cut(true); wait(30 * time.Second); line.cut(false) })
		}
	}
	for _, f := range faults {
		f()
		wait(300 * time.Millisecond)
	}
	for range burst { // burst joins and drops
		if err := reg.Drain(ctx, "burst1"); err != nil {
			t.Fatal(err)
		}
		await(t, "burst1 gone", func() bool { return listed(reg, "burst1") == "" })
		procs[2].kill()
		procs[2] = startProcess(t, cfgs[2])
		await(t, "burst1 active", func() bool { return listed(reg, "burst1") == region.Active })
	}
	load.stop()
	for i, name := range names {
		await(t, name+" active", func() bool { return listed(reg, name) == region.Active })
		c := NewCache(CacheConfig{Store: newStore(t, mems[i].Addr)})
		missing := 0
		for key, want := range load.last {
			var got Read
			same := func() bool {
				reads := []Read{{Key: key, NoFill: true}}
				c.Read(ctx, reads)
				got = reads[0]
				return got.State == Miss && got.Err == nil || got.State == Hit && string(got.Record.Payload) == want
			}
			for deadline := time.Now().Add(20 * time.Second); !same(); time.Sleep(2 * time.Millisecond) {
				if time.Now().After(deadline) {
					list, _ := reg.List(ctx)
					for _, r := range list {
						t.Logf("%s %s since %s: %+v", r.Name, r.State, time.UnixMilli(r.SinceMS).Format(time.TimeOnly), r.Report)
					}
					t.Fatalf("%s in %s is %v %q, version %s of %s (%v), want %s; the log's head is %v, readers are %v", key, name, got.State, got.Record.Payload,
						got.Record.Version, time.UnixMilli(got.Record.CommitMS).Format(time.TimeOnly), got.Err, want, h.head(key), h.rdb.HGetAll(ctx, changelog.ReadersKey).Val())
				}
			}
			if got.State == Miss {
				missing++
			}
		}
		t.Logf("%s: %d keys equal, %d to be filled on demand", name, len(load.last)-missing, missing)
	}
	v, err := region.Verify(ctx, region.Side{Name: names[0], Nodes: []string{mems[0].Addr}, Store: newStore(t, mems[0].Addr)},
		region.Side{Name: names[2], Nodes: []string{mems[2].Addr}, Store: newStore(t, mems[2].Addr)}, (&net.Dialer{}).DialContext, os.Stdout, 10)
	if err != nil || v.Different != 0 || v.Equal == 0 {
		t.Errorf("verify: %s, %v", v, err)
	}
	t.Logf("%d changes; %s", load.n, v)
	list, _ := reg.List(ctx)
	for _, r := range list {
		for horizon, share := range r.Report.Nines {
			t.Logf("%s: probes at %s: %s", r.Name, horizon, share)
		}
	}
}

func listed(reg *region.Registry, name string) region.State {
	list, err := reg.List(context.Background())
	if err != nil {
		return "?"
	}
	for _, r := range list {
		if r.Name == name {
			return r.State
		}
	}
	return ""
}

// loader commits changes of 300 keys, over and over, and remembers the last of each.
type loader struct {
	last map[string]string
	n    int
	end  chan struct{}
	done chan struct{}
	once sync.Once
}

func newLoad(h *home) *loader {
	l := &loader{last: map[string]string{}, end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for i := 0; ; i++ {
			select {
			case <-l.end:
				return
			case <-time.After(2 * time.Millisecond):
			}
			key, payload := fmt.Sprint("u:", i%300), fmt.Sprint("n", i)
			for {
				// Until it is surely committed: a lost reply is answered by doing it again.
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				err := h.commit(ctx, h.rdb, key, payload).Err()
				cancel()
				if err == nil {
					break
				}
				select {
				case <-l.end:
					l.n = i
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
			l.last[key], l.n = payload, i+1
		}
	}()
	return l
}

func (l *loader) stop() {
	l.once.Do(func() { close(l.end) })
	<-l.done
}
