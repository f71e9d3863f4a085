package split

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
)

// BlockAmount is the amount in fen above which a split goes through blocks: 100,000 yuan.
const BlockAmount = 10_000_000

const rounds = 16

// ErrInfeasible: no split has this count, amount and bounds.
var ErrInfeasible = errors.New("split: the amount cannot be split so")

// Plan is what to split. All money is in fen.
type Plan struct {
	Amount, Count, Min, Max int64
	Seed                    [32]byte
}

// Check tells whether there is a split at all.
func (p Plan) Check() error {
	switch {
	case p.Count < 1, p.Min < 0, p.Max < p.Min, p.Amount < 0:
	case p.Max > 0 && p.Count > math.MaxInt64/p.Max:
	case p.Amount < p.Count*p.Min, p.Amount > p.Count*p.Max:
	default:
		return nil
	}
	return fmt.Errorf("%w: %d fen into %d shares of %d to %d", ErrInfeasible, p.Amount, p.Count, p.Min, p.Max)
}

// Sigma is the standard deviation of a share before the sum is fixed.
func (p Plan) Sigma() float64 {
	mean := float64(p.Amount) / float64(p.Count)
	return min(mean-float64(p.Min), float64(p.Max)-mean) / 2
}

// Commit is the public promise of a seed: its SHA-256, shown before the first draw.
func Commit(seed [32]byte) [32]byte { return sha256.Sum256(seed[:]) }

// Lucky fills shares, of length p.Count, with the split of p; workers bounds how many
// blocks are split at the same time and changes nothing in the result. It does not
// allocate for a plan of one block.
func Lucky(p Plan, shares []int64, workers int) error {
	if err := p.Check(); err != nil {
		return err
	}
	if int64(len(shares)) != p.Count {
		return fmt.Errorf("split: room for %d shares, the plan has %d", len(shares), p.Count)
	}
	if p.Amount <= BlockAmount {
		lucky(p, p.Sigma(), p.Seed, shares)
		return nil
	}
	blocks := divide(p)
	work := make(chan int)
	var wg sync.WaitGroup
	for range min(max(workers, 1), len(blocks)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range work {
				b := blocks[i]
				part := Plan{Amount: b.amount, Count: b.count, Min: p.Min, Max: p.Max}
				lucky(part, p.Sigma(), blockSeed(p.Seed, uint64(i)+1), shares[b.first:b.first+b.count])
			}
		}()
	}
	for i := range blocks {
		work <- i
	}
	close(work)
	wg.Wait()
	return nil
}

// Equal fills shares with one amount; p.Amount must be a multiple of p.Count.
func Equal(p Plan, shares []int64) error {
	if err := p.Check(); err != nil {
		return err
	}
	if p.Amount%p.Count != 0 || int64(len(shares)) != p.Count {
		return fmt.Errorf("%w: %d fen equally into %d shares", ErrInfeasible, p.Amount, len(shares))
	}
	for i := range shares {
		shares[i] = p.Amount / p.Count
	}
	return nil
}

func blockSeed(seed [32]byte, n uint64) [32]byte {
	var b [40]byte
	copy(b[:], seed[:])
	binary.BigEndian.PutUint64(b[32:], n)
	return sha256.Sum256(b[:])
}

// even is the equal start.
func even(amount int64, shares []int64) {
	n := int64(len(shares))
	base, more := amount/n, amount%n
	for i := range shares {
		shares[i] = base
		if int64(i) < more {
			shares[i]++
		}
	}
}

func lucky(p Plan, sigma float64, seed [32]byte, shares []int64) {
	even(p.Amount, shares)
	if sigma <= 0 || len(shares) < 2 {
		return // all at one bound, or nothing to divide
	}
	var g source
	g.bits.Seed(seed)
	half := sigma * math.Sqrt2 / 2
	for range rounds {
		for i := len(shares) - 1; i > 0; i -= 2 {
			j := g.below(uint32(i)) // a partner among those not paired yet
			s := shares[i] + shares[j]
			low := max(p.Min, s-p.Max)
			a := low + g.within(s-2*low, half)
			shares[j] = shares[i-1]
			shares[i-1], shares[i] = a, s-a
		}
	}
	g.shuffle(shares)
}

// source draws from the seed's ChaCha8 stream.
type source struct {
	bits  rand.ChaCha8
	spare uint32
	has   bool
}

// uint32 hands out each 64 bits in two halves.
func (g *source) uint32() uint32 {
	if g.has {
		g.has = false
		return g.spare
	}
	u := g.bits.Uint64()
	g.spare, g.has = uint32(u>>32), true
	return uint32(u)
}

// below is uniform over 0..n-1 (Lemire's multiply and reject).
func (g *source) below(n uint32) uint32 {
	m := uint64(g.uint32()) * uint64(n)
	if low := uint32(m); low < n {
		limit := -n % n
		for low < limit {
			m = uint64(g.uint32()) * uint64(n)
			low = uint32(m)
		}
	}
	return uint32(m >> 32)
}

func (g *source) shuffle(s []int64) {
	for i := len(s) - 1; i > 0; i-- {
		j := g.below(uint32(i) + 1)
		s[i], s[j] = s[j], s[i]
	}
}

// within draws from 0..width a number distributed as a normal about width/2 with the given
// sigma, rounded.
func (g *source) within(width int64, sigma float64) int64 {
	if width <= 0 {
		return 0
	}
	w := float64(width)
	reach := float64(w*0.5) + 0.5
	if reach <= sigma {
		// The interval is inside one sigma: uniform, thinned, accepts at least 60 %.
		for {
			x := float64((g.float()*2-1)*reach) / sigma
			if g.float() < math.Exp(-0.5*float64(x*x)) {
				if k := int64(math.Floor(float64(x*sigma) + reach)); k >= 0 && k <= width {
					return k
				}
			}
		}
	}
	for {
		y := float64(g.normal()*sigma) + reach
		if y >= 0 {
			if k := int64(y); k <= width {
				return k
			}
		}
	}
}

// float is uniform in [0, 1) with 53 bits.
func (g *source) float() float64 { return float64(g.bits.Uint64()>>11) * (1.0 / (1 << 53)) }
