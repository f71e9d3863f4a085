package resp_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/cachesync/resp"
	"sluice/internal/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(t testing.TB, cfg resp.Config) *resp.Client {
	t.Helper()
	c, err := resp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestReplies(t *testing.T) {
	c := client(t, resp.Config{Addrs: []string{servers.Redis(t).Addr}, DB: 3})
	var cmd resp.Cmd
	f := func(want string, kind resp.Kind, name string, args ...string) {
		t.Helper()
		cmd.Reset(name)
		for _, a := range args {
			cmd.Arg(a)
		}
		if err := c.Do(t.Context(), &cmd); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if cmd.Reply.Kind != kind || cmd.Reply.String() != want {
			t.Errorf("%s: %d %q, want %d %q", name, cmd.Reply.Kind, cmd.Reply, kind, want)
		}
	}
	f("OK", resp.KindStatus, "SET", "k", "v\r\n")
	f("v\r\n", resp.KindBulk, "GET", "k")
	f("", resp.KindNil, "GET", "none")
	f("", resp.KindBulk, "ECHO", "")
	f("5", resp.KindInt, "INCRBY", "n", "5")
	f("[v\r\n  5]", resp.KindArray, "MGET", "k", "none", "n")
	f("[]", resp.KindArray, "LRANGE", "none", "0", "-1")
	f("[1 [2 [three]] four]", resp.KindArray, "EVAL", "return {1,{2,{'three'}},'four'}", "0")
	f(strings.Repeat("x", 300_000), resp.KindBulk, "EVAL", "return string.rep('x', 300000)", "0")
	if err := c.Do(t.Context(), cmd.Reset("EVALSHA").Arg(strings.Repeat("0", 40)).Int(0)); err == nil || err.(resp.ReplyError).Code() != "NOSCRIPT" {
		t.Errorf("%v, want NOSCRIPT", err)
	}
	if err := c.Do(t.Context(), cmd.Reset("INCR").Key("k")); err == nil || err.(resp.ReplyError).Code() != "ERR" {
		t.Error(err)
	}
}

func TestManyCallersGetTheirOwnReplies(t *testing.T) {
	c := client(t, resp.Config{Addrs: []string{servers.Redis(t).Addr}})
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			var cmd resp.Cmd
			for i := range 300 {
				want := fmt.Sprintf("%d-%d", g, i)
				if err := c.Do(context.Background(), cmd.Reset("ECHO").Arg(want)); err != nil || string(cmd.Reply.Bytes) != want {
					t.Errorf("%q, %v, want %q", cmd.Reply, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestAllIsPipelined(t *testing.T) {
	c := client(t, resp.Config{Addrs: []string{servers.Redis(t).Addr}})
	cmds := make([]*resp.Cmd, 100)
	for i := range cmds {
		cmds[i] = new(resp.Cmd).Reset("INCR").Key("n")
	}
	cmds[50].Reset("NONSENSE")
	err := c.DoAll(t.Context(), cmds)
	if err == nil || cmds[50].Err != err {
		t.Fatal(err)
	}
	if cmds[99].Reply.Int != 99 {
		t.Errorf("last is %v", cmds[99].Reply)
	}
}

func TestPasswordIsNeeded(t *testing.T) {
	r := servers.Redis(t, "--requirepass", "geheim")
	var cmd resp.Cmd
	bad := client(t, resp.Config{Addrs: []string{r.Addr}, Password: "wrong"})
	if err := bad.Do(t.Context(), cmd.Reset("PING")); !errors.Is(err, resp.ErrNodeDown) || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("%v", err)
	}
	good := client(t, resp.Config{Addrs: []string{r.Addr}, Username: "default", Password: "geheim"})
	if err := good.Do(t.Context(), cmd.Reset("PING")); err != nil {
		t.Error(err)
	}
}

// INCR runs at most once per call, whatever happens to the connection: the
// counter lies between the acknowledged and the acknowledged + unknown ones.
func TestNothingIsSentTwice(t *testing.T) {
	r := servers.Redis(t)
	const timeout = 100 * time.Millisecond
	c := client(t, resp.Config{Addrs: []string{r.Addr}, Timeout: timeout})
	var acked, unknown, unsent atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			var cmd resp.Cmd
			for !stop.Load() {
				switch err := c.Do(context.Background(), cmd.Reset("INCR").Key("n")); {
				case err == nil:
					acked.Add(1)
				case errors.Is(err, resp.ErrUnknown):
					unknown.Add(1)
				case errors.Is(err, resp.ErrNotSent):
					unsent.Add(1)
					time.Sleep(time.Millisecond)
				default:
					t.Errorf("%v", err)
					return
				}
			}
		})
	}
	for range 3 {
		time.Sleep(150 * time.Millisecond)
		r.Pause()
		time.Sleep(400 * time.Millisecond)
		r.Resume()
	}
	time.Sleep(100 * time.Millisecond)
	r.Kill()
	time.Sleep(100 * time.Millisecond)
	r.Start()
	back := acked.Load()
	for deadline := time.Now().Add(30 * time.Second); acked.Load() < back+100 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	stop.Store(true)
	wg.Wait()
	var cmd resp.Cmd
	if err := c.Do(t.Context(), cmd.Reset("GET").Key("n")); err != nil {
		t.Fatal(err)
	}
	var n int64
	fmt.Sscan(cmd.Reply.String(), &n)
	t.Logf("counter %d, acknowledged %d, unknown %d, not sent %d", n, acked.Load(), unknown.Load(), unsent.Load())
	if n < acked.Load() || n > acked.Load()+unknown.Load() {
		t.Errorf("counter %d outside %d..%d", n, acked.Load(), acked.Load()+unknown.Load())
	}
	if unknown.Load() == 0 || unsent.Load() == 0 || acked.Load() < back+100 {
		t.Errorf("acknowledged %d (%d after the return), unknown %d, not sent %d", acked.Load(), acked.Load()-back, unknown.Load(), unsent.Load())
	}
}

