package changelog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/servers"
)

type seen struct {
	entries   []string
	malformed int
	beats     int
}

func (s *seen) Entry(bucket int, e *Entry) {
	for _, c := range e.Changes {
		s.entries = append(s.entries, fmt.Sprintf("%d %s %s=%s", bucket, e.ID, c.Key, c.Record.Payload))
	}
}
func (s *seen) Malformed(int, ID, error) { s.malformed++ }
func (s *seen) Beat(int64)               { s.beats++ }

func TestReaderReadsAllBucketsBehindItsPositions(t *testing.T) {
	each(t, func(t *testing.T, rdb *redis.Client) {
		ctx := context.Background()
		buckets := []int{2, 5}
		script := redis.NewScript(Prelude(1) + `return commit({ARGV[1], '3', '0', ARGV[2]})`)
		big := strings.Repeat("x", 100<<10) // larger than the reader's buffer
		for i := range 3 {
			for _, b := range buckets {
				if i == 0 {
					Raise(ctx, rdb, b, 1, 0)
				}
				if err := script.Run(ctx, rdb, keys(b), fmt.Sprint("u:", i), fmt.Sprint(i, big)).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
		rdb.XAdd(ctx, &redis.XAddArgs{Stream: LogKey(5), ID: "1-4", Values: []string{"foreign", "entry"}})
		r := NewReader(ReaderConfig{Buckets: buckets, Block: 20 * time.Millisecond, Dial: func(ctx context.Context) (net.Conn, error) {
			return net.Dial("tcp", rdb.Options().Addr)
		}})
		defer r.Close()
		var s seen
		n, full, err := r.Read(ctx, []ID{{1, 1}, {1, 2}}, &s)
		if err != nil || n != 4 || full || s.malformed != 1 || len(s.entries) != 3 {
			t.Fatal(n, full, err, s.malformed, len(s.entries))
		}
		for i, want := range []string{"2 1-2 u:1=1x", "2 1-3 u:2=2x", "5 1-3 u:2=2x"} {
			if !strings.HasPrefix(s.entries[i], want) || !strings.HasSuffix(s.entries[i], big) {
				t.Errorf("entry %d: %.40s", i, s.entries[i])
			}
		}
		at := []ID{{1, 3}, {1, 4}}
		go func() { time.Sleep(5 * time.Millisecond); Beat(ctx, rdb, buckets) }()
		for try := 0; s.beats == 0 && try < 100; try++ {
			if n, _, err := r.Read(ctx, at, &s); err != nil || n != 0 {
				t.Fatal(n, err)
			}
			Beat(ctx, rdb, buckets)
		}
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		if _, _, err := r.Read(stopped, at, &s); err != context.Canceled {
			t.Error(err)
		}
	})
}

func TestRelayGoesOnSendingAndIsAskedAgainWhenTheReaderMoves(t *testing.T) {
	each(t, func(t *testing.T, rdb *redis.Client) {
		ctx, cancel := context.WithCancel(context.Background())
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			done <- (&Relay{Dial: func(context.Context, int) (net.Conn, error) { return net.Dial("tcp", rdb.Options().Addr) }}).Serve(ctx, ln)
		}()
		defer func() { cancel(); <-done }()
		Raise(ctx, rdb, 3, 1, 0)
		script := redis.NewScript(Prelude(1) + `return commit({'u:a', '3', '0', ARGV[1]})`)
		add := func(v string) {
			if err := script.Run(ctx, rdb, keys(3), v).Err(); err != nil {
				t.Fatal(err)
			}
			Beat(ctx, rdb, []int{3}) // from then on the Relay's reads wait for a bell
		}
		dials := 0
		r := NewReader(ReaderConfig{Buckets: []int{3}, Stream: true, Dial: func(context.Context) (net.Conn, error) {
			dials++
			return net.Dial("tcp", ln.Addr().String())
		}})
		defer r.Close()
		var s seen
		at := []ID{{1, 0}}
		until := func(n int) {
			t.Helper()
			for try := 0; len(s.entries) < n && try < 50; try++ {
				got, _, err := r.Read(ctx, at, &s)
				if err != nil {
					t.Fatal(err)
				}
				at[0].Seq += uint64(got)
			}
			if len(s.entries) != n {
				t.Fatalf("%d entries, want %d: %v", len(s.entries), n, s.entries)
			}
		}
		for i := range 20 {
			add(fmt.Sprint(i))
			until(i + 1)
		}
		if dials != 1 {
			t.Errorf("%d connections, want 1", dials)
		}
		at = []ID{{1, 17}} // the reader goes back
		until(23)
		if dials != 2 {
			t.Errorf("%d connections, want 2", dials)
		}
		// What is no XREAD of change logs is refused.
		c, _ := net.Dial("tcp", ln.Addr().String())
		defer c.Close()
		fmt.Fprintf(c, "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n")
		b := make([]byte, 100)
		if n, _ := c.Read(b); !strings.HasPrefix(string(b[:n]), "-ERR") {
			t.Errorf("%q", b[:n])
		}
	})
}

// A read that waits is woken by the first change of a turn of Redis' event loop, and must bring
// all of them: the next read would wait for the whole next turn.
func TestReadThatWaitsBringsAllOfTheTurnThatWokeIt(t *testing.T) {
	rdb := client(t, servers.Redis(t).Addr)
	ctx := context.Background()
	r, script := waiting(t, rdb)
	at := []ID{{1, 1}}
	for range 20 {
		sent := make(chan error)
		go func() {
			time.Sleep(2 * time.Millisecond) // the read waits by now; if it does not, it is no different
			pipe := rdb.Pipeline()
			for range 10 {
				pipe.EvalSha(ctx, script.Hash(), keys(3))
			}
			_, err := pipe.Exec(ctx)
			sent <- err
		}()
		got := 0
		for got == 0 {
			n, _, err := r.Read(ctx, at, &seen{})
			if err != nil {
				t.Fatal(err)
			}
			got = n
		}
		if err := <-sent; err != nil || got != 10 {
			t.Fatalf("%d changes of 10, %v", got, err)
		}
		at[0].Seq += 10
	}
}

// More than one answer may bring came at once, and nothing after it: a bell that was hung up with the
// question does not ring for the rest.
func TestReaderDoesNotWaitForARestThatIsThere(t *testing.T) {
	each(t, func(t *testing.T, rdb *redis.Client) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		r, script := waiting(t, rdb)
		r.cfg.Count = 4
		at := []ID{{1, 1}}
		for range 3 {
			if n, _, err := r.Read(ctx, at, &seen{}); n != 0 || err != nil {
				t.Fatal(n, err) // what hangs up the bell does not wait
			}
			if _, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
				for range 10 {
					p.EvalSha(ctx, script.Hash(), keys(3))
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			for got := 0; got < 10; {
				n, _, err := r.Read(ctx, at, &seen{})
				if err != nil {
					t.Fatalf("%d changes of 10, then %v", got, err)
				}
				got += n
				at[0].Seq += uint64(n)
			}
		}
	})
}

// A bell waits behind the last answer: who goes back does not wait for it.
func TestReaderThatGoesBackIsAnsweredThoughABellStands(t *testing.T) {
	each(t, func(t *testing.T, rdb *redis.Client) {
		r, _ := waiting(t, rdb)
		if n, _, err := r.Read(context.Background(), []ID{{1, 1}}, &seen{}); n != 0 || err != nil {
			t.Fatal(n, err) // what hangs up the bell does not wait
		}
		if n, _, err := r.Read(context.Background(), []ID{{1, 0}}, &seen{}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	})
}

// waiting is a Reader of bucket 3 that has heard a heartbeat and read the one change, and waits
// as good as for ever; the script makes another.
func waiting(t *testing.T, rdb *redis.Client) (*Reader, *redis.Script) {
	t.Helper()
	ctx := context.Background()
	Raise(ctx, rdb, 3, 1, 0)
	script := redis.NewScript(Prelude(1) + `return commit({'u:a', '3', '0', 'x'})`)
	if err := script.Run(ctx, rdb, keys(3)).Err(); err != nil {
		t.Fatal(err)
	}
	r := NewReader(ReaderConfig{Buckets: []int{3}, Block: time.Hour,
		Dial: func(ctx context.Context) (net.Conn, error) { return net.Dial("tcp", rdb.Options().Addr) }})
	t.Cleanup(r.Close)
	var s seen
	if n, _, err := r.Read(ctx, []ID{{1, 0}}, &s); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	done := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		for {
			Beat(ctx, rdb, []int{3})
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	for s.beats == 0 {
		if _, _, err := r.Read(ctx, []ID{{1, 1}}, &s); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	beating.Wait()
	return r, script
}

// What replicas do not have is shown to nobody: a win could be told that a promoted replica
// never heard of.
func TestReaderKeepsBackWhatIsNotSettled(t *testing.T) {
	each(t, func(t *testing.T, rdb *redis.Client) {
		ctx := context.Background()
		Raise(ctx, rdb, 3, 1, 0)
		script := redis.NewScript(Prelude(1) + `return commit({ARGV[1], '3', '0', ARGV[2]})`)
		if err := script.Run(ctx, rdb, keys(3), "u:a", "x").Err(); err != nil {
			t.Fatal(err)
		}
		behind := true
		r := NewReader(ReaderConfig{Buckets: []int{3}, Block: 20 * time.Millisecond,
			Dial: func(ctx context.Context) (net.Conn, error) { return net.Dial("tcp", rdb.Options().Addr) },
			Settled: func(context.Context) error {
				if behind {
					return ErrReplicas
				}
				return nil
			}})
		defer r.Close()
		var s seen
		if _, _, err := r.Read(ctx, []ID{{}}, &s); !errors.Is(err, ErrReplicas) || len(s.entries) != 0 {
			t.Fatalf("%v, %v", err, s.entries)
		}
		behind = false
		if n, _, err := r.Read(ctx, []ID{{}}, &s); err != nil || n != 1 {
			t.Fatal(n, err)
		}
	})
}
