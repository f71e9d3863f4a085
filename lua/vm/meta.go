package vm

import "strings"

// event is a metamethod. Those below numFast have a bit in Table.absent.
type event uint8

const (
	evIndex event = iota
	evNewindex
	evEq
	evLen
	evCall
	evTostring
	evMetatable
	numFast
)

const (
	evLt event = iota + numFast
	evLe
	evConcat
	evUnm
	evAdd
	evSub
	evMul
	evDiv
	evMod
	evPow
	numEvents
)

// eventKeys and eventHashes are the names as table keys.
var eventKeys, eventHashes = func() (k [numEvents]Value, h [numEvents]uint32) {
	for e, s := range map[event]string{
		evIndex: "__index", evNewindex: "__newindex", evEq: "__eq", evLen: "__len", evCall: "__call",
		evTostring: "__tostring", evMetatable: "__metatable", evLt: "__lt", evLe: "__le", evConcat: "__concat",
		evUnm: "__unm", evAdd: "__add", evSub: "__sub", evMul: "__mul", evDiv: "__div", evMod: "__mod", evPow: "__pow",
	} {
		k[e], h[e] = String(s), hashString(s)
	}
	return
}()

// event is the metamethod of a metatable, which may be nil.
func (t *Table) event(e event) Value {
	if t == nil {
		return Nil
	}
	if e < numFast {
		if t.absent&(1<<e) != 0 {
			return Nil
		}
	}
	if n := t.findStr(eventKeys[e], eventHashes[e]); n != nil && n.val.n != tagNil {
		return n.val
	}
	if e < numFast {
		t.absent |= 1 << e
	}
	return Nil
}

// metatable of any value, or nil.
func (t *Thread) metatable(v Value) *Table {
	switch v.Type() {
	case TypeTable:
		return v.table().meta
	case TypeUserdata:
		return v.ud().Meta
	case TypeString:
		return t.state.strMeta
	}
	return nil
}

func (t *Thread) eventOf(v Value, e event) Value { return t.metatable(v).event(e) }

const maxChain = 100

// indexSlow reads obj[key]: either the value, or the function to call with obj and key.
// reg is obj's register for the message, or -1.
func (t *Thread) indexSlow(obj, key Value, reg int) (val, fn, self Value) {
	for range maxChain {
		var mo Value
		if obj.n == tagTable {
			tab := obj.table()
			v := tab.Get(key)
			if v.n != tagNil || tab.meta == nil {
				return v, Nil, Nil
			}
			if mo = tab.meta.event(evIndex); mo.n == tagNil {
				return Nil, Nil, Nil
			}
		} else if mo = t.eventOf(obj, evIndex); mo.n == tagNil {
			t.opError("index", obj, reg)
		}
		if mo.n == tagFunc {
			return Nil, mo, obj
		}
		obj, reg = mo, -1
	}
	t.raiseAt("loop in gettable")
	return
}

// indexStr is indexSlow for a string whose hash is h.
func (t *Thread) indexStr(obj, key Value, h uint32, reg int) (val, fn, self Value) {
	for range maxChain {
		var mo Value
		if obj.n == tagTable {
			tab := obj.table()
			if n := tab.findStr(key, h); n != nil && n.val.n != tagNil {
				return n.val, Nil, Nil
			}
			if mo = tab.meta.event(evIndex); mo.n == tagNil {
				return Nil, Nil, Nil
			}
		} else if mo = t.eventOf(obj, evIndex); mo.n == tagNil {
			t.opError("index", obj, reg)
		}
		if mo.n == tagFunc {
			return Nil, mo, obj
		}
		obj, reg = mo, -1
	}
	t.raiseAt("loop in gettable")
	return
}

// setSlow writes obj[key] = val, or gives the function to call with self, key and val.
func (t *Thread) setSlow(obj, key, val Value, reg int) (fn, self Value) {
	for range maxChain {
		var mo Value
		if obj.n == tagTable {
			tab := obj.table()
			if tab.meta == nil {
				t.RawSet(tab, key, val)
				return
			}
			if v := tab.Get(key); v.n != tagNil {
				t.RawSet(tab, key, val)
				return
			}
			if mo = tab.meta.event(evNewindex); mo.n == tagNil {
				t.RawSet(tab, key, val)
				return
			}
		} else if mo = t.eventOf(obj, evNewindex); mo.n == tagNil {
			t.opError("index", obj, reg)
		}
		if mo.n == tagFunc {
			return mo, obj
		}
		obj, reg = mo, -1
	}
	t.raiseAt("loop in settable")
	return
}

