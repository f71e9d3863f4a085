package redpacket

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
	"sluice/gateway/redpacket/split"
)

// FundLedger is what funding needs of the ledger.
type FundLedger interface {
	ledger.RedPackets
	ledger.Payments
}

// SplitWorkerConfig is what a SplitWorker is made of.
type SplitWorkerConfig struct {
	House    *House                // required
	Ledger   FundLedger            // required
	Blocking redis.UniversalClient // required; a client of its own
	Provider Provider              // nil means Auto
	// PayWithin is how long a sender has to pay; 0 means DefaultPayWithin.
	PayWithin time.Duration
	Workers   int           // red packets at the same time, and blocks of one; 0 means 2
	Block     time.Duration // longest wait for requests; 0 means 100 ms
	Again     time.Duration // how often what is not done is looked at again; 0 means 1 s
	Random    io.Reader     // for seeds; nil means crypto/rand
	Log       *slog.Logger  // nil means slog.Default
	// Opened is told of every red packet that opens; may be nil.
	Opened func(id ID, took time.Duration)
}

// SplitWorker turns fund requests into open red packets: pay, row and seed into the
// ledger, split, store, open. Every step may be repeated, by this worker or another: the
// seed in the ledger decides the split, and only the first one stored counts.
type SplitWorker struct {
	SplitWorkerConfig
	h      *House
	reader streamReader
	last   [Buckets]string
	swept  time.Time

	mu      sync.Mutex // guards the rest
	busy    map[ID]bool
	waiters map[ID][]chan struct{}
}

