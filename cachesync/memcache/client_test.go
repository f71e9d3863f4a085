package memcache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/cachesync/memcache"
	"sluice/cachesync/memcache/embedded"
	"sluice/internal/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(t testing.TB, cfg memcache.Config) *memcache.Client {
	t.Helper()
	c, err := memcache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func embed(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := embedded.New(embedded.Config{})
	s.Start(ln)
	t.Cleanup(func() { s.Close() })
	return ln.Addr().String()
}

// both runs f on a real memcached and on the embedded one.
func both(t *testing.T, f func(t *testing.T, addr string)) {
	t.Run("memcached", func(t *testing.T) { f(t, servers.Memcached(t)) })
	t.Run("embedded", func(t *testing.T) { f(t, embed(t)) })
}

func TestEveryKindAnswersAsMemcachedDoes(t *testing.T) {
	both(t, func(t *testing.T, addr string) {
		c := client(t, memcache.Config{Servers: []string{addr}})
		ops := []memcache.Op{
			0:  {Kind: memcache.Get, Key: "none"},
			1:  {Kind: memcache.Set, Key: "a", Value: []byte("1"), Flags: 7},
			2:  {Kind: memcache.Gets, Key: "a"},
			3:  {Kind: memcache.Add, Key: "a", Value: []byte("2")},
			4:  {Kind: memcache.Replace, Key: "b", Value: []byte("2")},
			5:  {Kind: memcache.Append, Key: "a", Value: []byte("2")},
			6:  {Kind: memcache.Prepend, Key: "a", Value: []byte("3")},
			7:  {Kind: memcache.Get, Key: "a"},
			8:  {Kind: memcache.Get, Key: "none"},
			9:  {Kind: memcache.Get, Key: "a"},
			10: {Kind: memcache.CAS, Key: "a", Value: []byte("9"), CAS: 1 << 60},
			11: {Kind: memcache.CAS, Key: "none", Value: []byte("9"), CAS: 1},
			12: {Kind: memcache.Incr, Key: "a", Delta: 10},
			13: {Kind: memcache.Decr, Key: "a", Delta: 1000},
			14: {Kind: memcache.Touch, Key: "a", Expiry: 100},
			15: {Kind: memcache.Delete, Key: "a"},
			16: {Kind: memcache.Delete, Key: "a"},
			17: {Kind: memcache.Set, Key: "empty"},
			18: {Kind: memcache.Get, Key: "empty"},
			19: {Kind: memcache.Get, Key: "has space"},
			20: {Kind: memcache.Set, Key: strings.Repeat("k", 251)},
			21: {Kind: memcache.Set, Key: "large", Value: make([]byte, 2<<20)},
			22: {Kind: memcache.Incr, Key: "empty", Delta: 1},
			23: {Kind: memcache.Get, Key: ""},
		}
		if err := c.Do(t.Context(), ops); err != nil {
			t.Fatal(err)
		}
		for i, want := range map[int]error{
			0: memcache.ErrCacheMiss, 3: memcache.ErrNotStored, 4: memcache.ErrNotStored, 8: memcache.ErrCacheMiss, 10: memcache.ErrCASConflict,
			11: memcache.ErrCacheMiss, 16: memcache.ErrCacheMiss, 19: memcache.ErrMalformedKey, 20: memcache.ErrMalformedKey,
			21: memcache.ErrTooLarge, 22: memcache.ErrServerError, 23: memcache.ErrMalformedKey,
		} {
			if !errors.Is(ops[i].Err, want) {
				t.Errorf("op %d: %v, want %v", i, ops[i].Err, want)
			}
			ops[i].Err = nil
		}
		for i := range ops {
			if ops[i].Err != nil {
				t.Errorf("op %d: %v", i, ops[i].Err)
			}
		}
		if string(ops[2].Value) != "1" || ops[2].Flags != 7 || ops[2].CAS == 0 || string(ops[7].Value) != "312" || string(ops[9].Value) != "312" {
			t.Errorf("values: %+v %+v %+v", ops[2], ops[7], ops[9])
		}
		if ops[12].Number != 322 || ops[13].Number != 0 {
			t.Errorf("numbers: %d %d", ops[12].Number, ops[13].Number)
		}
	})
}

