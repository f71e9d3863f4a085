package relay_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sluice/cachesync/goredis"
	"sluice/cachesync/relay"
	"sluice/cachesync/resp"
	"sluice/internal/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef"

// start runs a relay to the homes; stop ends it.
func start(t *testing.T, homes ...relay.Home) (s *relay.Server, addr string) {
	t.Helper()
	s, err := relay.New(relay.Config{Secret: secret, Homes: homes})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return s, ln.Addr().String()
}

func home(n int, redis ...string) relay.Home {
	return relay.Home{Name: fmt.Sprint("home", n), Number: n,
		Redis: resp.Config{Addrs: redis, Cluster: len(redis) > 1, Timeout: 20 * time.Second}}
}

// gateway is a client as gateways are.
func gateway(t *testing.T, addr, secret string, home int) *resp.Client {
	t.Helper()
	c, err := resp.New(resp.Config{Addrs: []string{addr}, Password: secret, DB: home, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

const count = `return redis.call('INCR', KEYS[1])`

func load(t *testing.T, addrs ...string) (sha string) {
	t.Helper()
	for _, a := range addrs {
		rdb := redis.NewClient(&redis.Options{Addr: a})
		if err := rdb.ScriptLoad(t.Context(), count).Err(); err != nil {
			t.Fatal(err)
		}
		rdb.Close()
	}
	return redis.NewScript(count).Hash()
}

func TestManyGatewaysAreOneConnectionToAHome(t *testing.T) {
	one, two := servers.Redis(t), servers.Redis(t)
	sha := load(t, one.Addr, two.Addr)
	s, addr := start(t, home(1, one.Addr), home(2, two.Addr))
	const gateways, callers, calls = 8, 8, 50
	var wg sync.WaitGroup
	for g := range gateways {
		c := gateway(t, addr, secret, 1+g%2)
		for k := range callers {
			wg.Go(func() {
				var cmd resp.Cmd
				key := fmt.Sprintf("{b07}:%d-%d", g, k)
				for want := range calls {
					if err := c.Do(context.Background(), cmd.Reset("EVALSHA").Arg(sha).Int(1).Key(key)); err != nil || cmd.Reply.Int != int64(want+1) {
						t.Errorf("%v, %v, want %d", cmd.Reply, err, want+1)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for _, st := range s.Stats() {
		if st.Calls != gateways/2*callers*calls || st.NotSent+st.Unknown+st.Refused != 0 || len(st.Nodes) != 1 {
			t.Errorf("%+v", st)
		}
		t.Logf("%s: %d calls in %d writes", st.Home, st.Calls, st.Nodes[0].Writes)
	}
	for _, node := range []*servers.RedisServer{one, two} {
		rdb := redis.NewClient(&redis.Options{Addr: node.Addr, PoolSize: 1})
		list, err := rdb.ClientList(t.Context()).Result()
		if n := strings.Count(list, "\n"); err != nil || n != 2 { // the relay's, and this one
			t.Errorf("%d connections, %v:\n%s", n, err, list)
		}
		rdb.Close()
	}
}

func TestOnlyQuestionsAboutBucketsPass(t *testing.T) {
	r := servers.Redis(t)
	sha := load(t, r.Addr)
	_, addr := start(t, home(1, r.Addr))
	c := gateway(t, addr, secret, 1)
	f := func(code string, args ...string) {
		t.Helper()
		var cmd resp.Cmd
		cmd.Reset(args[0])
		for _, a := range args[1:] {
			cmd.Arg(a)
		}
		err := c.Do(t.Context(), &cmd)
		var re resp.ReplyError
		errors.As(err, &re)
		if err != nil && code == "" || code != "" && re.Code() != code {
			t.Errorf("%v: %v, want %q", args, err, code)
		}
	}
	f("", "evalsha", sha, "1", "{b07}:n")
	f("", "GET", "{b63}:n")
	f("", "HMGET", "{b00}:n", "a", "b")
	f("", "HGETALL", "{b00}:h")
	f("", "SCRIPT", "EXISTS", sha)
	f("NOSCRIPT", "EVALSHA", strings.Repeat("0", 40), "1", "{b07}:n")
	f("WRONGTYPE", "HGET", "{b07}:n", "x")
	f("DENIED", "EVAL", count, "1", "{b07}:n")
	f("DENIED", "SET", "{b07}:n", "1")
	f("DENIED", "FLUSHALL")
	f("DENIED", "CONFIG", "GET", "*")
	f("DENIED", "SCRIPT", "LOAD", count)
	f("DENIED", "GET", "n")
	f("DENIED", "GET", "{b64}:n")
	f("DENIED", "GET", "{b07}:")
	f("DENIED", "GET")
	f("DENIED", "EVALSHA", sha, "0")
	f("DENIED", "EVALSHA", sha, "2", "{b07}:n")
	f("DENIED", "EVALSHA", sha, "-1", "{b07}:n")
	f("DENIED", "EVALSHA", sha, "2", "{b07}:n", "{b08}:n")
	f("DENIED", "EXISTS", "{b07}:n", "other")
	f("", "PING")
}

func TestStrangersGetNothing(t *testing.T) {
	r := servers.Redis(t)
	_, addr := start(t, home(1, r.Addr))
	f := func(sent, want string) {
		t.Helper()
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		nc.Write([]byte(sent))
		buf := make([]byte, 1000)
		n, _ := nc.Read(buf)
		if !strings.HasPrefix(string(buf[:n]), want) || want == "" && n > 0 {
			t.Errorf("%.60q: %q, want %q", sent, buf[:n], want)
		}
	}
	f("*1\r\n$4\r\nPING\r\n", "-NOAUTH")
	f("*2\r\n$3\r\nGET\r\n$7\r\n{b07}:n\r\n", "-NOAUTH")
	f("*2\r\n$4\r\nAUTH\r\n$5\r\nwrong\r\n", "-WRONGPASS")
	f("*2\r\n$4\r\nAUTH\r\n$16\r\n"+secret+"\r\n*2\r\n$3\r\nGET\r\n$7\r\n{b07}:n\r\n", "+OK")
	f("*2\r\n$4\r\nAUTH\r\n$5000\r\n"+strings.Repeat("x", 5000), "-DENIED")
	f("*1000000\r\n", "-DENIED")
	f("GET / HTTP/1.1\r\n\r\n", "-DENIED")
	f("*-1\r\n", "-DENIED")
	f("*1\r\n$-1\r\n", "-DENIED")
	for _, c := range []*resp.Client{gateway(t, addr, "wrong", 1), gateway(t, addr, secret, 2)} {
		var cmd resp.Cmd
		if err := c.Do(t.Context(), cmd.Reset("GET").Key("{b07}:n")); !errors.Is(err, resp.ErrNotSent) {
			t.Error(err)
		}
	}
}

// A counter runs at most once for each call, whatever happens to home and gateways; what is
// answered NOTSENT did not run.
func TestNothingIsSentTwice(t *testing.T) {
	r := servers.Redis(t)
	sha := load(t, r.Addr)
	h := home(1, r.Addr)
	h.Redis.Timeout = 400 * time.Millisecond
	_, addr := start(t, h)
	c := gateway(t, addr, secret, 1)
	var acked, unknown, unsent atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			var cmd resp.Cmd
			for !stop.Load() {
				err := c.Do(context.Background(), cmd.Reset("EVALSHA").Arg(sha).Int(1).Key("{b07}:n"))
				var re resp.ReplyError
				switch {
				case err == nil:
					acked.Add(1)
				case errors.As(err, &re) && re.Code() == "UNKNOWN":
					unknown.Add(1)
				case errors.As(err, &re) && re.Code() == "NOTSENT":
					unsent.Add(1)
					time.Sleep(time.Millisecond)
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		back := acked.Load()
		r.Pause()
		for deadline := time.Now().Add(20 * time.Second); unsent.Load() == 0 && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		r.Resume()
		for deadline := time.Now().Add(20 * time.Second); acked.Load() < back+100 && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		unsent.Store(0)
	}
	stop.Store(true)
	wg.Wait()
	var cmd resp.Cmd
	if err := c.Do(t.Context(), cmd.Reset("GET").Key("{b07}:n")); err != nil {
		t.Fatal(err)
	}
	var n int64
	fmt.Sscan(cmd.Reply.String(), &n)
	if n < acked.Load() || n > acked.Load()+unknown.Load() || unknown.Load() == 0 || acked.Load() < 200 {
		t.Errorf("counter %d, acknowledged %d, unknown %d", n, acked.Load(), unknown.Load())
	}
}

func TestClusterLooksLikeOneHome(t *testing.T) {
	three := servers.StartRedisCluster(t, 3)
	sha := load(t, three.Addrs...)
	s, addr := start(t, home(1, three.Addrs...))
	c := goredis.New(&redis.UniversalOptions{Addrs: []string{addr}, Password: secret, DB: 1, Protocol: 2, DisableIdentity: true, ReadTimeout: 30 * time.Second})
	defer c.Close()
	for round := 1; round <= 2; round++ {
		pipe := c.Pipeline()
		var got []*redis.Cmd
		for b := range 64 {
			got = append(got, pipe.EvalSha(t.Context(), sha, []string{fmt.Sprintf("{b%02d}:n", b)}))
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		for b, cmd := range got {
			if n, err := cmd.Int(); err != nil || n != round {
				t.Errorf("bucket %d: %d, %v", b, n, err)
			}
		}
		three.Move("{b07}:n", three.Nodes[round])
	}
	if st := s.Stats()[0]; len(st.Nodes) != 3 {
		t.Errorf("%d nodes", len(st.Nodes))
	}
}

func TestRepliesOfScriptsWaitForReplicas(t *testing.T) {
	r := servers.Redis(t)
	sha := load(t, r.Addr)
	var behind atomic.Bool
	h := home(1, r.Addr)
	h.Synced = func(_ context.Context, shas ...string) error {
		if len(shas) != 1 || shas[0] != sha {
			t.Errorf("%q", shas)
		}
		if behind.Load() {
			return errors.New("0 of 1 replicas have the write")
		}
		return nil
	}
	_, addr := start(t, h)
	c := gateway(t, addr, secret, 1)
	var cmd resp.Cmd
	ask := func(name string) error {
		if cmd.Reset(name); name == "EVALSHA" {
			cmd.Arg(sha).Int(1)
		}
		return c.Do(t.Context(), cmd.Key("{b07}:n"))
	}
	if err := ask("EVALSHA"); err != nil {
		t.Fatal(err)
	}
	behind.Store(true)
	var re resp.ReplyError
	if err := ask("EVALSHA"); !errors.As(err, &re) || re.Code() != "UNKNOWN" {
		t.Errorf("%v", err)
	}
	if err := ask("GET"); err != nil || cmd.Reply.String() != "2" {
		t.Errorf("%v %v", cmd.Reply, err)
	}
}
