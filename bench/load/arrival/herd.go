package arrival

import (
	"fmt"
	"math"
	"time"
)

// Herd is Users people who wait for the same moment At (the :00 of the night).
//
// One user's first try is at At + clock skew + reaction time: the skew of the phone's clock is
// normal with deviation Skew, the reaction log-normal with median Reaction and shape Spread. With
// F the distribution of that sum, and Repeats more tries each Every later:
//
//	Hits(t) = Users * sum over r = 0..Repeats of F(t - r*Every)
//
// The users of a repeat are those of the first try again: who runs the curve numbers users by arrival
// modulo People. Make Herd by NewHerd, which tabulates F.
type Herd struct {
	Users          float64
	At             time.Duration
	Skew, Reaction time.Duration
	Spread         float64
	Repeats        int
	Every          time.Duration

	cdf  []float64 // F at cdf step i: At - 4*Skew + i*step
	from float64   // seconds of cdf[0]
	step float64
}

const herdPoints = 4096

// NewHerd fills in the distribution's table; the fields are those of the literal h.
func NewHerd(h Herd) (*Herd, error) {
	if h.Users <= 0 || h.At < 0 || h.Skew < 0 || h.Reaction <= 0 || h.Spread <= 0 || h.Repeats < 0 {
		return nil, fmt.Errorf("arrival: herd needs users, reaction and spread above 0, and at, skew and repeats not below 0: %s", h.String())
	}
	if h.Repeats > 0 && h.Every <= 0 {
		return nil, fmt.Errorf("arrival: herd with repeats needs every=DURATION")
	}
	sk, med := h.Skew.Seconds(), h.Reaction.Seconds()
	tail := med * math.Exp(4*h.Spread) // 99.997 % of reactions are faster
	h.from = h.At.Seconds() - 4*sk
	h.step = (tail + 8*sk) / (herdPoints - 1)
	h.cdf = make([]float64, herdPoints)
	for i := range h.cdf {
		h.cdf[i] = h.law(float64(i)*h.step-4*sk, sk, med)
	}
	// The table ends at exactly 1: nobody is lost in the tail. Its start is clamped to 0.
	top := h.cdf[herdPoints-1]
	for i := range h.cdf {
		h.cdf[i] /= top
	}
	return &h, nil
}

// law is P(skew + reaction <= x), the log-normal averaged over 65 points of the normal.
func (h *Herd) law(x, sk, med float64) float64 {
	logn := func(y float64) float64 {
		if y <= 0 {
			return 0
		}
		return 0.5 * math.Erfc(-math.Log(y/med)/h.Spread/math.Sqrt2)
	}
	if sk == 0 {
		return logn(x)
	}
	var sum, weight float64
	for i := -32; i <= 32; i++ {
		z := float64(i) / 8
		w := math.Exp(-z * z / 2)
		sum, weight = sum+w*logn(x-z*sk), weight+w
	}
	return sum / weight
}

// People is the number of different users.
func (h *Herd) People() uint64 { return uint64(math.Ceil(h.Users)) }

func (h *Herd) share(t float64) float64 {
	x := (t - h.from) / h.step
	if x <= 0 {
		return 0
	}
	i := int(x)
	if i >= herdPoints-1 {
		return 1
	}
	return h.cdf[i] + (x-float64(i))*(h.cdf[i+1]-h.cdf[i])
}

// Hits implements Curve. Who would have come before the start of the run comes at its first moment.
func (h *Herd) Hits(t time.Duration) float64 {
	if t <= 0 {
		return 0
	}
	sum := 0.0
	for r := range h.Repeats + 1 {
		sum += h.share(t.Seconds() - float64(r)*h.Every.Seconds())
	}
	return h.Users * sum
}

func (h Herd) String() string {
	s := fmt.Sprintf("herd:users=%g,at=%s,skew=%s,reaction=%s,spread=%g", h.Users, short(h.At), short(h.Skew), short(h.Reaction), h.Spread)
	if h.Repeats > 0 {
		s += fmt.Sprintf(",repeats=%d,every=%s", h.Repeats, short(h.Every))
	}
	return s
}
