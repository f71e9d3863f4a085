package split

import (
	"fmt"
	"math"
	"sort"
	"testing"
)

func seedOf(n int) (s [32]byte) {
	copy(s[:], fmt.Sprintf("seed %d", n))
	return s
}

func mustLucky(t testing.TB, p Plan) []int64 {
	t.Helper()
	shares := make([]int64, p.Count)
	if err := Lucky(p, shares, 2); err != nil {
		t.Fatal(err)
	}
	return shares
}

func TestSumAndBoundsAlwaysHold(t *testing.T) {
	f := func(amount, count, low, high int64) {
		t.Helper()
		for seed := range 20 {
			var sum int64
			for i, s := range mustLucky(t, Plan{amount, count, low, high, seedOf(seed)}) {
				if s < low || s > high {
					t.Fatalf("%d into %d: share %d is %d", amount, count, i, s)
				}
				sum += s
			}
			if sum != amount {
				t.Fatalf("%d into %d sums to %d", amount, count, sum)
			}
		}
	}
	f(10_000, 20, 50, 20_000)
	f(1000, 20, 50, 20_000) // all at the minimum
	f(400_000, 20, 50, 20_000)
	f(1001, 20, 50, 20_000) // one fen to move
	f(399_999, 20, 50, 20_000)
	f(1, 1, 1, 1)
	f(7, 2, 1, 6)
	f(3, 2, 1, 2)
	f(10_000_001, 10_000, 50, 20_000)  // just above a block
	f(300_000_000, 20_001, 1, 100_000) // blocks of unequal sizes
	f(100_000_000_000, 3, 1, 100_000_000_000)
	f(1_000_000_000, 200_000, 5000, 5000)
}

func TestInfeasiblePlansAreRefused(t *testing.T) {
	f := func(amount, count, low, high int64) {
		t.Helper()
		if err := Lucky(Plan{Amount: amount, Count: count, Min: low, Max: high}, make([]int64, 1), 1); err == nil {
			t.Errorf("%d into %d of %d..%d was split", amount, count, low, high)
		}
	}
	f(999, 20, 50, 20_000)
	f(400_001, 20, 50, 20_000)
	f(100, 0, 1, 100)
	f(100, -1, 1, 100)
	f(100, 2, 60, 50)
	f(math.MaxInt64, math.MaxInt64, 1, math.MaxInt64)
	f(100, 2, 1, 100) // no room for two shares
}

func TestSameSeedSameSplitWhateverTheWorkers(t *testing.T) {
	p := Plan{500_000_000, 50_001, 50, 100_000, seedOf(1)}
	one, many := make([]int64, p.Count), make([]int64, p.Count)
	if Lucky(p, one, 1) != nil || Lucky(p, many, 7) != nil {
		t.Fatal("refused")
	}
	for i := range one {
		if one[i] != many[i] {
			t.Fatalf("share %d: %d and %d", i, one[i], many[i])
		}
	}
}

// The split of a known seed is written down: whoever verified a red packet last year must
// be able to do so next year.
func TestKnownSeedGivesKnownSplit(t *testing.T) {
	got := fmt.Sprint(mustLucky(t, Plan{10_000, 10, 50, 20_000, seedOf(42)}))
	if want := "[1125 1580 1343 695 875 669 1334 913 1180 286]"; got != want {
		t.Fatalf("the algorithm changed: got %s, want %s", got, want)
	}
}

// oracle draws from the exact law: independent truncated normals, rejected until they sum
// to the amount. The last share is what is left, accepted in proportion to its density.
func oracle(g *source, p Plan, shares []int64) {
	mean, sigma := float64(p.Amount)/float64(p.Count), p.Sigma()
	for {
		rest := p.Amount
		last := len(shares) - 1
		for i := range last {
			for {
				x := int64(math.Floor(mean + g.normal()*sigma + 0.5))
				if x >= p.Min && x <= p.Max {
					shares[i] = x
					break
				}
			}
			rest -= shares[i]
		}
		if rest < p.Min || rest > p.Max {
			continue
		}
		if d := (float64(rest) - mean) / sigma; g.float() < math.Exp(-0.5*d*d) {
			shares[last] = rest
			return
		}
	}
}