// NewSplitWorker checks its parts.
func NewSplitWorker(cfg SplitWorkerConfig) (*SplitWorker, error) {
	if cfg.House == nil || cfg.Ledger == nil || cfg.Blocking == nil {
		return nil, fmt.Errorf("redpacket: a SplitWorker needs House, Ledger and Blocking")
	}
	if cfg.Provider == nil {
		cfg.Provider = Auto{}
	}
	if cfg.PayWithin <= 0 {
		cfg.PayWithin = DefaultPayWithin
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 2
	}
	if cfg.Block <= 0 {
		cfg.Block = 100 * time.Millisecond
	}
	if cfg.Again <= 0 {
		cfg.Again = time.Second
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	w := &SplitWorker{SplitWorkerConfig: cfg, h: cfg.House, busy: map[ID]bool{}, waiters: map[ID][]chan struct{}{}}
	w.reader = streamReader{sleep: w.h.sleep, client: cfg.Blocking, block: cfg.Block, count: 100}
	for b := range w.h.keys {
		w.reader.stream[b] = w.h.keys[b].fund
	}
	return w, nil
}

type fundJob struct {
	bucket int
	entry  string
	id     ID
}

// Run works until the context ends.
func (w *SplitWorker) Run(ctx context.Context) error {
	jobs := make(chan fundJob)
	var wg sync.WaitGroup
	for range w.Workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range jobs {
				w.do(ctx, j)
			}
		}()
	}
	defer wg.Wait()
	defer close(jobs)
	for ctx.Err() == nil {
		list, err := w.find(ctx)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("split: reading fund streams", "err", err)
			w.h.sleep(ctx, 500*time.Millisecond)
		}
		for _, j := range list {
			select {
			case jobs <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return ctx.Err()
}

// Step does everything that can be done now, in this goroutine.
func (w *SplitWorker) Step(ctx context.Context) error {
	w.swept = time.Time{}
	list, err := w.find(ctx)
	for _, j := range list {
		w.do(ctx, j)
	}
	return err
}

// find reads new entries; now and then it begins from the front, where what could not be
// done yet still stands.
func (w *SplitWorker) find(ctx context.Context) ([]fundJob, error) {
	if now := w.h.now(); now.Sub(w.swept) >= w.Again || now.Before(w.swept) {
		w.swept = now
		for _, b := range w.h.buckets {
			w.last[b] = "0-0"
		}
	}
	got, _, err := w.reader.read(ctx, &w.last)
	var list []fundJob
	for b, messages := range got {
		for _, m := range messages {
			w.last[b] = m.ID
			text, _ := m.Values["i"].(string)
			id, err := w.h.ids.Parse(text)
			if err != nil {
				w.Log.Error("split: an entry of a fund stream names no red packet", "bucket", b, "entry", m.ID)
				continue
			}
			w.mu.Lock()
			if !w.busy[id] {
				w.busy[id] = true
				list = append(list, fundJob{b, m.ID, id})
			}
			w.mu.Unlock()
		}
	}
	return list, err
}

func (w *SplitWorker) do(ctx context.Context, j fundJob) {
	start := w.h.now()
	done, opened, err := w.open(ctx, j.id)
	if err != nil && ctx.Err() == nil {
		w.Log.Error("split", "redpacket", j.id.String(), "err", err)
	}
	if done {
		if err := w.h.control.XDel(ctx, w.h.keys[j.bucket].fund, j.entry).Err(); err != nil {
			w.Log.Warn("split: dropping a fund entry that is done", "redpacket", j.id.String(), "err", err)
		}
	}
	w.mu.Lock()
	delete(w.busy, j.id)
	w.mu.Unlock()
	if opened && w.Opened != nil {
		w.Opened(j.id, w.h.now().Sub(start))
	}
}

// open takes one red packet as far as it goes; done means that its entry is no more needed.
func (w *SplitWorker) open(ctx context.Context, id ID) (done, opened bool, err error) {
	text := id.String()
	vals, err := w.h.control.HMGet(ctx, w.h.keys[id.Bucket()].rp(text), "spec", "s").Result()
	if err != nil {
		return false, false, scriptError(err)
	}
	specText, ok1 := vals[0].(string)
	s, ok2 := vals[1].(string)
	if !ok1 || !ok2 {
		return true, false, fmt.Errorf("the bucket has a fund entry but no red packet: %w", ErrNotFound)
	}
	if s != "p" && s != "u" {
		w.stored(id)
		return true, false, nil
	}
	sp, err := parseSpec([]byte(specText))
	if err != nil {
		return false, false, err
	}
	row, err := w.row(ctx, id, &sp)
	switch {
	case errors.Is(err, ledger.ErrConflict):
		// The bucket forgot this id and was funded with another body under the same key.
		// The ledger's is the red packet; this one never opens.
		return true, false, errors.Join(err, w.withdraw(ctx, id, &sp))
	case err != nil:
		return false, false, err
	}
	w.stored(id)
	switch row.State {
	case ledger.Funded:
	case ledger.Unpaid:
		return w.unpaid(ctx, id, &row)
	case ledger.Expired:
		return true, false, w.h.move(ctx, id, "pu", "e")
	default: // closed long ago, and funded again under the same key: it does not open again
		return true, false, w.withdraw(ctx, id, &sp)
	}
	if s == "u" {
		if err := w.h.move(ctx, id, "u", "p"); err != nil {
			return false, false, err
		}
	}
	sp, err = parseSpec(row.Spec)
	if err != nil {
		return false, false, err
	}
	return w.split(ctx, id, &sp, &row)
}

// withdraw takes a red packet out of its bucket again, for which the ledger answers.
func (w *SplitWorker) withdraw(ctx context.Context, id ID, sp *spec) error {
	err := w.h.move(ctx, id, "pu", "e")
	if err == nil {
		_, err = w.h.drop(ctx, id, sp, time.Hour) // one that is closed meanwhile stays
	}
	return err
}

// row puts the red packet into the ledger, with a seed; what is there already, stays.
func (w *SplitWorker) row(ctx context.Context, id ID, sp *spec) (ledger.RedPacket, error) {
	if row, err := w.Ledger.RedPacket(ctx, sp.ID); err == nil && string(row.BodyHash) == string(sp.hashBytes()) {
		return row, nil
	}
	var seed [32]byte
	if _, err := io.ReadFull(w.Random, seed[:]); err != nil {
		return ledger.RedPacket{}, fmt.Errorf("reading random bits for a seed: %w", err)
	}
	row := sp.forLedger(w.h.home, id.Bucket(), seed, split.Commit(seed))
	row.State = ledger.Unpaid
	switch _, auto := w.Provider.(Auto); {
	case sp.Amount == 0: // a portal of coupons: nobody is asked for money
		row.State = ledger.Funded
	case auto:
		row.State, row.Payment = ledger.Funded, PaymentID(sp.ID)
	}
	stored, _, err := w.Ledger.PutRedPacket(ctx, row)
	return stored, err
}

// unpaid asks for the money, or gives up when it did not come in time.
func (w *SplitWorker) unpaid(ctx context.Context, id ID, row *ledger.RedPacket) (done, opened bool, err error) {
	pay, err := w.Ledger.Payment(ctx, PaymentID(row.ID))
	if errors.Is(err, ledger.ErrNotFound) {
		pay, _, err = w.Ledger.PutPayment(ctx, ledger.Payment{ID: PaymentID(row.ID), RedPacket: row.ID, Provider: w.Provider.Name(),
			Amount: row.Amount, State: ledger.PaymentAsked, AskedAt: w.h.now().UTC().Truncate(time.Millisecond)})
	}
	if err != nil {
		return false, false, err
	}
	if err := w.h.move(ctx, id, "p", "u"); err != nil {
		return false, false, err
	}
	now := w.h.now()
	if now.Sub(pay.AskedAt) > w.PayWithin {
		err := w.Ledger.ExpirePayment(ctx, pay.ID, now)
		if errors.Is(err, ledger.ErrState) {
			return false, false, nil // paid at the last moment: next time round
		}
		if err != nil {
			return false, false, err
		}
		return true, false, w.h.move(ctx, id, "pu", "e")
	}
	paid, err := w.Provider.Ask(ctx, pay)
	if err != nil {
		return false, false, fmt.Errorf("asking %s for %d fen: %w", w.Provider.Name(), pay.Amount, err)
	}
	if paid {
		_, err = w.Ledger.ConfirmPayment(ctx, pay.ID, pay.Amount, "", now)
	}
	return false, false, err
}

// move changes the state of a red packet that is not open yet.
func (h *House) move(ctx context.Context, id ID, from, to string) error {
	text := id.String()
	k := &h.keys[id.Bucket()]
	reply, _, err := h.run(ctx, id.Bucket(), script.State, k.base(k.rp(text)), []string{text, from, to}, nil)
	if err != nil {
		return err
	}
	if word, _, _ := strings.Cut(string(reply), "|"); word != "done" && word != "again" && word != "state" {
		return oddReply(script.State, reply)
	}
	return nil
}

// split computes the shares, stores and opens them.
func (w *SplitWorker) split(ctx context.Context, id ID, sp *spec, row *ledger.RedPacket) (done, opened bool, err error) {
	if sp.Spread > 1 {
		return w.spread(ctx, id, sp, row)
	}
	digits, err := shareDigits(sp, row.Seed, w.Workers)
	if err != nil {
		return false, false, err
	}
	for range 3 {
		reply, err := w.h.storeAndOpen(ctx, id, digits, row.SeedHash, row.Seed)
		if err != nil {
			return false, false, err
		}
		switch word, rest, _ := strings.Cut(reply, "|"); {
		case word == "done":
			return true, true, nil
		case word == "state" && rest != "u":
			return true, false, nil // another worker was faster
		case word == "shares", word == "gap":
			continue // another worker, or a Redis that forgot: once more
		default:
			return false, false, oddReply(script.Open, []byte(reply))
		}
	}
	return false, false, fmt.Errorf("the shares of %s do not stay as they are stored", id)
}

// storeChunk is how much of the shares one call stores: more would hold up the draws of others.
const storeChunk = 128 << 10

// checkLimit is the largest shares string whose sum is checked in the script.
const checkLimit = 1 << 20

func (h *House) storeAndOpen(ctx context.Context, id ID, digits []byte, commit, seed []byte) (string, error) {
	text := id.String()
	k := &h.keys[id.Bucket()]
	if word, err := h.store(ctx, id, digits); err != nil || word != "done" {
		return word, err
	}
	sum := ""
	if len(digits) <= checkLimit {
		s := sha1.Sum(digits)
		sum = hex.EncodeToString(s[:])
	}
	reply, _, err := h.run(ctx, id.Bucket(), script.Open, k.base(k.rp(text), k.sh(text)),
		[]string{text, hex.EncodeToString(commit), hex.EncodeToString(seed), sum}, nil)
	return string(reply), err
}

func (h *House) store(ctx context.Context, id ID, digits []byte) (string, error) {
	text := id.String()
	k := &h.keys[id.Bucket()]
	for at := 0; at < len(digits); at += storeChunk {
		chunk := digits[at:min(at+storeChunk, len(digits))]
		reply, _, err := h.run(ctx, id.Bucket(), script.Store, k.base(k.rp(text), k.sh(text)), []string{text, text64(int64(at)), string(chunk)}, nil)
		if err != nil || string(reply) != "done" {
			return string(reply), err
		}
	}
	return "done", nil
}

// amounts are the shares that a spec and a seed give. A portal has none in advance.
func amounts(sp *spec, seed []byte, workers int) ([]int64, error) {
	if sp.Mode == ModePortal {
		return nil, nil
	}
	if len(seed) != 32 {
		return nil, fmt.Errorf("redpacket: %s has a seed of %d bytes, want 32", sp.ID, len(seed))
	}
	shares := make([]int64, sp.Count)
	p := split.Plan{Amount: sp.Amount, Count: sp.Count, Min: sp.Min, Max: sp.Max, Seed: [32]byte(seed)}
	if sp.Mode == ModeEqual {
		return shares, split.Equal(p, shares)
	}
	return shares, split.Lucky(p, shares, workers)
}

// shareDigits are the shares as the bucket keeps them: width digits each.
func shareDigits(sp *spec, seed []byte, workers int) ([]byte, error) {
	shares, err := amounts(sp, seed, workers)
	if err != nil || shares == nil {
		return portalDigits(sp), err
	}
	return encodeShares(shares, int(sp.width())), nil
}

// portalDigits keep open.lua's check of the length true for a portal, whose width is 1.
func portalDigits(sp *spec) []byte {
	if sp.Mode != ModePortal {
		return nil
	}
	return []byte(strings.Repeat("0", int(sp.Count)))
}

func encodeShares(shares []int64, width int) []byte {
	out := make([]byte, len(shares)*width)
	for i, s := range shares {
		for j := (i+1)*width - 1; j >= i*width; j-- {
			out[j] = byte('0' + s%10)
			s /= 10
		}
	}
	return out
}

// stored wakes those who wait for a row.
func (w *SplitWorker) stored(id ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.waiters[id] {
		close(c)
	}
	delete(w.waiters, id)
}

// WaitStored returns when the ledger has the red packet's row. The embedded house answers a
// fund request only then, so that a restart forgets nothing it said.
func (w *SplitWorker) WaitStored(ctx context.Context, id ID) error {
	c := make(chan struct{})
	w.mu.Lock()
	w.waiters[id] = append(w.waiters[id], c)
	w.mu.Unlock()
	if _, err := w.Ledger.RedPacket(ctx, id.String()); err == nil {
		w.stored(id)
		return nil
	}
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		if left := slices.DeleteFunc(w.waiters[id], func(other chan struct{}) bool { return other == c }); len(left) > 0 {
			w.waiters[id] = left
		} else {
			delete(w.waiters, id)
		}
		return ctx.Err()
	}
}
