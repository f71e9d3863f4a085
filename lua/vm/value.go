package vm

import (
	"hash/maphash"
	"math"
	"unsafe"
)

// Type is the Lua type of a value.
type Type uint8

const (
	TypeNil Type = iota
	TypeBoolean
	TypeLightUserdata
	TypeNumber
	TypeString
	TypeTable
	TypeFunction
	TypeUserdata
	TypeThread
)

// String is what Lua's type() says.
func (t Type) String() string {
	return [...]string{"nil", "boolean", "userdata", "number", "string", "table", "function", "userdata", "thread"}[t&15]
}

// Value is any Lua value in 16 bytes, without an interface and without boxing.
//
// n alone tells the type. The complement of a float64's bits is never below
// 2^50 (the only NaN ever stored is the canonical one), so the small numbers
// are free for tags:
//
//	number   n = ^bits           p is meaningless, perhaps stale
//	string   n = len<<4|tagStr   p is the first byte
//	others   n = tag             p is the object, if there is one
//
// A number is therefore written without touching p: no write barrier. Strings
// need no header: String allocates nothing.
type Value struct {
	p unsafe.Pointer
	n uint64
}

const (
	tagNil uint64 = iota
	tagFalse
	tagTrue
	tagLight
	tagStr
	tagTable
	tagFunc
	tagUserdata
	tagThread

	tagMask   = 15
	strShift  = 4
	minNumber = 1 << 50 // n at or above it: a number
)

// The three constants of the language; Nil is the zero Value.
var (
	Nil   = Value{}
	True  = Value{n: tagTrue}
	False = Value{n: tagFalse}
)

// Bool gives True or False.
func Bool(b bool) Value {
	if b {
		return True
	}
	return False
}

// nanNum is the one NaN that values hold.
var nanNum = math.NaN()

// Number makes a number; any NaN becomes the canonical one.
func Number(f float64) Value {
	if f != f {
		f = nanNum
	}
	return Value{n: ^math.Float64bits(f)}
}

// num is Number for results of the processor's arithmetic, whose NaNs have no payload.
func num(f float64) Value { return Value{n: ^math.Float64bits(f)} }

// Int makes a number of an int.
func Int(i int) Value { return num(float64(i)) }

// String makes a string value; the bytes are shared, not copied.
func String(s string) Value {
	return Value{p: unsafe.Pointer(unsafe.StringData(s)), n: uint64(len(s))<<strShift | tagStr}
}

type lightBox struct{ v any }

// Light makes an opaque constant: type "userdata", equal only to itself and its copies.
// Make it once and keep it (ngx.null).
func Light(p any) Value { return Value{p: unsafe.Pointer(&lightBox{p}), n: tagLight} }

func (v Value) isNum() bool { return v.n >= minNumber }
func (v Value) isStr() bool { return v.n < minNumber && v.n&tagMask == tagStr }
func (v Value) float() float64 {
	return math.Float64frombits(^v.n)
}
func (v Value) str() string {
	return unsafe.String((*byte)(v.p), int(v.n>>strShift))
}
func (v Value) table() *Table { return (*Table)(v.p) }
func (v Value) fn() *Function { return (*Function)(v.p) }
func (v Value) ud() *Userdata { return (*Userdata)(v.p) }
func (v Value) thread() *Thread {
	return (*Thread)(v.p)
}

// Type of the value.
func (v Value) Type() Type {
	if v.n >= minNumber {
		return TypeNumber
	}
	return [16]Type{TypeNil, TypeBoolean, TypeBoolean, TypeLightUserdata, TypeString, TypeTable,
		TypeFunction, TypeUserdata, TypeThread}[v.n&tagMask]
}

// IsNil reports nil.
func (v Value) IsNil() bool { return v.n == tagNil }

// Truthy is false for nil and false only.
func (v Value) Truthy() bool { return v.n > tagFalse }

// AsNumber gives a number's value; strings are not coerced.
func (v Value) AsNumber() (float64, bool) {
	if v.n >= minNumber {
		return v.float(), true
	}
	return 0, false
}

// AsString gives a string's bytes; numbers are not coerced.
func (v Value) AsString() (string, bool) {
	if v.isStr() {
		return v.str(), true
	}
	return "", false
}

// AsTable gives the table, or nil when v is something else.
func (v Value) AsTable() *Table {
	if v.n == tagTable {
		return v.table()
	}
	return nil
}

// AsFunction gives the function, or nil when v is something else.
func (v Value) AsFunction() *Function {
	if v.n == tagFunc {
		return v.fn()
	}
	return nil
}

// AsUserdata gives the userdata, or nil when v is something else.
func (v Value) AsUserdata() *Userdata {
	if v.n == tagUserdata {
		return v.ud()
	}
	return nil
}

// AsThread gives the coroutine, or nil when v is something else.
func (v Value) AsThread() *Thread {
	if v.n == tagThread {
		return v.thread()
	}
	return nil
}

// AsLight gives what Light was made of, or nil when v is something else.
func (v Value) AsLight() any {
	if v.n == tagLight {
		return (*lightBox)(v.p).v
	}
	return nil
}

// ToNumber gives a number, or a string that reads as one.
func (v Value) ToNumber() (float64, bool) {
	if v.n >= minNumber {
		return v.float(), true
	}
	if v.isStr() {
		return parseNumber(v.str())
	}
	return 0, false
}

// ToStringValue gives a string, or a number as Lua writes it.
func (v Value) ToStringValue() (string, bool) {
	if v.n >= minNumber {
		return formatNumber(v.float()), true
	}
	if v.isStr() {
		return v.str(), true
	}
	return "", false
}

// RawEqual is == without metamethods.
func RawEqual(a, b Value) bool {
	if a.n >= minNumber {
		return b.n >= minNumber && a.float() == b.float()
	}
	if a.n != b.n {
		return false
	}
	if a.n&tagMask == tagStr {
		return a.p == b.p || a.str() == b.str()
	}
	return a.n <= tagTrue || a.p == b.p
}

// seed keys the hashes: a flood of chosen keys finds no common bucket.
var seed = maphash.MakeSeed()

var wordSeed = maphash.String(seed, "words")

func hashString(s string) uint32 { return uint32(maphash.String(seed, s)) }

// Userdata is a Go value in a script's hands, with a metatable of its own.
type Userdata struct {
	Data any
	Meta *Table
	env  *Table
}

// NewUserdata wraps data.
func NewUserdata(data any, meta *Table) *Userdata { return &Userdata{Data: data, Meta: meta} }

// Value of the userdata.
func (u *Userdata) Value() Value { return Value{p: unsafe.Pointer(u), n: tagUserdata} }