func TestGomemcacheFace(t *testing.T) {
	both(t, func(t *testing.T, addr string) {
		c := client(t, memcache.Config{Servers: []string{addr}})
		if _, err := c.Get("x"); err != memcache.ErrCacheMiss {
			t.Fatal(err)
		}
		if err := c.Set(&memcache.Item{Key: "x", Value: []byte("1"), Flags: 3}); err != nil {
			t.Fatal(err)
		}
		it, err := c.Get("x")
		if err != nil || string(it.Value) != "1" || it.Flags != 3 {
			t.Fatal(it, err)
		}
		it.Value = []byte("2")
		if err := c.CompareAndSwap(it); err != nil {
			t.Fatal(err)
		}
		if err := c.CompareAndSwap(it); err != memcache.ErrCASConflict {
			t.Fatal(err)
		}
		if err := c.CompareAndSwap(&memcache.Item{Key: "gone", CasID: 1}); err != memcache.ErrNotStored {
			t.Fatal(err)
		}
		if n, err := c.Increment("x", 5); n != 7 || err != nil {
			t.Fatal(n, err)
		}
		items, err := c.GetMulti([]string{"x", "y"})
		if err != nil || len(items) != 1 || string(items["x"].Value) != "7" {
			t.Fatal(items, err)
		}
	})
}

func TestManyCallersGetTheirOwnValues(t *testing.T) {
	addrs := []string{servers.Memcached(t), servers.Memcached(t), embed(t)}
	c := client(t, memcache.Config{Servers: addrs})
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			var kept [][]byte
			for i := range 200 {
				ops := make([]memcache.Op, 0, 12)
				for j := range 6 {
					key := fmt.Sprintf("k:%d:%d:%d", g, i, j)
					ops = append(ops, memcache.Op{Kind: memcache.Set, Key: key, Value: []byte(strings.Repeat(key, 1+i%40))})
				}
				for j := range 6 {
					ops = append(ops, memcache.Op{Kind: memcache.Get, Key: ops[j].Key})
				}
				if err := c.Do(context.Background(), ops); err != nil {
					t.Error(err)
					return
				}
				for j := range 6 {
					if !bytes.Equal(ops[j].Value, ops[j+6].Value) {
						t.Errorf("%s: %q", ops[j].Key, ops[j+6].Value)
						return
					}
					kept = append(kept, ops[j+6].Value)
				}
			}
			for i, v := range kept {
				if !strings.HasPrefix(string(v), fmt.Sprintf("k:%d:%d:%d", g, i/6, i%6)) {
					t.Errorf("a kept value changed: %.40q", v)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, s := range c.Stats() {
		if s.Calls == 0 || s.Errors != 0 || s.InFlight != 0 {
			t.Errorf("stats %+v", s)
		}
	}
}

func TestCanceledAndLateCallersLeaveTheConnectionInOrder(t *testing.T) {
	c := client(t, memcache.Config{Servers: []string{servers.Memcached(t)}})
	if err := c.Set(&memcache.Item{Key: "x", Value: bytes.Repeat([]byte("x"), 10_000)}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(g*i%300)*time.Microsecond)
				ops := []memcache.Op{{Kind: memcache.Get, Key: "x"}, {Kind: memcache.Get, Key: "none"}}
				err := c.Do(ctx, ops)
				cancel()
				switch {
				case err == nil && (len(ops[0].Value) != 10_000 || ops[1].Err != memcache.ErrCacheMiss):
					t.Errorf("wrong reply: %d bytes, %v", len(ops[0].Value), ops[1].Err)
				case err != nil && !errors.Is(err, memcache.ErrCanceled) && !errors.Is(err, memcache.ErrTimeout):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "an answer behind those nobody waits for", func() bool {
		it, err := c.Get("x")
		return err == nil && len(it.Value) == 10_000
	})
}

func TestClosedClientFailsAtOnce(t *testing.T) {
	c := client(t, memcache.Config{Servers: []string{servers.Memcached(t)}})
	c.Close()
	if _, err := c.Get("x"); !errors.Is(err, memcache.ErrClosed) {
		t.Fatal(err)
	}
}

func TestNonsenseFromTheServerIsAnErrorNotAnAnswer(t *testing.T) {
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	defer ln.Close()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				buf := make([]byte, 1024)
				for {
					n, err := nc.Read(buf)
					if err != nil {
						return
					}
					if bytes.HasPrefix(buf[:n], []byte("version")) {
						nc.Write([]byte("VERSION 1\r\n"))
					} else {
						nc.Write([]byte("VALUE other 0 1\r\nx\r\nEND\r\n"))
					}
				}
			}()
		}
	}()
	c := client(t, memcache.Config{Servers: []string{ln.Addr().String()}})
	if _, err := c.Get("x"); !errors.Is(err, memcache.ErrLost) {
		t.Fatalf("%v, want a lost connection", err)
	}
}
