package cjson

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice/lua/vm"
)

// Decode reads a JSON text with the default options; t may be nil. null is
// what JSON's null becomes. Strings of the result share data's bytes.
func Decode(t *vm.Thread, data string, null vm.Value) (vm.Value, error) {
	return NewOptions(null).Decode(t, data)
}

// Decode reads a JSON text.
func (o *Options) Decode(t *vm.Thread, data string) (v vm.Value, err error) {
	defer caught(&err)
	if len(data) >= 2 && (data[0] == 0 || data[1] == 0) {
		failf("JSON parser does not support UTF-16 or UTF-32")
	}
	d := decoder{o: o, t: t, data: data, charge: chargeFirst}
	d.next()
	v = d.value()
	d.next()
	if d.tok != tokEnd {
		d.expected("the end")
	}
	charge(t, d.bytes)
	return v, nil
}

// token is what the scanner found.
type token uint8

const (
	tokObjBegin token = iota
	tokObjEnd
	tokArrBegin
	tokArrEnd
	tokString
	tokNumber
	tokInteger
	tokBoolean
	tokNull
	tokColon
	tokComma
	tokEnd
	tokError
)

// tokenNames are what messages call them.
var tokenNames = [...]string{"T_OBJ_BEGIN", "T_OBJ_END", "T_ARR_BEGIN", "T_ARR_END", "T_STRING", "T_NUMBER",
	"T_INTEGER", "T_BOOLEAN", "T_NULL", "T_COLON", "T_COMMA", "T_END", "T_ERROR"}

type decoder struct {
	o      *Options
	t      *vm.Thread
	data   string
	pos    int
	depth  int
	bytes  int // allocated so far
	charge int // bytes at which they are charged again

	tok     token
	at      int // where the token is
	str     string
	num     float64
	yes     bool
	problem string // of tokError
}

func (d *decoder) account() {
	if d.bytes >= d.charge {
		d.charge = 2 * d.bytes
		charge(d.t, d.bytes)
	}
}

func (d *decoder) expected(what string) {
	found := d.problem
	if d.tok != tokError {
		found = tokenNames[d.tok]
	}
	failf("Expected %s but found %s at character %d", what, found, d.at+1)
}

func (d *decoder) bad(problem string) {
	d.tok, d.at, d.problem = tokError, d.pos, problem
}

// peek is the byte at pos, 0 at the end: as in C, a zero byte ends the text.
func (d *decoder) peek(ahead int) byte {
	if d.pos+ahead < len(d.data) {
		return d.data[d.pos+ahead]
	}
	return 0
}

// next reads a token.
func (d *decoder) next() {
	for {
		c := d.peek(0)
		if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			d.pos++
			continue
		}
		if c != '/' || !d.o.DecodeComments {
			break
		}
		if done := d.comment(); done {
			return
		}
		if d.peek(0) == '/' && d.peek(1) != '/' && d.peek(1) != '*' {
			break
		}
	}
	d.at = d.pos
	single := func(t token) {
		d.tok = t
		d.pos++
	}
	switch c := d.peek(0); c {
	case 0:
		d.tok = tokEnd
	case '{':
		single(tokObjBegin)
	case '}':
		single(tokObjEnd)
	case '[':
		single(tokArrBegin)
	case ']':
		single(tokArrEnd)
	case ',':
		single(tokComma)
	case ':':
		single(tokColon)
	case '"':
		d.readString()
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if !d.o.DecodeInvalid && d.invalidNumber() {
			d.bad("invalid number")
			return
		}
		d.readNumber()
	case 't', 'f', 'n', 'i', 'I', 'N', '+':
		d.word()
	default:
		d.bad("invalid token")
	}
}

// comment skips // and /* */; done tells that an error token was made.
func (d *decoder) comment() (done bool) {
	rest := d.data[d.pos:]
	if z := strings.IndexByte(rest, 0); z >= 0 {
		rest = rest[:z]
	}
	switch d.peek(1) {
	case '/':
		end := strings.IndexByte(rest, '\n')
		if end < 0 {
			end = len(rest)
		}
		d.pos += end
	case '*':
		end := strings.Index(rest[2:], "*/")
		if end < 0 {
			d.pos += len(rest)
			d.bad("unclosed multi-line comment")
			return true
		}
		d.pos += end + 4
	default:
		d.at = d.pos
		d.bad("invalid token")
		return true
	}
	return false
}

