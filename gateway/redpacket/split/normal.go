package split

import "math"

// Ziggurat of 256 layers for the normal distribution (Marsaglia and Tsang 2000, with
// Doornik's separate bits for layer and value). tailStart and layerArea are the
// constants published for 256 layers.
const (
	layers    = 256
	tailStart = 3.6541528853610088
	layerArea = 0.00492867323399
)

type zigguratTable struct {
	scale [layers]float64 // right edge of a layer, over 2^52
	inner [layers]uint64  // values below this are under the curve for sure
	high  [layers + 1]float64
}

var ziggurat = buildZiggurat()

func density(x float64) float64 { return math.Exp(-0.5 * float64(x*x)) }

func buildZiggurat() *zigguratTable {
	var t zigguratTable
	var edge [layers + 1]float64
	edge[0] = layerArea / density(tailStart) // the base layer with the tail's area in it
	edge[1] = tailStart
	for i := 2; i < layers; i++ {
		edge[i] = math.Sqrt(-2 * math.Log(layerArea/edge[i-1]+density(edge[i-1])))
	}
	edge[layers] = 0
	for i := range layers {
		t.scale[i] = edge[i] / (1 << 52)
		t.inner[i] = uint64(edge[i+1] / edge[i] * (1 << 52))
	}
	for i := range t.high {
		t.high[i] = density(edge[i])
	}
	return &t
}

// normal is one standard normal number; 98.8 % of the calls take the first return.
func (g *source) normal() float64 {
	for {
		u := g.bits.Uint64()
		layer := u & (layers - 1)
		value := u >> 12 // 52 bits; bit 8 is the sign, bits 9-11 are unused
		x := float64(value) * ziggurat.scale[layer]
		x = math.Float64frombits(math.Float64bits(x) | u&(1<<8)<<55) // a branch here is missed half the time
		if value < ziggurat.inner[layer] {
			return x
		}
		if layer == 0 {
			return g.tail(x < 0)
		}
		low, high := ziggurat.high[layer], ziggurat.high[layer+1]
		if low+float64(g.float()*(high-low)) < density(x) {
			return x
		}
	}
}

// tail draws beyond tailStart (Marsaglia 1964).
func (g *source) tail(negative bool) float64 {
	for {
		x := -math.Log(1-g.float()) / tailStart
		y := -math.Log(1 - g.float())
		if y+y >= float64(x*x) {
			if negative {
				return -(tailStart + x)
			}
			return tailStart + x
		}
	}
}