// RawSet is rawset with its errors raised and its memory charged.
func (t *Thread) RawSet(tab *Table, key, val Value) {
	before := tab.footprint()
	if err := tab.Set(key, clean(val)); err != nil {
		t.raiseAt(err.Error())
	}
	if d := tab.footprint() - before; d > 0 {
		t.charge(d)
	}
}

// arithSlow coerces strings, else gives the metamethod to call.
func (t *Thread) arithSlow(op binop, ev event, x, y Value, rx, ry int) (res, fn Value) {
	a, ok := x.ToNumber()
	if ok {
		if b, ok := y.ToNumber(); ok {
			if ev == evUnm {
				return num(-a), Nil
			}
			return Number(arith(op, a, b)), Nil
		}
	}
	if fn = t.eventOf(x, ev); fn.n == tagNil {
		if fn = t.eventOf(y, ev); fn.n == tagNil {
			if !ok {
				t.opError("perform arithmetic on", x, rx)
			}
			t.opError("perform arithmetic on", y, ry)
		}
	}
	return Nil, fn
}

// lessSlow compares strings, else gives the metamethod to call: fn(x, y), or not fn(y, x) when negate.
func (t *Thread) lessSlow(x, y Value, orEqual bool) (res bool, fn Value, negate bool) {
	if x.isStr() && y.isStr() {
		c := strings.Compare(x.str(), y.str())
		t.work(int64(min(len(x.str()), len(y.str())) >> 6))
		return c < 0 || orEqual && c == 0, Nil, false
	}
	if x.n >= minNumber && y.n >= minNumber {
		if orEqual {
			return x.float() <= y.float(), Nil, false
		}
		return x.float() < y.float(), Nil, false
	}
	if x.Type() == y.Type() {
		if orEqual {
			fn = t.eventOf(x, evLe)
			if fn.n != tagNil && RawEqual(fn, t.eventOf(y, evLe)) {
				return false, fn, false
			}
		}
		fn = t.eventOf(x, evLt)
		if fn.n != tagNil && RawEqual(fn, t.eventOf(y, evLt)) {
			return false, fn, orEqual
		}
	}
	tx, ty := x.Type().String(), y.Type().String()
	if tx == ty {
		t.raiseAt("attempt to compare two " + tx + " values")
	}
	t.raiseAt("attempt to compare " + tx + " with " + ty)
	return
}

// equalSlow compares what is not raw equal: fn is Nil when they differ for good.
func (t *Thread) equalSlow(x, y Value) (fn Value) {
	var mx, my *Table
	switch {
	case x.n == tagTable && y.n == tagTable:
		mx, my = x.table().meta, y.table().meta
	case x.n == tagUserdata && y.n == tagUserdata:
		mx, my = x.ud().Meta, y.ud().Meta
	}
	if mx == nil || my == nil {
		return Nil
	}
	fn = mx.event(evEq)
	if fn.n == tagNil || mx != my && !RawEqual(fn, my.event(evEq)) {
		return Nil
	}
	return fn
}

// ---- for Go functions: whole operations, metamethods included

func first(vals []Value) Value {
	if len(vals) == 0 {
		return Nil
	}
	return vals[0]
}

// Index is obj[key] with metamethods.
func (t *Thread) Index(obj, key Value) Value {
	v, fn, self := t.indexSlow(obj, key, -1)
	if fn.n != tagNil {
		return first(t.MustCall(fn, self, key))
	}
	return v
}

// SetIndex is obj[key] = val with metamethods.
func (t *Thread) SetIndex(obj, key, val Value) {
	if fn, self := t.setSlow(obj, key, val, -1); fn.n != tagNil {
		t.MustCall(fn, self, key, val)
	}
}

// Less is x < y with metamethods.
func (t *Thread) Less(x, y Value) bool {
	res, fn, _ := t.lessSlow(x, y, false)
	if fn.n != tagNil {
		return first(t.MustCall(fn, x, y)).Truthy()
	}
	return res
}

// Equal is x == y with metamethods.
func (t *Thread) Equal(x, y Value) bool {
	if RawEqual(x, y) {
		return true
	}
	if fn := t.equalSlow(x, y); fn.n != tagNil {
		return first(t.MustCall(fn, x, y)).Truthy()
	}
	return false
}

// ToString is tostring(v), __tostring honoured.
func (t *Thread) ToString(v Value) string {
	if fn := t.eventOf(v, evTostring); fn.n != tagNil {
		r := first(t.MustCall(fn, v))
		s, ok := r.ToStringValue()
		if !ok {
			t.Errorf("'tostring' must return a string to 'print'")
		}
		return s
	}
	return t.basicString(v)
}
