package cjson

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"sluice/lua/vm"
)

// run runs a chunk that returns strings, and joins them; errors give their text.
func run(t testing.TB, source string) string {
	t.Helper()
	s := vm.NewState(vm.Options{})
	null := vm.Light("null")
	open := func(name string, f func(*vm.Thread, vm.Value) vm.Value) {
		s.Globals().SetStr(name, vm.NewFunc(name, func(t *vm.Thread) int { t.Push(f(t, null)); return 1 }))
	}
	open("open", Module)
	open("open_safe", SafeModule)
	p, err := vm.Compile("=t", "local cjson, safe = open(), open_safe() "+source)
	if err != nil {
		t.Fatal(err)
	}
	vals, err := s.Call(s.Load(p, s.Globals()))
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, v := range vals {
		out = append(out, s.Main().ToString(v))
	}
	return strings.Join(out, " ")
}

func TestEncode(t *testing.T) {
	f := func(expr, want string) {
		t.Helper()
		if got := run(t, "return (cjson.encode("+expr+"))"); got != want {
			t.Errorf("encode(%s) = %s, want %s", expr, got, want)
		}
	}
	f("nil", "null")
	f("cjson.null", "null")
	f("true", "true")
	f("3", "3")
	f("-0", "-0")
	f("3.14", "3.14")
	f("1e15", "1e+15")
	f("2^53", "9.007199254741e+15")
	f("0.1 + 0.2", "0.3")
	f("1/3", "0.33333333333333")
	f(`"a/b\\c\"d\b\t\n\f\r\0\31\127é"`, `"a\/b\\c\"d\b\t\n\f\r\u0000\u001f\u007fé"`)
	f("{}", "{}")
	f("{1,2,3}", "[1,2,3]")
	f("{1,nil,3}", "[1,null,3]")
	f("{a=1}", `{"a":1}`)
	f("{[1.5]=1}", `{"1.5":1}`)
	f("{1, a=2}", `{"1":1,"a":2}`)
	f("cjson.empty_array", "[]")
	f("setmetatable({}, cjson.empty_array_mt)", "[]")
	f("setmetatable({a=1}, cjson.empty_array_mt)", "[]")
	f("setmetatable({1, a=1}, cjson.array_mt)", "[1]")
	f("setmetatable({}, {__len=function() return 2 end, __index=function(_, i) return i * 10 end})", "[10,20]")
	f("{[10]=1}", "[null,null,null,null,null,null,null,null,null,1]")
	f("{[11]=1}", "t:1: Cannot serialise table: excessively sparse array")
	f("print", "t:1: Cannot serialise function: type not supported")
	f("{[true]=1}", "t:1: Cannot serialise boolean: table key must be a number or string")
	f("0/0", "t:1: Cannot serialise number: must not be NaN or Infinity")
	f("", "t:1: bad argument #1 to 'encode' (expected 1 argument)")
}

func TestEncodeSettings(t *testing.T) {
	f := func(source, want string) {
		t.Helper()
		if got := run(t, source); got != want {
			t.Errorf("%s\n got %s\nwant %s", source, got, want)
		}
	}
	f("cjson.encode_empty_table_as_object(false) return cjson.encode({}), cjson.encode({a={}})", `[] {"a":[]}`)
	f("cjson.encode_sparse_array(true) return cjson.encode({[100]=1})", `{"100":1}`)
	f("return cjson.encode_sparse_array(true, 3, 20)", "true 3 20")
	f("cjson.encode_number_precision(3) return cjson.encode(3.14159)", "3.14")
	f("cjson.encode_number_precision(16) return cjson.encode(0.1)", "0.1")
	f("cjson.encode_invalid_numbers('null') return cjson.encode({1/0, 0/0}), cjson.encode_invalid_numbers()", "[null,null] null")
	f("cjson.encode_invalid_numbers(true) return cjson.encode({1/0, -1/0, 0/0})", "[Infinity,-Infinity,NaN]")
	f("cjson.encode_escape_forward_slash(false) return cjson.encode('a/b')", `"a/b"`)
	f("cjson.encode_max_depth(2) return (cjson.encode({{{}}}))", "t:1: Cannot serialise, excessive nesting (3)")
	f("cjson.encode_max_depth(2^31-1) local t = {} t[1] = t return (cjson.encode(t))", "t:1: Cannot serialise, excessive nesting (100001)")
	f("cjson.encode_skip_unsupported_value_types(true) return cjson.encode({print, 1, print, 2, print})", "[1,2]")
	f("cjson.encode_indent('  ') return cjson.encode({a={1,2}})", "{\n  \"a\": [\n    1,\n    2\n  ]\n}")
	f("return (cjson.encode_max_depth(0))", "t:1: bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647)")
	f("return (cjson.encode_max_depth(1, 2))", "t:1: bad argument #2 to 'encode_max_depth' (found too many arguments)")
	f("return (cjson.encode_keep_buffer('x'))", "t:1: bad argument #1 to 'encode_keep_buffer' (invalid option 'x')")
	f("local c = cjson.new() c.encode_number_precision(2) return c.encode(1.234), cjson.encode(1.234), c.null == cjson.null, c.array_mt == safe.array_mt", "1.2 1.234 true true")
	f("return safe.encode(print)", "nil Cannot serialise function: type not supported")
	f("return safe.new().decode('{')", "nil Expected object key string but found T_END at character 2")
}

