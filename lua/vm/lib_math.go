package vm

import (
	"math"
	"math/bits"
)

func math1(f func(float64) float64) GoFunc {
	return func(t *Thread) int {
		t.PushNumber(f(t.CheckNumber(1)))
		return 1
	}
}

func math2(f func(a, b float64) float64) GoFunc {
	return func(t *Thread) int {
		t.PushNumber(f(t.CheckNumber(1), t.CheckNumber(2)))
		return 1
	}
}

var mathLib = func() *Table {
	t := library([]libFunc{
		{"abs", math1(math.Abs)}, {"acos", math1(math.Acos)}, {"asin", math1(math.Asin)}, {"atan", math1(math.Atan)},
		{"atan2", math2(math.Atan2)}, {"ceil", math1(math.Ceil)}, {"cos", math1(math.Cos)}, {"cosh", math1(math.Cosh)},
		{"deg", math1(func(x float64) float64 { return x * 57.29577951308232 })}, {"exp", math1(math.Exp)},
		{"floor", mathFloor}, {"fmod", math2(math.Mod)}, {"frexp", mathFrexp},
		{"ldexp", math2(func(x, e float64) float64 { return math.Ldexp(x, toInt(e)) })},
		{"log", mathLog}, {"log10", math1(math.Log10)}, {"max", mathMax}, {"min", mathMin}, {"modf", mathModf},
		{"pow", math2(luaPow)}, {"rad", math1(func(x float64) float64 { return x * 0.017453292519943295 })},
		{"random", mathRandom}, {"randomseed", mathRandomseed}, {"sin", math1(math.Sin)}, {"sinh", math1(math.Sinh)},
		{"sqrt", math1(math.Sqrt)}, {"tan", math1(math.Tan)}, {"tanh", math1(math.Tanh)},
	}, nil)
	t.SetStr("pi", Number(math.Pi))
	t.SetStr("huge", Number(math.Inf(1)))
	return t
}()

func mathFloor(t *Thread) int {
	if v := t.Arg(1); v.n >= minNumber {
		t.Push(num(math.Floor(v.float())))
		return 1
	}
	t.PushNumber(math.Floor(t.CheckNumber(1)))
	return 1
}

func mathFrexp(t *Thread) int {
	x := t.CheckNumber(1)
	m, e := math.Frexp(x)
	t.PushNumber(m)
	t.PushNumber(float64(e))
	return 2
}

func mathModf(t *Thread) int {
	x := t.CheckNumber(1)
	i := math.Trunc(x)
	f := x - i
	if math.IsInf(x, 0) {
		f = math.Copysign(0, x)
	} else if f == 0 {
		f = math.Copysign(0, x)
	}
	t.PushNumber(i)
	t.PushNumber(f)
	return 2
}

func mathLog(t *Thread) int {
	x := t.CheckNumber(1)
	if t.NArgs() > 1 {
		b := t.CheckNumber(2)
		t.PushNumber(math.Log2(x) * (1 / math.Log2(b)))
		return 1
	}
	t.PushNumber(math.Log(x))
	return 1
}

func mathMax(t *Thread) int {
	m := t.CheckNumber(1)
	for i := 2; i <= t.NArgs(); i++ {
		if x := t.CheckNumber(i); !(m > x) {
			m = x
		}
	}
	t.PushNumber(m)
	return 1
}

func mathMin(t *Thread) int {
	m := t.CheckNumber(1)
	for i := 2; i <= t.NArgs(); i++ {
		if x := t.CheckNumber(i); !(m < x) {
			m = x
		}
	}
	t.PushNumber(m)
	return 1
}

// random is LuaJIT's Tausworthe generator with period 2^223: P. L'Ecuyer, Tables of
// maximally-equidistributed combined LFSR generators, 1999, table 3, first entry.
type random [4]uint64

func (r *random) next() uint64 {
	x := uint64(0)
	for i, g := range [4]struct{ k, q, s uint }{{63, 31, 18}, {58, 19, 28}, {55, 24, 7}, {47, 21, 8}} {
		z := r[i]
		z = ((z<<g.q)^z)>>(g.k-g.s) ^ (z&(^uint64(0)<<(64-g.k)))<<g.s
		r[i] = z
		x ^= z
	}
	return x
}

// float is in [0, 1).
func (r *random) float() float64 {
	return math.Float64frombits(r.next()&0x000fffffffffffff|0x3ff0000000000000) - 1
}

func (r *random) seed(d float64) {
	m := uint32(0x11090601) // 64-k as four bytes
	for i := range r {
		min := uint64(1) << (m & 255)
		m >>= 8
		d = d*3.14159265358979323846 + 2.7182818284590452354
		u := math.Float64bits(d)
		if u < min {
			u += min
		}
		r[i] = u
	}
	for range 10 {
		r.next()
	}
}

func (s *State) random() *random {
	if !s.rngReady {
		s.rngReady = true
		// The fixed start of a fresh LuaJIT.
		s.rng = random{0xa0d277570a345b8c, 0x764a296c5d4aa64f, 0x51220704070adeaa, 0x2a2717b5a7b7b927}
		if seed := s.opts.Seed; seed != 0 {
			s.rng.seed(float64(bits.Reverse64(seed) >> 11))
		}
	}
	return &s.rng
}

func mathRandom(t *Thread) int {
	d := t.state.random().float()
	switch t.NArgs() {
	case 0:
	case 1:
		d = math.Floor(d*t.CheckNumber(1)) + 1
	default:
		lo := t.CheckNumber(1)
		hi := t.CheckNumber(2)
		d = math.Floor(d*(hi-lo+1)) + lo
	}
	t.PushNumber(d)
	return 1
}

func mathRandomseed(t *Thread) int {
	f := t.CheckNumber(1)
	t.state.random().seed(f)
	return 0
}