// ks is the two-sample Kolmogorov-Smirnov statistic, scaled so that 1.95 is passed by
// chance once in a thousand.
func ks(a, b []int64) float64 {
	a, b = append([]int64(nil), a...), append([]int64(nil), b...)
	sort.Slice(a, func(i, j int) bool { return a[i] < a[j] })
	sort.Slice(b, func(i, j int) bool { return b[i] < b[j] })
	var i, j int
	var worst float64
	for i < len(a) && j < len(b) {
		v := min(a[i], b[j])
		for i < len(a) && a[i] == v {
			i++
		}
		for j < len(b) && b[j] == v {
			j++
		}
		worst = max(worst, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n := float64(len(a)) * float64(len(b)) / float64(len(a)+len(b))
	return worst * math.Sqrt(n)
}

func TestEveryPositionHasTheLawOfTheExactSampler(t *testing.T) {
	f := func(amount, count, low, high int64, runs int) {
		t.Helper()
		byPosition, exact := make([][]int64, count), make([][]int64, count)
		best := make([]float64, count)
		var g source
		g.bits.Seed(seedOf(-1))
		buf := make([]int64, count)
		for r := range runs {
			shares := mustLucky(t, Plan{amount, count, low, high, seedOf(r)})
			top := 0
			for i, s := range shares {
				byPosition[i] = append(byPosition[i], s)
				if s > shares[top] {
					top = i
				}
			}
			best[top]++
			oracle(&g, Plan{amount, count, low, high, seedOf(0)}, buf)
			for i, s := range buf {
				exact[i] = append(exact[i], s)
			}
		}
		for i := range byPosition {
			if d := ks(byPosition[i], byPosition[0]); d > 1.95 {
				t.Errorf("%d/%d: position %d differs from position 0: %.2f", amount, count, i, d)
			}
			if d := ks(byPosition[i], exact[i]); d > 1.95 {
				t.Errorf("%d/%d: position %d differs from the exact sampler: %.2f", amount, count, i, d)
			}
		}
		expect, chi := float64(runs)/float64(count), 0.0
		for _, n := range best {
			chi += (n - expect) * (n - expect) / expect
		}
		// Chi-square with count-1 degrees: mean count-1, variance 2(count-1).
		if limit := float64(count-1) + 4*math.Sqrt(2*float64(count-1)); chi > limit {
			t.Errorf("%d/%d: best luck by position: chi-square %.1f, at most %.1f", amount, count, chi, limit)
		}
	}
	f(10_000, 10, 50, 20_000, 4000)
	f(12_000, 4, 50, 5000, 4000)
	f(4000, 20, 50, 20_000, 4000)
	f(19_000*6, 6, 50, 20_000, 4000) // near the upper bound
}

func TestBlocksDoNotShowInTheShares(t *testing.T) {
	// Two blocks: the law of a share of the first, of the second and of a single block
	// with the same mean must agree.
	var first, second, single []int64
	for r := range 300 {
		shares := mustLucky(t, Plan{20_000_000, 40, 1, 2_000_000, seedOf(r)})
		first, second = append(first, shares[:20]...), append(second, shares[20:]...)
		one := make([]int64, 40)
		p := Plan{20_000_000, 40, 1, 2_000_000, seedOf(r)}
		lucky(p, p.Sigma(), seedOf(r+1000), one)
		single = append(single, one...)
	}
	if d := ks(first, second); d > 1.95 {
		t.Errorf("the blocks differ: %.2f", d)
	}
	if d := ks(first, single); d > 1.95 {
		t.Errorf("a block differs from no block: %.2f", d)
	}
}

func TestNoPileAtTheMinimum(t *testing.T) {
	shares := mustLucky(t, Plan{10_000_000, 10_000, 50, 20_000, seedOf(3)})
	var low, near int
	for _, s := range shares {
		if s == 50 {
			low++
		}
		if s < 100 {
			near++
		}
	}
	if low > 10 || near > 500 {
		t.Errorf("%d of 10000 shares at the minimum, %d within 50 fen of it", low, near)
	}
}

func TestNormalIsNormal(t *testing.T) {
	var g source
	g.bits.Seed(seedOf(9))
	const n = 400_000
	var sum, square, beyond float64
	for range n {
		x := g.normal()
		sum += x
		square += x * x
		if math.Abs(x) > tailStart {
			beyond++
		}
	}
	if m, v := sum/n, square/n; math.Abs(m) > 0.008 || math.Abs(v-1) > 0.012 {
		t.Errorf("mean %.4f, variance %.4f", m, v)
	}
	if want := n * math.Erfc(tailStart/math.Sqrt2); math.Abs(beyond-want) > 5*math.Sqrt(want) {
		t.Errorf("%v beyond the last layer, expected %.0f", beyond, want)
	}
}

func TestSplitDoesNotAllocatePerShare(t *testing.T) {
	p := Plan{10_000_000, 10_000, 50, 20_000, seedOf(3)}
	shares := make([]int64, p.Count)
	if n := testing.AllocsPerRun(3, func() { Lucky(p, shares, 1) }); n > 1 { // the generator itself
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLucky(b *testing.B) {
	f := func(name string, p Plan) {
		b.Run(name, func(b *testing.B) {
			shares := make([]int64, p.Count)
			b.ReportAllocs()
			for b.Loop() {
				if err := Lucky(p, shares, 2); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(p.Count), "ns/share")
		})
	}
	f("10k", Plan{10_000_000, 10_000, 50, 20_000, seedOf(1)})
	f("200k_one_block", Plan{10_000_000, 200_000, 10, 20_000, seedOf(1)})
	f("200k_blocks", Plan{200_000_000, 200_000, 50, 20_000, seedOf(1)})
}
