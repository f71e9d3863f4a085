package cjson

import (
	"math"
	"strconv"

	"sluice/lua/vm"
)

// Encode appends v as JSON to dst, with the default options. Metamethods are
// not called; any light value (ngx.null) is null.
func Encode(v vm.Value, dst []byte) ([]byte, error) {
	return NewOptions(vm.Nil).Encode(nil, v, dst)
}

// Encode appends v to dst; t may be nil, and metamethods then do not count.
func (o *Options) Encode(t *vm.Thread, v vm.Value, dst []byte) (out []byte, err error) {
	e := encoder{o: o, t: t, buf: dst, next: chargeFirst}
	defer caught(&err)
	e.value(v, 0)
	charge(t, len(e.buf))
	return e.buf, nil
}

type encoder struct {
	o    *Options
	t    *vm.Thread
	buf  []byte
	next int // length at which the buffer is charged again
}

// chargeFirst is when what a call makes is charged to the budget for the
// first time; then each time it has doubled, always the whole of it, because
// the machine cannot see it yet when it counts what the script holds.
const chargeFirst = 16 << 10

// maxOutput bounds what one call may write, budget or not.
const maxOutput = 512 << 20

// bytesPerInstruction is how much text weighs as much as an instruction.
const bytesPerInstruction = 8

func charge(t *vm.Thread, bytes int) {
	if t != nil {
		t.State().Charge(t, int64(bytes))
		t.State().ChargeInstructions(t, int64(bytes/bytesPerInstruction))
	}
}

func (e *encoder) account() {
	n := len(e.buf)
	if n < e.next {
		return
	}
	e.next = 2 * n
	charge(e.t, n)
	if n > maxOutput/2 {
		failf("not enough memory")
	}
}

// value writes v; skipped tells that it was left out.
func (e *encoder) value(v vm.Value, depth int) (skipped bool) {
	switch v.Type() {
	case vm.TypeNil:
		e.buf = append(e.buf, "null"...)
	case vm.TypeBoolean:
		e.buf = strconv.AppendBool(e.buf, v.Truthy())
	case vm.TypeNumber:
		n, _ := v.AsNumber()
		e.number(n)
	case vm.TypeString:
		s, _ := v.AsString()
		e.str(s)
	case vm.TypeTable:
		e.table(v, depth+1)
	case vm.TypeLightUserdata:
		if _, ok := v.AsLight().(emptyArray); ok {
			e.buf = append(e.buf, "[]"...)
		} else {
			e.buf = append(e.buf, "null"...)
		}
	default:
		if e.o.SkipUnsupported {
			return true
		}
		failf("Cannot serialise %s: type not supported", v.Type())
	}
	return false
}

func (e *encoder) number(n float64) {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		switch e.o.EncodeInvalid {
		case Refuse:
			failf("Cannot serialise number: must not be NaN or Infinity")
		case AsNull:
			e.buf = append(e.buf, "null"...)
		default:
			switch {
			case n > 0:
				e.buf = append(e.buf, "Infinity"...)
			case n < 0:
				e.buf = append(e.buf, "-Infinity"...)
			default:
				e.buf = append(e.buf, "NaN"...)
			}
		}
		return
	}
	// Up to 14 digits an integer is itself under %.14g.
	if i := int64(n); float64(i) == n && i > -1e14 && i < 1e14 && e.o.NumberPrecision >= 14 && (i != 0 || !math.Signbit(n)) {
		e.buf = strconv.AppendInt(e.buf, i, 10)
		return
	}
	e.buf = strconv.AppendFloat(e.buf, n, 'g', e.o.NumberPrecision, 64)
}

const hexDigits = "0123456789abcdef"