func TestClusterIsFollowed(t *testing.T) {
	var addrs []string
	for range 3 {
		addrs = append(addrs, servers.Redis(t, "--cluster-enabled", "yes").Addr)
	}
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Fatal("redis-cli is not installed; `bash .ci/need` prints the line that installs it")
	}
	out, err := exec.Command(cli, append(append([]string{"--cluster", "create"}, addrs...), "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := client(t, resp.Config{Addrs: addrs[:1], Cluster: true})
	var cmd resp.Cmd
	ready := func(key string) bool {
		return c.Do(t.Context(), cmd.Reset("SET").Key(key).Arg("1")) == nil
	}
	for i, deadline := 0, time.Now().Add(20*time.Second); i < 64 && time.Now().Before(deadline); {
		if ready(fmt.Sprintf("{b%02d}:meta", i)) {
			i++
		} else {
			time.Sleep(50 * time.Millisecond)
		}
	}
	for i := range 64 {
		if err := c.Do(t.Context(), cmd.Reset("GET").Key(fmt.Sprintf("{b%02d}:meta", i))); err != nil || cmd.Reply.String() != "1" {
			t.Fatalf("bucket %d: %v", i, err)
		}
	}
	if len(c.Stats()) != 3 {
		t.Errorf("%d nodes in use", len(c.Stats()))
	}
	// A slot being moved answers ASK: migrate the bucket's slot half way.
	slot := resp.SlotOf("{b07}:meta")
	src, dst := owner(t, cli, addrs, slot)
	node := func(addr string, args ...string) string {
		t.Helper()
		host, port, _ := strings.Cut(addr, ":")
		out, err := exec.Command(cli, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", args, out)
		}
		return strings.TrimSpace(string(out))
	}
	srcID, dstID := node(src, "CLUSTER", "MYID"), node(dst, "CLUSTER", "MYID")
	s := fmt.Sprint(slot)
	node(dst, "CLUSTER", "SETSLOT", s, "IMPORTING", srcID)
	node(src, "CLUSTER", "SETSLOT", s, "MIGRATING", dstID)
	host, port, _ := strings.Cut(dst, ":")
	node(src, "MIGRATE", host, port, "{b07}:meta", "0", "1000")
	if err := c.Do(t.Context(), cmd.Reset("GET").Key("{b07}:meta")); err != nil || cmd.Reply.String() != "1" {
		t.Errorf("while the slot moves: %v %v", cmd.Reply, err)
	}
	node(dst, "CLUSTER", "SETSLOT", s, "NODE", dstID)
	node(src, "CLUSTER", "SETSLOT", s, "NODE", dstID)
	for range 10 {
		if err := c.Do(t.Context(), cmd.Reset("GET").Key("{b07}:meta")); err != nil || cmd.Reply.String() != "1" {
			t.Errorf("after the slot moved: %v %v", cmd.Reply, err)
		}
	}
}

// owner finds the node that serves slot, and another one.
func owner(t *testing.T, cli string, addrs []string, slot int) (src, dst string) {
	t.Helper()
	for _, a := range addrs {
		host, port, _ := strings.Cut(a, ":")
		out, _ := exec.Command(cli, "-h", host, "-p", port, "CLUSTER", "COUNTKEYSINSLOT", fmt.Sprint(slot)).Output()
		if strings.TrimSpace(string(out)) == "1" {
			src = a
		} else {
			dst = a
		}
	}
	return src, dst
}
