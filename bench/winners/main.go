// Command winners measures how much memory a home's Redis needs for the winners of one red packet.
//
//	go run ./bench/winners [-count 10000000] [-clients 512] [-limit 1000000000]
//
// It funds a red packet, splits it, and draws all shares from it by the real script, through the
// pipelined client, for users with uids of twelve characters. The streams are emptied on the way, as settle and the
// change log's trimming do; what stays is the shares, the winners' hashes, and the hash of the red
// packet. Then the filter of winners is published, the red packet is closed, and some winners ask
// again and must hear their win. It ends with one line of figures, and with exit status 1 when Redis
// ever used more than -limit bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
	"sluice/cachesync/changelog"
	"sluice/cachesync/resp"
	"sluice/gateway/ledger/memory"
	"sluice/gateway/redpacket"
	"sluice/internal/servers"
)

func main() {
	count := flag.Int64("count", redpacket.MaxCount, "shares, and so winners")
	clients := flag.Int("clients", 512, "draws in flight")
	limit := flag.Int64("limit", 1_000_000_000, "the most bytes that Redis may use at any moment; 0 means any")
	flag.Parse()
	h := &servers.Host{Name: "winners"}
	peak, err := run(context.Background(), h, *count, *clients)
	code := 0
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "winners:", err)
		code = 1
	case *limit > 0 && peak > *limit:
		fmt.Fprintf(os.Stderr, "winners: Redis used %d bytes, more than %d\n", peak, *limit)
		code = 1
	}
	h.Close()
	os.Exit(code)
}

// nothing is a cache without records: the home is asked.
type nothing struct{}

func (nothing) Read(_ context.Context, reads []cachesync.Read) error {
	for i := range reads {
		reads[i].State = cachesync.Miss
	}
	return nil
}

func uidOf(i int64) string { return fmt.Sprintf("user%08d", i) }

func run(ctx context.Context, h *servers.Host, count int64, clients int) (peak int64, err error) {
	// What is written to disk is not what is measured here.
	server := servers.Redis(h, "--appendonly", "no")
	dial := func() *redis.Client {
		return redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1, Protocol: 2, ReadTimeout: 30 * time.Second})
	}
	control, blocking := dial(), dial()
	defer control.Close()
	defer blocking.Close()
	pipelined, err := resp.New(resp.Config{Addrs: []string{server.Addr}, Timeout: 10 * time.Second})
	if err != nil {
		return 0, err
	}
	defer pipelined.Close()
	ids, err := redpacket.NewIDs([]byte("a secret of 16 bytes or more"))
	if err != nil {
		return 0, err
	}
	house, err := redpacket.NewHouse(redpacket.HouseConfig{Home: 1, IDs: ids, Control: control, Backend: redpacket.NewPipelined(pipelined)})
	if err != nil {
		return 0, err
	}
	book, quiet := memory.New(memory.Options{}), slog.New(slog.DiscardHandler)
	certifier, err := redpacket.NewCertifier(redpacket.CertifierConfig{House: house, Ledger: book, Who: "winners", Log: quiet})
	if err == nil {
		err = certifier.Step(ctx)
	}
	if err != nil {
		return 0, err
	}
	desk, err := redpacket.NewHome(redpacket.HomeConfig{House: house, Cache: nothing{}})
	if err != nil {
		return 0, err
	}
	splitter, err := redpacket.NewSplitWorker(redpacket.SplitWorkerConfig{House: house, Ledger: book, Blocking: blocking, Log: quiet})
	if err != nil {
		return 0, err
	}
	closer, err := redpacket.NewCloser(redpacket.CloserConfig{House: house, Ledger: book, Log: quiet})
	if err != nil {
		return 0, err
	}
	empty, err := usedMemory(ctx, control)
	if err != nil {
		return 0, err
	}
	req, err := redpacket.ParseFund(fmt.Appendf(nil, `{"amount":%d,"count":%d,"parts":1}`, 1000*count, count))
	if err != nil {
		return 0, err
	}
	req.Sender, req.Home = "sender", 1
	funded, err := desk.Fund(ctx, req)
	if err == nil {
		err = splitter.Step(ctx)
	}
	if err != nil {
		return 0, err
	}
	st, err := desk.Show(ctx, funded.ID)
	if err != nil || st.State != redpacket.StateOpen {
		return 0, fmt.Errorf("the red packet is %s, %v", st.State, err)
	}
	split, err := usedMemory(ctx, control)
	if err != nil {
		return 0, err
	}
	before, err := cpu(ctx, control)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := draw(ctx, desk, control, &st, count, clients); err != nil {
		return 0, err
	}
	took := time.Since(start)
	spent, err := cpu(ctx, control)
	if err != nil {
		return 0, err
	}
	if err := trim(ctx, control, st.ID); err != nil {
		return 0, err
	}
	drawn, err := usedMemory(ctx, control)
	if err != nil {
		return 0, err
	}
	if err := closer.Step(ctx); err != nil { // publishes the filter
		return 0, err
	}
	if _, err := desk.Close(ctx, st.ID, ""); err != nil {
		return 0, err
	}
	for i := int64(0); i < count; i += max(1, count/1000) {
		out, err := desk.Draw(ctx, redpacket.DrawRequest{ID: st.ID, UID: uidOf(i)})
		if err != nil || out.Kind != redpacket.Already {
			return 0, fmt.Errorf("%s hears %v, %v", uidOf(i), out.Kind, err)
		}
	}
	if peak, err = number(ctx, control, "memory", "used_memory_peak:"); err != nil {
		return 0, err
	}
	fmt.Printf("winners=%d redis_peak_bytes=%d drawn_bytes=%d empty_bytes=%d shares_bytes=%d bytes_per_winner=%.1f draws_per_s=%.0f redis_cpu_us_per_draw=%.2f\n",
		count, peak, drawn, empty, split-empty, float64(drawn-empty)/float64(count), float64(count)/took.Seconds(), float64(spent-before)/float64(count))
	return peak, nil
}

