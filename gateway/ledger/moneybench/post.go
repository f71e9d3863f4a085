package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/split"
)

const (
	shares  = 1000 // of each red packet
	perCall = 4000 // wins of one Settle, of four buckets
)

func funded(id string, bucket, count int, amount int64) ledger.RedPacket {
	seed := sha256.Sum256([]byte(id))
	return ledger.RedPacket{ID: id, Sender: "sender", Home: 1, Bucket: bucket, Mode: "lucky", Audience: "anyone", Lock: "none",
		Amount: amount, Count: count, Min: 50, Max: 20_000, CreatedAt: time.Now(), Seed: seed[:], State: ledger.Funded}
}

// post measures settling: two settlers, each with 32 of the 64 buckets.
func post(ctx context.Context, l ledger.Store, awards int) (perSecond float64, err error) {
	n := awards / shares
	for i := range n {
		if _, _, err := l.PutRedPacket(ctx, funded("post-"+strconv.Itoa(i), i%64, shares, shares*100)); err != nil {
			return 0, err
		}
	}
	users := rand.New(rand.NewPCG(1, 2)).Perm(max(n*shares, 1))
	var wg sync.WaitGroup
	errs := make([]error, 2)
	start := time.Now()
	for w := range errs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[w] = settler(ctx, l, w, n, users)
		}()
	}
	wg.Wait()
	took := time.Since(start)
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	rep, err := l.Audit(ctx)
	if err != nil {
		return 0, err
	}
	if len(rep.Problems) > 0 || rep.Awards != n*shares || rep.Postings != 2*(n*shares+n) {
		return 0, fmt.Errorf("audit: %+v", rep)
	}
	return float64(n*shares) / took.Seconds(), nil
}

// settler posts the red packets of its half, four at a time.
func settler(ctx context.Context, l ledger.Store, w, n int, users []int) error {
	seq := map[int]uint64{}
	now := time.Now()
	var batches []ledger.Batch
	for i := w; i < n; i += 2 {
		bucket := i % 64
		b := ledger.Batch{Home: 1, Bucket: bucket, From: ledger.Position{Epoch: 1, Seq: seq[bucket]}, Wins: make([]ledger.Win, shares)}
		id := "post-" + strconv.Itoa(i)
		for s := range shares {
			seq[bucket]++
			b.Wins[s] = ledger.Win{RedPacket: id, Share: s, UID: "user-" + strconv.Itoa(users[i*shares+s]*(10_000_000/len(users))), N: "1", Amount: 100,
				At: now, Epoch: 1, Seq: seq[bucket]}
		}
		b.To = ledger.Position{Epoch: 1, Seq: seq[bucket]}
		batches = append(batches, b)
		if len(batches)*shares == perCall || i+2 >= n {
			if err := l.Settle(ctx, batches); err != nil {
				return err
			}
			batches = batches[:0]
		}
	}
	return nil
}

// reconcile posts one large red packet and then measures: the split computed
// again from its seed, every award of the ledger held against it, each share
// and each user once, and the sums. Redis adds one script call to this.
func reconcile(ctx context.Context, l ledger.Store, n int) (time.Duration, error) {
	seed := sha256.Sum256([]byte("million"))
	plan := split.Plan{Amount: int64(n) * 1000, Count: int64(n), Min: 50, Max: 20_000, Seed: seed}
	amounts := make([]int64, n)
	if err := split.Lucky(plan, amounts, 2); err != nil {
		return 0, err
	}
	if _, _, err := l.PutRedPacket(ctx, funded("million", 7, n, plan.Amount)); err != nil {
		return 0, err
	}
	at, err := l.Positions(ctx, 1)
	if err != nil {
		return 0, err
	}
	from := ledger.Position{Epoch: 1, Seq: at[7].Position.Seq}
	now := time.Now()
	for s := 0; s < n; s += perCall {
		b := ledger.Batch{Home: 1, Bucket: 7, From: from}
		for i := s; i < min(s+perCall, n); i++ {
			from.Seq++
			b.Wins = append(b.Wins, ledger.Win{RedPacket: "million", Share: i, UID: "u" + strconv.FormatUint(uint64(i)*2654435761%10_000_019, 36), N: "1",
				Amount: amounts[i], At: now, Epoch: 1, Seq: from.Seq})
		}
		b.To = from
		if err := l.Settle(ctx, []ledger.Batch{b}); err != nil {
			return 0, err
		}
	}
	return best(2, func() error {
		again := make([]int64, n)
		if err := split.Lucky(plan, again, 2); err != nil {
			return err
		}
		seen := make([]bool, n)
		who := make(map[string]int, n)
		sums, err := l.Reconcile(ctx, "million", func(a *ledger.Award) error {
			if seen[a.Share] || again[a.Share] != a.Amount {
				return fmt.Errorf("share %d of %d fen", a.Share, a.Amount)
			}
			seen[a.Share] = true
			if _, twice := who[a.UID]; twice {
				return fmt.Errorf("uid %s won twice", a.UID)
			}
			who[a.UID] = a.Share
			return nil
		})
		if err == nil {
			err = sums.Check()
		}
		if err == nil && (sums.Awards != n || sums.Payable != plan.Amount || sums.Balance != 0) {
			err = fmt.Errorf("sums %+v", sums)
		}
		return err
	})
}
