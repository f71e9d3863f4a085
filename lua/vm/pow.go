package vm

import "math"

// luaPow is a^b. C's pow is right to the last bit or nearly so, Go's is not, and a
// wrong last bit shows after a few operations: hence double-double arithmetic here.
func luaPow(a, b float64) float64 {
	switch {
	case b == 2:
		return a * a
	case b == 0.5 && a >= 0:
		return math.Sqrt(a)
	case b == math.Trunc(b) && b > 0 && b <= 64 && a == math.Trunc(a):
		if p, ok := exactPower(a, int(b)); ok {
			return p
		}
	}
	if !(math.Abs(b) < 1<<62) || b == 0 || a == 0 || a == 1 || math.IsInf(a, 0) || a != a {
		return math.Pow(a, b) // the special cases are as in C
	}
	sign := 1.0
	if a < 0 {
		if b != math.Trunc(b) {
			return math.NaN()
		}
		if math.Mod(b, 2) != 0 {
			sign = -1
		}
		a = -a
	}
	return sign * expDD(logDD(a).scale(b))
}

// exactPower multiplies while every product is exact.
func exactPower(a float64, n int) (float64, bool) {
	p := 1.0
	for ; n > 0; n-- {
		if p *= a; math.Abs(p) > 1<<53 {
			return 0, false
		}
	}
	return p, true
}

// dd is an unevaluated sum: lo is below half a unit in the last place of hi.
type dd struct{ hi, lo float64 }

func twoSum(a, b float64) dd {
	s := a + b
	v := s - a
	return dd{s, (a - (s - v)) + (b - v)}
}

func quickSum(a, b float64) dd {
	s := a + b
	return dd{s, b - (s - a)}
}

func (x dd) add(y dd) dd {
	s := twoSum(x.hi, y.hi)
	return quickSum(s.hi, s.lo+x.lo+y.lo)
}

func (x dd) mul(y dd) dd {
	p := x.hi * y.hi
	e := math.FMA(x.hi, y.hi, -p) + x.hi*y.lo + x.lo*y.hi
	return quickSum(p, e)
}

func (x dd) scale(f float64) dd {
	p := x.hi * f
	return quickSum(p, math.FMA(x.hi, f, -p)+x.lo*f)
}

func (x dd) div(y dd) dd {
	q := x.hi / y.hi
	r := math.FMA(-q, y.hi, x.hi) + x.lo - q*y.lo
	return quickSum(q, r/y.hi)
}

// ln2 in two doubles; the high one has zeros enough that k*ln2.hi is exact.
var ln2DD = [3]float64{0x1.62e42fefa38p-1, 0x1.ef35793c76p-45, 0x1.cc01f97b57a08p-87}

// reciprocals of odd numbers for the series of atanh.
var oddInverse = func() (t [20]dd) {
	for i := range t {
		t[i] = dd{1, 0}.div(dd{float64(2*i + 1), 0})
	}
	return
}()

// logDD is the natural logarithm of a positive number, by log m = 2 atanh((m-1)/(m+1)).
func logDD(a float64) dd {
	m, e := math.Frexp(a)
	if m < math.Sqrt2/2 {
		m *= 2
		e--
	}
	s := twoSum(m, -1).div(twoSum(m, 1))
	s2 := s.mul(s)
	sum := oddInverse[len(oddInverse)-1]
	for i := len(oddInverse) - 2; i >= 0; i-- {
		sum = sum.mul(s2).add(oddInverse[i])
	}
	l := sum.mul(s).scale(2)
	k := float64(e)
	return dd{k * ln2DD[0], 0}.add(dd{k * ln2DD[1], k * ln2DD[2]}).add(l)
}

// factorials' reciprocals for the series of exp.
var factInverse = func() (t [14]dd) {
	f := dd{1, 0}
	for i := range t {
		if i > 0 {
			f = f.div(dd{float64(i), 0})
		}
		t[i] = f
	}
	return
}()

func expDD(x dd) float64 {
	switch {
	case x.hi > 710:
		return math.Inf(1)
	case x.hi < -746:
		return 0
	}
	k := math.Round(x.hi / math.Ln2)
	r := dd{x.hi, x.lo}.add(dd{-k * ln2DD[0], 0}).add(dd{-k * ln2DD[1], -k * ln2DD[2]})
	r = dd{r.hi / 16, r.lo / 16}
	sum := factInverse[len(factInverse)-1]
	for i := len(factInverse) - 2; i >= 0; i-- {
		sum = sum.mul(r).add(factInverse[i])
	}
	for range 4 {
		sum = sum.mul(sum)
	}
	return math.Ldexp(sum.hi+sum.lo, int(k))
}