func TestDecode(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := run(t, "local v, err = safe.decode([==["+text+"]==]) if err then return err end return safe.encode(v)"); got != want {
			t.Errorf("decode %s: got %s, want %s", text, got, want)
		}
	}
	f(` {"a" : [1, 2.5, -3e2, true, false, null, "x\u00e9\ud83d\ude00\/\n"]} `, `{"a":[1,2.5,-300,true,false,null,"xé😀\/\n"]}`)
	f(`[]`, `{}`)
	f(`"x"`, `"x"`)
	f(`0x10`, `16`)
	f(`007`, `7`)
	f(`[1.]`, `[1]`)
	f(`123456789012345678901234567890`, `9.2233720368548e+18`)
	f(``, `Expected value but found T_END at character 1`)
	f(`garbage`, `Expected value but found invalid token at character 1`)
	f(`[1,]`, `Expected value but found T_ARR_END at character 4`)
	f(`[1 2]`, `Expected comma or array end but found T_INTEGER at character 4`)
	f(`[1.5 2.5]`, `Expected comma or array end but found T_NUMBER at character 6`)
	f(`{"a" 1}`, `Expected colon but found T_INTEGER at character 6`)
	f(`{1:2}`, `Expected object key string but found T_INTEGER at character 2`)
	f(`{"a":1 "b"`, `Expected comma or object end but found T_STRING at character 8`)
	f(`1 2`, `Expected the end but found T_INTEGER at character 3`)
	f(`"abc`, `Expected value but found unexpected end of string at character 5`)
	f(`"\q"`, `Expected value but found invalid escape code at character 2`)
	f(`"\ud800"`, `Expected value but found invalid unicode escape code at character 2`)
	f(`-`, `Expected value but found invalid number at character 1`)
	f(strings.Repeat("[", 1001), `Found too many nested data structures (1001) at character 1001`)
}

func TestDecodeSettings(t *testing.T) {
	f := func(source, want string) {
		t.Helper()
		if got := run(t, source); got != want {
			t.Errorf("%s\n got %s\nwant %s", source, got, want)
		}
	}
	f("cjson.decode_invalid_numbers(false) return (cjson.decode('0x10'))", "t:1: Expected value but found invalid number at character 1")
	f("return cjson.decode('inf'), cjson.decode('-Infinity'), cjson.decode('nan') ~= cjson.decode('nan')", "inf -inf true")
	f("cjson.decode_max_depth(1) return (cjson.decode('[[1]]'))", "t:1: Found too many nested data structures (2) at character 2")
	f("cjson.decode_array_with_array_mt(true) return cjson.encode(cjson.decode('[[],{}]'))", "[[],{}]")
	f("cjson.decode_allow_comment(true) return cjson.decode('/* a */ // b\\n 1')", "1")
	f("cjson.decode_allow_comment(true) return (cjson.decode('/* a'))", "t:1: Expected value but found unclosed multi-line comment at character 5")
	f("return (cjson.decode('\\0\\0'))", "t:1: JSON parser does not support UTF-16 or UTF-32")
	f("return cjson.decode('1') == 1, cjson.decode('null') == cjson.null", "true true")
	f("return (cjson.decode({}))", "t:1: bad argument #1 to 'decode' (string expected, got table)")
	f("return safe.decode({})", "nil bad argument #1 to '?' (string expected, got table)")
	f("return select('#', safe.decode('1'))", "1")
}