func (e *encoder) str(s string) {
	b := append(e.buf, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c != '/' && c != 0x7f {
			continue
		}
		if c == '/' && !e.o.EscapeSlash {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\', '/':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\f':
			b = append(b, `\f`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	b = append(b, s[from:]...)
	e.buf = append(b, '"')
	e.account()
}

func (e *encoder) table(v vm.Value, depth int) {
	if depth > e.o.EncodeMaxDepth || depth > hardDepth {
		failf("Cannot serialise, excessive nesting (%d)", depth)
	}
	t := v.AsTable()
	meta := t.Metatable()
	if meta != nil && meta == e.o.arrayMT {
		e.array(v, t.Len(), true, depth)
		return
	}
	if meta != nil && e.t != nil {
		if length := meta.GetStr("__len"); !length.IsNil() {
			n := 0.0
			if got := e.t.MustCall(length, v); len(got) > 0 {
				n, _ = got[0].ToNumber()
			}
			e.array(v, int(min(n, math.MaxInt32)), false, depth)
			return
		}
	}
	n := e.arrayLength(t)
	switch {
	case n > 0, n == 0 && !e.o.EmptyTableAsObject:
		e.array(v, n, meta == nil, depth)
	case meta != nil && meta == e.o.emptyMT:
		e.array(v, t.Len(), true, depth)
	default:
		e.object(t, depth)
	}
}

// arrayLength is the highest index when all keys are positive integers,
// otherwise -1.
func (e *encoder) arrayLength(t *vm.Table) int {
	top, items := 0.0, 0
	for k, _, ok, _ := t.Next(vm.Nil); ok; k, _, ok, _ = t.Next(k) {
		n, isNumber := k.AsNumber()
		if !isNumber || n < 1 || math.Floor(n) != n {
			return -1
		}
		top = max(top, n)
		items++
	}
	if e.o.SparseRatio > 0 && top > float64(items)*float64(e.o.SparseRatio) && top > float64(e.o.SparseSafe) {
		if !e.o.SparseConvert {
			failf("Cannot serialise table: excessively sparse array")
		}
		return -1
	}
	return int(min(top, math.MaxInt32))
}

func (e *encoder) newline(depth int) {
	e.buf = append(e.buf, '\n')
	for range depth {
		e.buf = append(e.buf, e.o.Indent...)
	}
}

func (e *encoder) array(v vm.Value, n int, raw bool, depth int) {
	t := v.AsTable()
	e.buf = append(e.buf, '[')
	written := 0
	for i := 1; i <= n; i++ {
		mark := len(e.buf)
		if written > 0 {
			e.buf = append(e.buf, ',')
		}
		if e.o.Indent != "" {
			e.newline(depth)
		}
		var el vm.Value
		if raw || e.t == nil {
			el = t.GetInt(i)
		} else {
			el = e.t.Index(v, vm.Int(i))
		}
		if e.value(el, depth) {
			e.buf = e.buf[:mark]
		} else {
			written++
		}
		e.account()
	}
	if n > 0 && e.o.Indent != "" {
		e.newline(depth - 1)
	}
	e.buf = append(e.buf, ']')
}

func (e *encoder) object(t *vm.Table, depth int) {
	e.buf = append(e.buf, '{')
	written, items := 0, 0
	for k, v, ok, _ := t.Next(vm.Nil); ok; k, v, ok, _ = t.Next(k) {
		items++
		mark := len(e.buf)
		if written > 0 {
			e.buf = append(e.buf, ',')
		}
		if e.o.Indent != "" {
			e.newline(depth)
		}
		if s, isString := k.AsString(); isString {
			e.str(s)
		} else if n, isNumber := k.AsNumber(); isNumber {
			e.buf = append(e.buf, '"')
			e.number(n)
			e.buf = append(e.buf, '"')
		} else {
			failf("Cannot serialise %s: table key must be a number or string", k.Type())
		}
		e.buf = append(e.buf, ':')
		if e.o.Indent != "" {
			e.buf = append(e.buf, ' ')
		}
		if e.value(v, depth) {
			e.buf = e.buf[:mark]
		} else {
			written++
		}
		e.account()
	}
	if items > 0 && e.o.Indent != "" {
		e.newline(depth - 1)
	}
	e.buf = append(e.buf, '}')
}