// word reads true, false, null, or a number that JSON does not have.
func (d *decoder) word() {
	rest := d.data[d.pos:]
	switch {
	case strings.HasPrefix(rest, "true"):
		d.tok, d.yes = tokBoolean, true
		d.pos += 4
	case strings.HasPrefix(rest, "false"):
		d.tok, d.yes = tokBoolean, false
		d.pos += 5
	case strings.HasPrefix(rest, "null"):
		d.tok = tokNull
		d.pos += 4
	case d.o.DecodeInvalid && d.invalidNumber():
		d.readNumber()
	default:
		d.bad("invalid token")
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// invalidNumber recognises what strtod reads and JSON forbids.
func (d *decoder) invalidNumber() bool {
	if d.peek(0) == '+' {
		return true
	}
	i := 0
	if d.peek(0) == '-' {
		i = 1
	}
	c := d.peek(i)
	if c == '0' {
		n := d.peek(i + 1)
		return n|0x20 == 'x' || isDigit(n)
	}
	if c <= '9' {
		return false
	}
	rest := d.data[d.pos+i:]
	return len(rest) >= 3 && (strings.EqualFold(rest[:3], "inf") || strings.EqualFold(rest[:3], "nan"))
}

// readNumber takes the longest prefix that C's strtod would.
func (d *decoder) readNumber() {
	s := d.data[d.pos:]
	i := 0
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	start := i
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	if i > start && (i == len(s) || s[i] != '.' && s[i]|0x20 != 'e' && s[i] != 'x') {
		d.tok = tokInteger
		d.num = integer(s[:i])
		d.pos += i
		return
	}
	n, size, ok := strtod(s)
	if !ok {
		d.bad("invalid number")
		return
	}
	d.tok, d.num = tokNumber, n
	d.pos += size
}

// integer is C's strtoll: too many digits give the largest number there is.
func integer(s string) float64 {
	s = strings.TrimPrefix(s, "+")
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		if s[0] == '-' {
			return math.MinInt64
		}
		return math.MaxInt64
	}
	return float64(n)
}

// strtod reads a number at the start of s as C does: decimal, hexadecimal,
// inf, nan.
func strtod(s string) (n float64, size int, ok bool) {
	i := 0
	sign := 1.0
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		if s[i] == '-' {
			sign = -1
		}
		i++
	}
	for _, w := range []string{"infinity", "inf", "nan"} {
		if len(s)-i >= len(w) && strings.EqualFold(s[i:i+len(w)], w) {
			if w == "nan" {
				return math.NaN(), i + 3, true
			}
			return math.Inf(int(sign)), i + len(w), true
		}
	}
	start, hex := i, false
	if len(s)-i >= 3 && s[i] == '0' && s[i+1]|0x20 == 'x' && isHexAfter(s[i+2:]) {
		hex = true
		i += 2
	}
	digits := func() int {
		from := i
		for i < len(s) && (isDigit(s[i]) || hex && (s[i]|0x20 >= 'a' && s[i]|0x20 <= 'f')) {
			i++
		}
		return i - from
	}
	count := digits()
	if i < len(s) && s[i] == '.' {
		i++
		frac := digits()
		if frac == 0 && count == 0 {
			return 0, 0, false
		}
		count += frac
	}
	if count == 0 {
		return 0, 0, false
	}
	mantissa := i
	expChar := byte('e')
	if hex {
		expChar = 'p'
	}
	if i < len(s) && s[i]|0x20 == expChar {
		i++
		if i < len(s) && (s[i] == '-' || s[i] == '+') {
			i++
		}
		from := i
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		if i == from {
			i = mantissa
		}
	}
	text := s[start:i]
	if hex && i == mantissa {
		text += "p0"
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(n, 0) && n != 0 {
		return 0, 0, false
	}
	return sign * n, i, true
}

func isHexAfter(s string) bool {
	c := s[0] | 0x20
	return isDigit(s[0]) || c >= 'a' && c <= 'f' || s[0] == '.'
}

// readString takes a string whole when nothing in it is escaped.
func (d *decoder) readString() {
	start := d.pos + 1
	for i := start; i < len(d.data); i++ {
		switch d.data[i] {
		case '"':
			d.tok, d.str = tokString, d.data[start:i]
			d.pos = i + 1
			return
		case '\\':
			d.unescape(start, i)
			return
		case 0:
			d.pos = i
			d.bad("unexpected end of string")
			return
		}
	}
	d.pos = len(d.data)
	d.bad("unexpected end of string")
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 't': '\t', 'n': '\n', 'f': '\f', 'r': '\r'}

// unescape reads a string whose first escape is at i.
func (d *decoder) unescape(start, i int) {
	buf := append(make([]byte, 0, i-start+32), d.data[start:i]...)
	for d.pos = i; d.pos < len(d.data); {
		c := d.data[d.pos]
		switch {
		case c == '"':
			d.pos++
			d.bytes += len(buf)
			d.tok, d.str = tokString, string(buf)
			return
		case c == 0:
			d.bad("unexpected end of string")
			return
		case c != '\\':
			buf = append(buf, c)
			d.pos++
		case d.peek(1) == 'u':
			r, size := d.unicode()
			if size == 0 {
				d.bad("invalid unicode escape code")
				return
			}
			buf = utf8.AppendRune(buf, r)
			d.pos += size
		default:
			e := escapes[d.peek(1)]
			if e == 0 {
				d.bad("invalid escape code")
				return
			}
			buf = append(buf, e)
			d.pos += 2
		}
	}
	d.bad("unexpected end of string")
}

func (d *decoder) hex4(at int) rune {
	if at+4 > len(d.data) {
		return -1
	}
	r := rune(0)
	for _, c := range []byte(d.data[at : at+4]) {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return r
}

// unicode reads \uXXXX, or two of them for a surrogate pair; size is 0 when
// it is wrong.
func (d *decoder) unicode() (r rune, size int) {
	r = d.hex4(d.pos + 2)
	if r < 0 {
		return 0, 0
	}
	if r&0xf800 != 0xd800 {
		return r, 6
	}
	if r&0x400 != 0 || d.peek(6) != '\\' || d.peek(7) != 'u' {
		return 0, 0
	}
	low := d.hex4(d.pos + 8)
	if low < 0 || low&0xfc00 != 0xdc00 {
		return 0, 0
	}
	return (r&0x3ff)<<10 | low&0x3ff + 0x10000, 12
}

// value makes the Lua value that begins with the current token.
func (d *decoder) value() vm.Value {
	switch d.tok {
	case tokString:
		return vm.String(d.str)
	case tokNumber, tokInteger:
		return vm.Number(d.num)
	case tokBoolean:
		return vm.Bool(d.yes)
	case tokNull:
		return d.o.null
	case tokObjBegin:
		return d.object()
	case tokArrBegin:
		return d.array()
	}
	d.expected("value")
	return vm.Nil
}

func (d *decoder) descend() {
	d.depth++
	if d.depth > d.o.DecodeMaxDepth || d.depth > hardDepth {
		failf("Found too many nested data structures (%d) at character %d", d.depth, d.pos)
	}
	d.bytes += tableBytes
	d.account()
}

// What a table and each of its fields weigh, about.
const (
	tableBytes = 88
	fieldBytes = 40
)

func (d *decoder) object() vm.Value {
	d.descend()
	d.next()
	if d.tok == tokObjEnd {
		d.depth--
		return vm.NewTable(0, 0).Value()
	}
	t := vm.NewTable(0, 4)
	for {
		if d.tok != tokString {
			d.expected("object key string")
		}
		key := vm.String(d.str)
		d.next()
		if d.tok != tokColon {
			d.expected("colon")
		}
		d.next()
		// A string key is never refused.
		_ = t.Set(key, d.value())
		d.bytes += fieldBytes
		d.account()
		d.next()
		if d.tok == tokObjEnd {
			d.depth--
			return t.Value()
		}
		if d.tok != tokComma {
			d.expected("comma or object end")
		}
		d.next()
	}
}

func (d *decoder) array() vm.Value {
	d.descend()
	d.next()
	if d.tok == tokArrEnd {
		d.depth--
		t := vm.NewTable(0, 0)
		d.mark(t)
		return t.Value()
	}
	t := vm.NewTable(4, 0)
	d.mark(t)
	for i := 1; ; i++ {
		t.SetInt(i, d.value())
		d.bytes += 16
		d.account()
		d.next()
		if d.tok == tokArrEnd {
			d.depth--
			return t.Value()
		}
		if d.tok != tokComma {
			d.expected("comma or array end")
		}
		d.next()
	}
}

func (d *decoder) mark(t *vm.Table) {
	if d.o.DecodeArrayMT && d.o.arrayMT != nil {
		t.SetMetatable(d.o.arrayMT)
	}
}
