package vm

import (
	"strconv"
	"unsafe"
)

// The parts of instructions that execute leaves to functions.

const (
	tableBytes = int64(unsafe.Sizeof(Table{}))
	funcBytes  = int64(unsafe.Sizeof(Function{}))
	upvalBytes = int64(unsafe.Sizeof(upval{}))
)

// newClosure makes a function of a proto inside fn, whose frame begins at base.
func (t *Thread) newClosure(fn *Function, p *Proto, base int) Value {
	var f *Function
	switch n := len(p.upvals); n {
	case 0:
		f = &Function{proto: p, env: fn.env}
	case 1, 2:
		both := &struct {
			Function
			up [2]*upval
		}{}
		f = &both.Function
		f.proto, f.env, f.up = p, fn.env, both.up[:n]
	default:
		f = &Function{proto: p, env: fn.env, up: make([]*upval, n)}
	}
	for i, u := range p.upvals {
		if u.local {
			f.up[i] = t.findUpval(base + u.index)
		} else {
			f.up[i] = fn.up[u.index]
		}
	}
	t.charge(funcBytes + int64(len(f.up))*(upvalBytes+8))
	return f.Value()
}

// setMulti stores the values from index from up to top at keys k, k+1, ...
func (t *Thread) setMulti(tab *Table, k, from int) {
	n := t.top - from
	if n <= 0 {
		return
	}
	before := tab.footprint()
	if len(tab.arr) <= k+1 && !tab.intKeys {
		grown := make([]Value, k, max(k+n, cap(tab.arr)))
		copy(grown, tab.arr)
		for _, v := range t.stack[from:t.top] {
			grown = append(grown, clean(v))
		}
		tab.arr = grown
	} else {
		for i, v := range t.stack[from:t.top] {
			tab.SetInt(k+1+i, clean(v))
		}
	}
	t.charge(max(tab.footprint()-before, 0))
	t.work(int64(n) >> 3)
}

// forPrepare makes the three numbers of a for loop of strings that read as such.
func (t *Thread) forPrepare(r *[4]Value) {
	for i, what := range [...]string{"initial value", "limit", "step"} {
		f, ok := r[i].ToNumber()
		if !ok {
			t.raiseAt("'for' " + what + " must be a number")
		}
		r[i] = num(f)
	}
}

const maxString = 0x7fffff00

// concatStrings joins the registers from first to last when all are strings or numbers.
func (t *Thread) concatStrings(first, last int) (Value, bool) {
	vals := t.stack[first : last+1]
	total, numbers := 0, false
	for i := range vals {
		v := &vals[i]
		switch {
		case v.n >= minNumber:
			numbers = true
		case v.n&tagMask == tagStr:
			total += int(v.n >> strShift)
		default:
			return Nil, false
		}
	}
	if numbers {
		for i := range vals {
			if v := &vals[i]; v.n >= minNumber {
				s := formatNumber(v.float())
				*v = String(s)
				total += len(s)
			}
		}
	}
	return t.join(vals, total), true
}

// join concatenates strings of total length.
func (t *Thread) join(vals []Value, total int) Value {
	if total > maxString {
		t.raiseAt("string length overflow")
	}
	t.chargeString(total)
	for i := range vals { // one of them may be the whole
		if len(vals[i].str()) == total {
			return vals[i]
		}
	}
	buf := make([]byte, 0, total)
	for i := range vals {
		buf = append(buf, vals[i].str()...)
	}
	return String(unsafe.String(unsafe.SliceData(buf), len(buf)))
}

// chargeString accounts the memory and the time of making a string.
func (t *Thread) chargeString(n int) {
	t.charge(int64(n) + 16)
	if n >= 1024 {
		t.work(int64(n) >> 6)
	}
}

// grown is a string in the making, charged before it grows.
type grown struct{ b []byte }

func (g *grown) add(t *Thread, s string) {
	if n := len(g.b) + len(s); n > cap(g.b) {
		if n > maxString {
			t.callerError("string length overflow")
		}
		t.charge(int64(n)) // the whole of it: until it is pushed no recount sees it
		t.work(int64(len(s)) >> 6)
	}
	g.b = append(g.b, s...)
}

// concat goes on with the CAT of cur's top frame; last is the index of the operand reached from the right.
func (a *activation) concat(last int) outcome {
	t := a.cur
	f := &t.frames[t.nf-1]
	i := f.fn.proto.code[f.pc-1]
	first := int(f.base) + int(uint8(i.b()))
	for last > first {
		x, y := t.stack[last-1], t.stack[last]
		if !canConcat(x) || !canConcat(y) {
			mm := t.eventOf(x, evConcat)
			if mm.n == tagNil {
				if mm = t.eventOf(y, evConcat); mm.n == tagNil {
					if canConcat(x) {
						t.opError("concatenate", y, last-int(f.base))
					}
					t.opError("concatenate", x, last-1-int(f.base))
				}
			}
			fidx := t.freeTop()
			t.ensure(fidx, 4)
			t.stack[fidx], t.stack[fidx+1], t.stack[fidx+2] = mm, x, y
			return a.precall(fidx, 2, last-1, 1, contConcat)
		}
		lo := last - 1
		for lo > first && canConcat(t.stack[lo-1]) {
			lo--
		}
		v, _ := t.concatStrings(lo, last)
		t.stack[lo] = v
		last = lo
	}
	t.stack[int(f.base)+int(i.a())] = t.stack[first]
	return goOn
}

func canConcat(v Value) bool { return v.n >= minNumber || v.n&tagMask == tagStr }

// globalWrite tells the host of a name that is new in a watched table.
func (t *Thread) globalWrite(name string) {
	if f := t.state.opts.OnGlobalWrite; f != nil {
		f(t, name, t.whereNow())
	}
}

// basicString is tostring without metamethods.
func (t *Thread) basicString(v Value) string {
	switch v.Type() {
	case TypeNil:
		return "nil"
	case TypeBoolean:
		if v.n == tagTrue {
			return "true"
		}
		return "false"
	case TypeNumber:
		return formatNumber(v.float())
	case TypeString:
		return v.str()
	case TypeLightUserdata:
		return "userdata: NULL"
	}
	return v.Type().String() + ": 0x" + strconv.FormatUint(uint64(uintptr(v.p)), 16)
}
