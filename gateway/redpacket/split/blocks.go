package split

import "math"

type block struct{ first, count, amount int64 }

// divide cuts a large plan into blocks of at most about BlockAmount. Their amounts follow
// the law of sums of their shares, by the same pairwise redraw as the shares themselves.
func divide(p Plan) []block {
	n := min((p.Amount+BlockAmount-1)/BlockAmount, p.Count)
	blocks := make([]block, n)
	var first int64
	for i := range blocks {
		// Sizes differ by one at most; amounts start in proportion, to the fen.
		count := p.Count/n + b2i(int64(i) < p.Count%n)
		blocks[i] = block{first: first, count: count, amount: count * (p.Amount / p.Count)}
		first += count
	}
	rest := p.Amount % p.Count
	for i := range blocks {
		more := min(rest, blocks[i].count) // at most one fen a share: inside the bounds
		blocks[i].amount += more
		rest -= more
	}
	sigma := p.Sigma()
	if sigma <= 0 || n < 2 {
		return blocks
	}
	var g source
	g.bits.Seed(blockSeed(p.Seed, 0))
	order := make([]int64, n)
	for i := range order {
		order[i] = int64(i)
	}
	for range rounds {
		g.shuffle(order)
		for i := 1; i < len(order); i += 2 {
			g.redraw(p, sigma, &blocks[order[i-1]], &blocks[order[i]])
		}
	}
	return blocks
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// redraw draws the amounts of two blocks again, given their sum.
func (g *source) redraw(p Plan, sigma float64, a, b *block) {
	s := a.amount + b.amount
	low, high := max(a.count*p.Min, s-b.count*p.Max), min(a.count*p.Max, s-b.count*p.Min)
	ca, cb := float64(a.count), float64(b.count)
	mean := float64(s) * ca / (ca + cb)
	spread := sigma * math.Sqrt(ca*cb/(ca+cb))
	for range 1000 { // the mean lies inside: the first try nearly always fits
		x := int64(math.Floor(mean + float64(g.normal()*spread) + 0.5))
		if x >= low && x <= high {
			a.amount, b.amount = x, s-x
			return
		}
	}
}
