package vm

import (
	"math"
	"math/bits"
)

var bitLib = library([]libFunc{
	{"arshift", bitShift(func(x uint32, n uint) uint32 { return uint32(int32(x) >> n) })},
	{"band", bitFold(func(a, b uint32) uint32 { return a & b })},
	{"bnot", bit1(func(x uint32) uint32 { return ^x })},
	{"bor", bitFold(func(a, b uint32) uint32 { return a | b })},
	{"bswap", bit1(bits.ReverseBytes32)},
	{"bxor", bitFold(func(a, b uint32) uint32 { return a ^ b })},
	{"lshift", bitShift(func(x uint32, n uint) uint32 { return x << n })},
	{"rol", bitShift(func(x uint32, n uint) uint32 { return bits.RotateLeft32(x, int(n)) })},
	{"ror", bitShift(func(x uint32, n uint) uint32 { return bits.RotateLeft32(x, -int(n)) })},
	{"rshift", bitShift(func(x uint32, n uint) uint32 { return x >> n })},
	{"tobit", bit1(func(x uint32) uint32 { return x })},
	{"tohex", bitTohex},
}, nil)

// toBits takes a number modulo 2^32, rounding halves to even as adding 2^52+2^51 does.
func toBits(f float64) uint32 {
	if f >= -1<<51 && f <= 1<<51 {
		return uint32(int64(math.RoundToEven(f)))
	}
	return uint32(math.Float64bits(f + 6755399441055744.0))
}

func (t *Thread) checkBits(i int) uint32 {
	if v := t.Arg(i); v.n >= minNumber {
		return toBits(v.float())
	}
	return toBits(t.CheckNumber(i))
}

func (t *Thread) pushBits(x uint32) int {
	t.Push(num(float64(int32(x))))
	return 1
}

func bit1(f func(uint32) uint32) GoFunc {
	return func(t *Thread) int { return t.pushBits(f(t.checkBits(1))) }
}

func bitFold(f func(a, b uint32) uint32) GoFunc {
	return func(t *Thread) int {
		x := t.checkBits(1)
		for i := 2; i <= t.NArgs(); i++ {
			x = f(x, t.checkBits(i))
		}
		return t.pushBits(x)
	}
}

func bitShift(f func(x uint32, n uint) uint32) GoFunc {
	return func(t *Thread) int {
		x := t.checkBits(1)
		return t.pushBits(f(x, uint(t.checkBits(2)&31)))
	}
}

func bitTohex(t *Thread) int {
	x := t.checkBits(1)
	n := int32(8)
	if !t.Arg(2).IsNil() {
		n = int32(t.checkBits(2))
	}
	digits := "0123456789abcdef"
	if n < 0 {
		n = -n
		digits = "0123456789ABCDEF"
	}
	if n > 254 || n < 0 {
		n = 254
	}
	buf := make([]byte, n)
	for i := n - 1; i >= 0; i-- {
		buf[i] = digits[x&15]
		x >>= 4
	}
	t.PushString(string(buf))
	return 1
}