// A table that holds another twice, and so on, writes 2^n times as much: the
// memory budget ends that.
func TestABombEndsAtTheBudget(t *testing.T) {
	s := vm.NewState(vm.Options{})
	v := vm.NewTable(1, 0)
	v.SetInt(1, vm.String("x"))
	for range 40 {
		w := vm.NewTable(2, 0)
		w.SetInt(1, v.Value())
		w.SetInt(2, v.Value())
		v = w
	}
	s.SetBudget(vm.Budget{MemoryBytes: 1 << 20})
	m := vm.NewFunc("f", func(t *vm.Thread) int { t.Push(Module(t, vm.Nil)); return 1 })
	vals, err := s.Call(m)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Call(vals[0].AsTable().GetStr("encode"), v.Value())
	var be *vm.BudgetError
	if !errors.As(err, &be) || be.Kind != "memory" {
		t.Fatal(err)
	}
}

// Whatever the text: no panic, and what we accept of valid JSON means the same
// as encoding/json says.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x\u00e9"]}`, `[[[`, `"\ud83d\ude00"`, `-0x1p3`, "nan", `{"a":null}`} {
		f.Add(s)
	}
	null := vm.Light("null")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Decode(nil, text, null)
		if err != nil {
			if json.Valid([]byte(text)) && !strings.Contains(err.Error(), "nested") && !strings.Contains(text, `\u`) && !strings.ContainsAny(text, "\x00") {
				t.Fatalf("%q is valid: %v", text, err)
			}
			return
		}
		o := NewOptions(null)
		o.EncodeInvalid, o.SparseConvert = AsNull, true
		out, err := o.Encode(nil, v, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(out) && strings.ToValidUTF8(string(out), "") == string(out) {
			t.Fatalf("%q became %q", text, out)
		}
	})
}

// No combination of arguments makes a Go panic.
func FuzzBindings(f *testing.F) {
	f.Add("on", 1.0, uint8(0), uint8(1), true)
	f.Add("[1,{}]", -1e300, uint8(7), uint8(200), false)
	f.Fuzz(func(t *testing.T, text string, n float64, which, order uint8, safe bool) {
		s := vm.NewState(vm.Options{})
		s.SetBudget(vm.Budget{Instructions: 1e6, MemoryBytes: 16 << 20})
		vals, err := s.Call(vm.NewFunc("open", func(t *vm.Thread) int {
			if safe {
				t.Push(SafeModule(t, vm.Light("null")))
			} else {
				t.Push(Module(t, vm.Light("null")))
			}
			return 1
		}))
		if err != nil {
			t.Fatal(err)
		}
		m := vals[0].AsTable()
		names := []string{"encode", "decode", "new", "encode_empty_table_as_object", "decode_array_with_array_mt", "decode_allow_comment",
			"encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision", "encode_keep_buffer",
			"encode_invalid_numbers", "decode_invalid_numbers", "encode_escape_forward_slash", "encode_skip_unsupported_value_types", "encode_indent"}
		loop := vm.NewTable(1, 1)
		loop.SetInt(1, loop.Value())
		odd := vm.NewTable(0, 2)
		_ = odd.Set(vm.Number(n), vm.String(text))
		odd.SetStr(text, m.GetStr("empty_array"))
		pool := []vm.Value{vm.String(text), vm.Number(n), vm.Nil, vm.True, loop.Value(), odd.Value(), m.GetStr("null"), m.GetStr("encode")}
		var args []vm.Value
		for i := range int(order) % 5 {
			args = append(args, pool[(int(order)+i*int(which|1))%len(pool)])
		}
		s.Call(m.GetStr(names[int(which)%len(names)]), args...)
		for _, v := range pool {
			s.Call(m.GetStr("encode"), v)
		}
		s.Call(m.GetStr("decode"), vm.String(text))
	})
}

const sample = `{"id":"b07-1234567890","state":"open","count":20,"left":13,"left_amount":6511,"opens_at":"2027-02-05T20:00:00+08:00","tags":["a","b",3,true,null],"now":1804320000.125}`

func BenchmarkDecode(b *testing.B) {
	o := NewOptions(vm.Light("null"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Decode(nil, sample); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	o := NewOptions(vm.Light("null"))
	v, _ := o.Decode(nil, sample)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = o.Encode(nil, v, buf[:0])
	}
}

func TestDecodingEndsAtTheBudget(t *testing.T) {
	s := vm.NewState(vm.Options{})
	vals, err := s.Call(vm.NewFunc("f", func(t *vm.Thread) int { t.Push(Module(t, vm.Nil)); return 1 }))
	if err != nil {
		t.Fatal(err)
	}
	s.SetBudget(vm.Budget{MemoryBytes: 1 << 20})
	_, err = s.Call(vals[0].AsTable().GetStr("decode"), vm.String("["+strings.Repeat("{},", 50000)+"1]"))
	var be *vm.BudgetError
	if !errors.As(err, &be) || be.Kind != "memory" {
		t.Fatal(err)
	}
}
