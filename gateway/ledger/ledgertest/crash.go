package ledgertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/gateway/ledger"
)

// childEnv tells a test binary that it is to be killed, and where its ledger is.
const childEnv = "SLUICE_LEDGER_CRASH"

// The streams that children settle: crashBuckets buckets, each with the wins
// of its own part of one hot red packet and a close at the end.
const (
	crashBuckets = 4
	crashEach    = 1200
)

// CrashMain is for TestMain: in a child it settles and pays out until it is
// killed, and never returns.
func CrashMain(open func(dsn string) (ledger.Store, error)) {
	dsn := os.Getenv(childEnv)
	if dsn == "" {
		return
	}
	l, err := open(dsn)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	ctx := context.Background()
	var wg sync.WaitGroup
	for b := range crashBuckets {
		wg.Go(func() { crashSettle(ctx, l, b) })
	}
	go crashPay(ctx, l)
	wg.Wait()
	fmt.Println("end")
	select {} // until killed
}

// crashStream is the stretch (from, to] of a bucket's stream.
func crashStream(b int, from, to uint64) ledger.Batch {
	out := ledger.Batch{Home: 1, Bucket: b, From: ledger.Position{Epoch: 1, Seq: from}, To: ledger.Position{Epoch: 1, Seq: to}}
	for seq := from + 1; seq <= to; seq++ {
		if seq == crashEach+1 {
			out.Closes = []ledger.Close{{RedPacket: "hot", Left: 100, LeftShares: 1, At: start, Epoch: 1, Seq: seq}}
			continue
		}
		out.Wins = append(out.Wins, win("hot", b*(crashEach+1)+int(seq)-1, seq))
	}
	return out
}

// crashSettle settles a bucket to its end in stretches of any length, sometimes
// from before the position.
func crashSettle(ctx context.Context, l ledger.Store, b int) {
	for {
		at, err := l.Positions(ctx, 1)
		if err != nil {
			fmt.Println("error", err)
			time.Sleep(20 * time.Millisecond)
			continue
		}
		seq := at[b].Position.Seq
		if seq == crashEach+1 {
			return
		}
		from := seq - min(seq, rand.Uint64N(30))
		to := min(seq+1+rand.Uint64N(40), crashEach+1)
		err = l.Settle(ctx, []ledger.Batch{crashStream(b, from, to)})
		var f *ledger.FreezeError
		if errors.As(err, &f) {
			fmt.Println("frozen", err)
			return
		}
	}
}

// crashPay pays what it claims: "pay" is printed before Done, as a provider's
// book would have it.
func crashPay(ctx context.Context, l ledger.Store) {
	for {
		got, err := l.Claim(ctx, 50, 300*time.Millisecond)
		if err != nil {
			fmt.Println("error", err)
			time.Sleep(20 * time.Millisecond)
			continue
		}
		var done []ledger.Outcome
		for _, p := range got {
			fmt.Println("pay", p.Key, p.Amount)
			done = append(done, ledger.Outcome{Key: p.Key, Reference: "r", At: time.Now()})
		}
		if err := l.Done(ctx, done); err != nil {
			fmt.Println("error", err)
		}
		if len(got) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// Crash kills processes in the middle of settling and paying out, kills times,
// then lets one finish and proves that everything is there once. hurt, when
// not nil, is called while a child runs, to hurt the server behind it.
func Crash(t *testing.T, dsn string, open func() ledger.Store, kills int, hurt func()) {
	l := open()
	h := &house{T: t, ctx: context.Background(), l: l, now: start}
	r := red("hot", crashBuckets*(crashEach+1))
	r.Bucket = 0
	_, _, err := l.PutRedPacket(h.ctx, r)
	h.must(err)
	h.must(l.Close())
	paid := map[string]int{}
	for i := range kills {
		after := time.Duration(20+rand.IntN(250)) * time.Millisecond
		var hurting sync.WaitGroup
		if hurt != nil && i%3 == 1 {
			hurting.Go(func() { time.Sleep(200 * time.Millisecond); hurt() })
			after += 500 * time.Millisecond
		}
		crashChild(t, dsn, paid, after, false)
		hurting.Wait() // not in the middle of what the test itself does
	}
	crashChild(t, dsn, paid, time.Minute, true)
	h.l = open()
	defer h.l.Close()
	time.Sleep(350 * time.Millisecond) // the last leases
	h.mu.Lock()
	h.now = time.Now()
	h.mu.Unlock()
	for _, p := range h.claimNow() {
		paid[fmt.Sprint(p.Key, " ", p.Amount)]++
	}
	wins := crashBuckets * crashEach
	h.money("hot", fmt.Sprintf("funded %d paid %d payable 0 refunding 0 refunded %d held 0 balance 0", (wins+crashBuckets)*100, wins*100, crashBuckets*100))
	seen := 0
	_, err = h.l.Reconcile(h.ctx, "hot", func(a *ledger.Award) error {
		want := win("hot", a.Share, uint64(a.Share%(crashEach+1))+1)
		if !a.Win.Same(want) || a.Bucket != a.Share/(crashEach+1) {
			return fmt.Errorf("award %+v, want %+v", *a, want)
		}
		seen++
		return nil
	})
	h.must(err)
	h.eq(seen, wins)
	h.state("hot", ledger.Refunded)
	h.audit()
	if len(paid) != wins+crashBuckets {
		t.Fatalf("%d keys were paid, want %d", len(paid), wins+crashBuckets)
	}
	again := 0
	for _, n := range paid {
		again += n - 1
	}
	t.Logf("%d kills; %d pay-outs were called again with the same key", kills, again)
}

// claimNow pays what the last child left claimed.
func (h *house) claimNow() (all []ledger.Payout) {
	h.Helper()
	for {
		got := h.claim(500)
		if len(got) == 0 {
			return all
		}
		all = append(all, got...)
		var done []ledger.Outcome
		for _, p := range got {
			done = append(done, ledger.Outcome{Key: p.Key, Reference: "r", At: h.clock()})
		}
		h.must(h.l.Done(h.ctx, done))
	}
}

// crashChild runs one child and kills it; the last one may first finish.
func crashChild(t *testing.T, dsn string, paid map[string]int, after time.Duration, finish bool) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), childEnv+"="+dsn)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() { _ = c.Process.Kill() })
	limit := time.AfterFunc(2*time.Minute, kill)
	defer limit.Stop()
	r := bufio.NewReader(out)
	for {
		text, err := r.ReadString('\n') // a cut last line is one that was not paid
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				t.Log(err)
			}
			break
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		switch word {
		case "ready":
			if !finish {
				time.AfterFunc(after, kill)
			}
		case "pay":
			paid[rest]++
		case "frozen":
			t.Error(rest)
		case "end":
			// Settled; the pay-outs it has not got to are paid by the test.
			kill()
		}
	}
	_ = c.Wait()
}
