package arrival

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// rates are the curves' derivatives, written down independently of their integrals.
func TestHitsIsTheIntegralOfTheRate(t *testing.T) {
	f := func(c Curve, rate func(x float64) float64) {
		t.Helper()
		sum, dt := 0.0, 0.0005
		for i := range 40000 { // 20 s by the midpoint rule
			sum += rate((float64(i)+0.5)*dt) * dt
			if i%4000 != 3999 {
				continue
			}
			at := time.Duration(float64(i+1) * dt * 1e9)
			if got := c.Hits(at); math.Abs(got-sum) > 1e-3*(1+sum) {
				t.Errorf("%s: Hits(%s) = %g, integral %g", c, at, got, sum)
			}
		}
	}
	f(Constant{Rate: 100}, func(float64) float64 { return 100 })
	f(Step{From: 10, By: 5, Every: 3 * time.Second}, func(x float64) float64 { return 10 + 5*math.Floor(x/3) })
	f(Ramp{From: 5, To: 50, Over: 10 * time.Second}, func(x float64) float64 { return 5 + 45*math.Min(x/10, 1) })
	f(Sine{Mean: 100, Amp: 60, Period: 7 * time.Second}, func(x float64) float64 { return 100 - 60*math.Cos(2*math.Pi*x/7) })
	s := Surge{Base: 10, Factor: 100, After: 2 * time.Second, Before: 9 * time.Second, Rise: time.Second, For: 2 * time.Second, Seed: 3}
	m := s.Moment().Seconds()
	f(s, func(x float64) float64 {
		shape := math.Max(0, math.Min(1, math.Min(x-m, m+4-x)))
		return 10 + 990*shape
	})
}

func TestHerdArrivesOnceEachAndAroundTheMoment(t *testing.T) {
	h, err := NewHerd(Herd{Users: 1000, At: 5 * time.Second, Skew: 200 * time.Millisecond, Reaction: 600 * time.Millisecond, Spread: 0.5, Repeats: 2, Every: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	f := func(at time.Duration, want, tolerance float64) {
		t.Helper()
		if got := h.Hits(at); math.Abs(got-want) > tolerance {
			t.Errorf("Hits(%s) = %g, want %g", at, got, want)
		}
	}
	f(0, 0, 0)
	f(4*time.Second, 0, 0.5)
	f(5600*time.Millisecond, 500, 40) // median of the reaction
	f(14*time.Second, 1000, 1)
	f(24*time.Second, 2000, 1)
	f(60*time.Second, 3000, 1e-6)
}

func TestHerdMatchesSampledUsers(t *testing.T) {
	h, _ := NewHerd(Herd{Users: 1, At: 2 * time.Second, Skew: 300 * time.Millisecond, Reaction: 500 * time.Millisecond, Spread: 0.6})
	rnd := rand.New(rand.NewPCG(1, 2))
	const n = 200000
	var within [40]float64
	for range n {
		x := 2 + rnd.NormFloat64()*0.3 + 0.5*math.Exp(0.6*rnd.NormFloat64())
		for i := int(math.Max(0, x/0.1)) + 1; i < len(within); i++ {
			within[i]++
		}
	}
	for i, c := range within {
		if got := h.Hits(time.Duration(i) * 100 * time.Millisecond); math.Abs(got-c/n) > 0.01 {
			t.Errorf("share before %d00 ms: %g, sampled %g", i, got, c/n)
		}
	}
}

func TestScheduleFollowsTheCurveAndPartsAddUp(t *testing.T) {
	for _, text := range []string{"100", "step:from=10,by=20,every=2s", "ramp:from=0,to=200,over=10s", "sine:mean=100,amp=100,period=3s",
		"herd:users=900,at=3s", "surge:base=20,factor=50,after=2s,before=6s,rise=100ms,for=1s,seed=9"} {
		c, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		end := 10 * time.Second
		seen := map[uint64]time.Duration{}
		for part := range 3 {
			s, last := NewSchedule(c, end, part, 3), time.Duration(0)
			for n, at, ok := s.Next(); ok; n, at, ok = s.Next() {
				if at < last || at > end {
					t.Fatalf("%s: arrival %d at %s after %s", c, n, at, last)
				}
				if hits := c.Hits(at); math.Abs(hits-float64(n)-0.5) > 0.1 {
					t.Fatalf("%s: arrival %d where the curve is %g", c, n, hits)
				}
				seen[n], last = at, at
			}
		}
		if want := math.Round(c.Hits(end)); math.Abs(float64(len(seen))-want) > 1 {
			t.Errorf("%s: %d arrivals, want %g", c, len(seen), want)
		}
	}
}

func TestPoissonArrivalsHaveTheCurvesMean(t *testing.T) {
	total := 0
	for part := range 2 {
		s := NewSchedule(Constant{Rate: 1000}, 20*time.Second, part, 2).Poisson(rand.New(rand.NewPCG(5, uint64(part))))
		for _, _, ok := s.Next(); ok; _, _, ok = s.Next() {
			total++
		}
	}
	if total < 19300 || total > 20700 { // five deviations
		t.Errorf("%d arrivals, want about 20000", total)
	}
}

func TestCurvesPrintWhatParseReads(t *testing.T) {
	for _, text := range []string{"constant:rate=1000", "step:from=100,by=100,every=10s", "ramp:from=0,to=5000,over=1m", "sine:mean=1000,amp=500,period=1m",
		"herd:users=100000,at=5s,skew=200ms,reaction=600ms,spread=0.5,repeats=2,every=1s",
		"surge:base=50,factor=1000,after=10s,before=50s,rise=200ms,for=2s,seed=7"} {
		c, err := Parse(text)
		if err != nil || c.String() != text {
			t.Errorf("Parse(%q) = %v, %v", text, c, err)
		}
	}
	for _, bad := range []string{"", "x", "ramp:to=1", "ramp:to=-1,over=1s", "constant:rate=1,rate=2", "constant:rate=1,x=2", "sine:mean=1,amp=2,period=1s", "step:from=1,by=1,every=0s"} {
		if c, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) = %s, want an error", bad, c)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("herd:users=1,at=5s,repeats=2,every=1s")
	f.Add("surge:base=50,factor=1000,after=10s,before=50s")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(c.String())
		if err != nil || again.String() != c.String() {
			t.Fatalf("%q reads as %s, which reads as %v, %v", text, c, again, err)
		}
	})
}

func BenchmarkHerdNext(b *testing.B) {
	h, _ := NewHerd(Herd{Users: 1e9, At: time.Second, Skew: time.Millisecond * 100, Reaction: time.Second, Spread: 0.5})
	s := NewSchedule(h, 20*time.Second, 0, 1)
	b.ReportAllocs()
	for b.Loop() {
		s.Next()
	}
}