// draw makes each user draw once, and keeps the streams short meanwhile.
func draw(ctx context.Context, desk *redpacket.Home, control *redis.Client, st *redpacket.State, count int64, clients int) error {
	var next, done atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	seen := redpacket.Seen{Found: true, State: *st, Now: time.Now().UnixMilli()}
	for range clients {
		wg.Go(func() {
			for failed.Load() == nil {
				i := next.Add(1) - 1
				if i >= count {
					return
				}
				out, err := desk.Draw(ctx, redpacket.DrawRequest{ID: st.ID, UID: uidOf(i), Seen: &seen})
				if err == nil && out.Kind != redpacket.Won && out.Kind != redpacket.Already {
					err = fmt.Errorf("%s heard %v", uidOf(i), out.Kind)
				}
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
				done.Add(1)
			}
		})
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for said := int64(0); ; {
		select {
		case <-over:
			if err := failed.Load(); err != nil {
				return *err
			}
			return nil
		case <-tick.C:
			if err := trim(ctx, control, st.ID); err != nil {
				return err
			}
			if n := done.Load(); n-said >= 1_000_000 {
				said = n
				fmt.Fprintf(os.Stderr, "%d drawn\n", n)
			}
		}
	}
}

// trim empties the win stream and the change log of the red packet's bucket.
func trim(ctx context.Context, control *redis.Client, id redpacket.ID) error {
	pipe := control.Pipeline()
	pipe.XTrimMaxLen(ctx, changelog.WinKey(id.Bucket()), 0)
	pipe.XTrimMaxLen(ctx, changelog.LogKey(id.Bucket()), 0)
	_, err := pipe.Exec(ctx)
	return err
}

// usedMemory is used_memory of INFO, when nothing is being rehashed any more.
func usedMemory(ctx context.Context, control *redis.Client) (int64, error) {
	time.Sleep(time.Second)
	return number(ctx, control, "memory", "used_memory:")
}

// cpu is how long Redis has computed, in microseconds.
func cpu(ctx context.Context, control *redis.Client) (int64, error) {
	user, err := number(ctx, control, "cpu", "used_cpu_user:")
	if err != nil {
		return 0, err
	}
	system, err := number(ctx, control, "cpu", "used_cpu_sys:")
	return user + system, err
}

// number is what follows prefix in a section of INFO; seconds with six decimals become microseconds.
func number(ctx context.Context, control *redis.Client, section, prefix string) (int64, error) {
	text, err := control.Info(ctx, section).Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
			return strconv.ParseInt(strings.Replace(value, ".", "", 1), 10, 64)
		}
	}
	return 0, fmt.Errorf("INFO %s tells no %s", section, prefix)
}
