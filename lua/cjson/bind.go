package cjson

import (
	"fmt"
	"math"
	"sync"

	"sluice/lua/vm"
)

// Version of lua-cjson whose answers these are.
const Version = "2.1.0.11"

// sharedKey finds what all instances in a VM share.
type sharedKey struct{}

type shared struct {
	null, emptyArray vm.Value
	arrayMT, emptyMT *vm.Table
	buffers          *sync.Pool
}

func sharedOf(t *vm.Thread, null vm.Value) *shared {
	s := t.State()
	if old, ok := s.Get(sharedKey{}).(*shared); ok {
		return old
	}
	sh := &shared{null: null, emptyArray: vm.Light(emptyArray{}), arrayMT: vm.NewTable(0, 0), emptyMT: vm.NewTable(0, 0),
		buffers: &sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}}
	s.Set(sharedKey{}, sh)
	return sh
}

// Module makes the table that require "cjson" gives; null is the VM's
// ngx.null, so that cjson.null == ngx.null.
func Module(t *vm.Thread, null vm.Value) vm.Value { return sharedOf(t, null).module(false) }

// SafeModule is Module for "cjson.safe": nil and a message instead of errors.
func SafeModule(t *vm.Thread, null vm.Value) vm.Value { return sharedOf(t, null).module(true) }

// maxKept is the largest buffer that is kept for the next call.
const maxKept = 64 << 10

func (sh *shared) module(safe bool) vm.Value {
	o := NewOptions(sh.null)
	o.arrayMT, o.emptyMT = sh.arrayMT, sh.emptyMT
	m := vm.NewTable(0, 32)
	def := func(name string, f vm.GoFunc) { m.SetStr(name, vm.NewFunc(name, f)) }
	def("encode", func(t *vm.Thread) int {
		oneArg(t)
		p := sh.buffers.Get().(*[]byte)
		buf, err := o.Encode(t, t.Arg(1), (*p)[:0])
		if err != nil {
			sh.buffers.Put(p)
			return refuse(t, err, safe)
		}
		t.Push(vm.String(string(buf)))
		if cap(buf) <= maxKept {
			*p = buf
		}
		sh.buffers.Put(p)
		return 1
	})
	def("decode", func(t *vm.Thread) int {
		oneArg(t)
		var v vm.Value
		var err error
		if safe && !isText(t.Arg(1)) {
			err = &Error{fmt.Sprintf("bad argument #1 to '?' (string expected, got %s)", t.Arg(1).Type())}
		} else {
			v, err = o.Decode(t, t.CheckString(1))
		}
		if err != nil {
			return refuse(t, err, safe)
		}
		t.Push(v)
		return 1
	})
	def("new", func(t *vm.Thread) int {
		t.Push(sh.module(safe))
		return 1
	})
	o.settings(def)
	m.SetStr("null", sh.null)
	m.SetStr("empty_array", sh.emptyArray)
	m.SetStr("array_mt", sh.arrayMT.Value())
	m.SetStr("empty_array_mt", sh.emptyMT.Value())
	m.SetStr("_NAME", vm.String("cjson"))
	m.SetStr("_VERSION", vm.String(Version))
	return m.Value()
}

func isText(v vm.Value) bool { return v.Type() == vm.TypeString || v.Type() == vm.TypeNumber }

func oneArg(t *vm.Thread) {
	if t.NArgs() != 1 {
		t.ArgError(1, "expected 1 argument")
	}
}

func refuse(t *vm.Thread, err error, safe bool) int {
	if !safe {
		t.Errorf("%s", err.Error())
	}
	t.PushNil()
	t.PushString(err.Error())
	return 2
}

// settings defines the functions that read and change o.
func (o *Options) settings(def func(string, vm.GoFunc)) {
	boolean := func(name string, p *bool) {
		def(name, func(t *vm.Thread) int {
			manyArgs(t, 1)
			setBool(t, 1, p)
			t.PushBool(*p)
			return 1
		})
	}
	integer := func(name string, p *int, lo, hi int) {
		def(name, func(t *vm.Thread) int {
			manyArgs(t, 1)
			setInt(t, 1, p, lo, hi)
			t.PushNumber(float64(*p))
			return 1
		})
	}
	boolean("encode_empty_table_as_object", &o.EmptyTableAsObject)
	boolean("decode_array_with_array_mt", &o.DecodeArrayMT)
	boolean("decode_allow_comment", &o.DecodeComments)
	boolean("encode_keep_buffer", &o.KeepBuffer)
	boolean("decode_invalid_numbers", &o.DecodeInvalid)
	boolean("encode_escape_forward_slash", &o.EscapeSlash)
	boolean("encode_skip_unsupported_value_types", &o.SkipUnsupported)
	integer("encode_max_depth", &o.EncodeMaxDepth, 1, math.MaxInt32)
	integer("decode_max_depth", &o.DecodeMaxDepth, 1, math.MaxInt32)
	integer("encode_number_precision", &o.NumberPrecision, 1, 16)
	def("encode_sparse_array", func(t *vm.Thread) int {
		manyArgs(t, 3)
		setBool(t, 1, &o.SparseConvert)
		setInt(t, 2, &o.SparseRatio, 0, math.MaxInt32)
		setInt(t, 3, &o.SparseSafe, 0, math.MaxInt32)
		t.PushBool(o.SparseConvert)
		t.PushNumber(float64(o.SparseRatio))
		t.PushNumber(float64(o.SparseSafe))
		return 3
	})
	def("encode_invalid_numbers", func(t *vm.Thread) int {
		manyArgs(t, 1)
		switch v := t.Arg(1); {
		case v.IsNil():
		case v.Type() == vm.TypeBoolean:
			o.EncodeInvalid = Refuse
			if v.Truthy() {
				o.EncodeInvalid = Spell
			}
		default:
			o.EncodeInvalid = InvalidNumbers(option(t, 1, "off", "on", "null"))
		}
		if o.EncodeInvalid == AsNull {
			t.PushString("null")
		} else {
			t.PushBool(o.EncodeInvalid == Spell)
		}
		return 1
	})
	def("encode_indent", func(t *vm.Thread) int {
		manyArgs(t, 1)
		if !t.Arg(1).IsNil() {
			o.Indent = t.CheckString(1)
		}
		t.PushString(o.Indent)
		return 1
	})
}

func manyArgs(t *vm.Thread, most int) {
	if t.NArgs() > most {
		t.ArgError(most+1, "found too many arguments")
	}
}

// option is luaL_checkoption.
func option(t *vm.Thread, i int, names ...string) int {
	s := t.CheckString(i)
	for n, name := range names {
		if s == name {
			return n
		}
	}
	t.ArgError(i, fmt.Sprintf("invalid option '%s'", s))
	return 0
}

func setBool(t *vm.Thread, i int, p *bool) {
	switch v := t.Arg(i); {
	case v.IsNil():
	case v.Type() == vm.TypeBoolean:
		*p = v.Truthy()
	default:
		*p = option(t, i, "off", "on") == 1
	}
}

func setInt(t *vm.Thread, i int, p *int, lo, hi int) {
	if !t.Arg(i).IsNil() {
		n := t.CheckInt(i)
		if n < lo || n > hi {
			t.ArgError(1, fmt.Sprintf("expected integer between %d and %d", lo, hi))
		}
		*p = n
	}
}
