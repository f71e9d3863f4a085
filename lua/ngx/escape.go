package ngx

import (
	"strings"

	"sluice/lua/vm"
)

// The tables of nginx: a set bit is a byte that must be written as %XX.
var (
	escURI        = [4]uint32{0xffffffff, 0x80000029, 0x00000000, 0x80000000}
	escArgs       = [4]uint32{0xffffffff, 0x80000829, 0x00000000, 0x80000000}
	escComponent  = [4]uint32{0xffffffff, 0xfc00987d, 0x78000001, 0xb8000001}
	escHTML       = [4]uint32{0xffffffff, 0x000000ad, 0x00000000, 0x80000000}
	escRefresh    = [4]uint32{0xffffffff, 0x00000085, 0x00000000, 0x80000000}
	escHeaderName = [4]uint32{0xffffffff, 0xfc009305, 0x38000001, 0xa8000000}
	escMemcached  = [4]uint32{0xffffffff, 0x00000021, 0x00000000, 0x00000000}
)

func mustEscape(tab *[4]uint32, c byte) bool {
	if c >= 0x80 {
		return tab != &escMemcached
	}
	return tab[c>>5]&(1<<(c&31)) != 0
}

const hexUpper = "0123456789ABCDEF"

func escape(s string, tab *[4]uint32) string {
	n := 0
	for i := 0; i < len(s); i++ {
		if mustEscape(tab, s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	return string(appendEscaped(b, s, tab))
}

func appendEscaped(b []byte, s string, tab *[4]uint32) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; mustEscape(tab, c) {
			b = append(b, '%', hexUpper[c>>4], hexUpper[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// unescape decodes %XX, and + as a space.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		case c == '+':
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// normalPath is the path of a request line as nginx sees it: without
// arguments, decoded, with slashes merged and dots resolved.
func normalPath(u string) string {
	if i := strings.Index(u, "://"); i > 0 && u[0] != '/' {
		u = u[i+3:]
		if j := strings.IndexByte(u, '/'); j >= 0 {
			u = u[j:]
		} else {
			u = "/"
		}
	}
	if i := strings.IndexAny(u, "?#"); i >= 0 {
		u = u[:i]
	}
	plain := true
	for i := 0; i < len(u); i++ {
		if c := u[i]; c == '%' || c == '/' && i+1 < len(u) && (u[i+1] == '/' || u[i+1] == '.') {
			plain = false
			break
		}
	}
	if plain {
		return u
	}
	b := make([]byte, 0, len(u))
	for i := 0; i < len(u); i++ {
		c := u[i]
		if c == '%' && i+2 < len(u) && unhex(u[i+1]) >= 0 && unhex(u[i+2]) >= 0 {
			c = byte(unhex(u[i+1])<<4 | unhex(u[i+2]))
			i += 2
		}
		b = append(b, c)
	}
	return cleanSlashes(string(b))
}

func cleanSlashes(p string) string {
	var out []string
	parts := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for i, s := range parts {
		last := i == len(parts)-1
		switch s {
		case "", ".":
			if last {
				out = append(out, "")
			}
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return "/" + strings.Join(out, "/")
}

// textArg is an argument as text; a long one counts against the budget by its
// length, as what is done with it takes as long.
func textArg(t *vm.Thread, i int) string {
	v := t.Arg(i)
	if s, ok := v.ToStringValue(); ok {
		t.State().ChargeInstructions(t, int64(len(s))>>6)
		return s
	}
	if !v.Truthy() {
		return ""
	}
	return t.ToString(v)
}

func apiEscapeURI(t *vm.Thread) int {
	if t.NArgs() == 0 {
		t.PushString("")
		return 1
	}
	tab := &escComponent
	if !t.Arg(2).IsNil() {
		n, ok := t.Arg(2).AsNumber()
		if !ok {
			t.Raise(vm.String(t.Where(2) + "\"type\" is not a number"))
		}
		switch n {
		case 0:
			tab = &escURI
		case 1:
			tab = &escArgs
		case 2:
		case 3:
			tab = &escHTML
		case 4:
			tab = &escRefresh
		case 5, 6:
			tab = &escMemcached
		default:
			s, _ := t.Arg(2).ToStringValue()
			t.Raise(vm.String(t.Where(2) + "\"type\" " + s + " out of range"))
		}
	}
	t.PushString(escape(textArg(t, 1), tab))
	return 1
}

func apiUnescapeURI(t *vm.Thread) int {
	t.PushString(unescape(textArg(t, 1)))
	return 1
}

// encodeArgs renders a table as a query string.
func encodeArgs(t *vm.Thread, tb *vm.Table) string {
	var b []byte
	next := 16 << 10 // the length at which it is charged
	add := func(k string, v vm.Value) {
		if v.Type() == vm.TypeBoolean {
			if !v.Truthy() {
				return
			}
			if len(b) > 0 {
				b = append(b, '&')
			}
			b = appendEscaped(b, k, &escComponent)
			return
		}
		s, ok := v.ToStringValue()
		if !ok {
			t.Errorf("attempt to use %s as query arg value", v.Type())
		}
		if len(b) > 0 {
			b = append(b, '&')
		}
		b = appendEscaped(b, k, &escComponent)
		b = append(b, '=')
		b = appendEscaped(b, s, &escComponent)
		if len(b) >= next { // the whole of it: no recount sees it yet
			t.State().Charge(t, int64(len(b)))
			t.State().ChargeInstructions(t, int64(len(b))>>6)
			next = 2 * len(b)
		}
	}
	k := vm.Nil
	for {
		key, v, more, err := tb.Next(k)
		if err != nil || !more {
			return string(b)
		}
		k = key
		name, ok := key.AsString()
		if !ok {
			t.Errorf("attempt to use a non-string key in the \"args\" option table")
		}
		l := v.AsTable()
		if l == nil {
			add(name, v)
			continue
		}
		lk := vm.Nil
		for {
			x, item, more, err := l.Next(lk)
			if err != nil || !more {
				break
			}
			lk = x
			add(name, item)
		}
	}
}

func apiEncodeArgs(t *vm.Thread) int {
	if t.NArgs() != 1 {
		t.Errorf("expecting 1 argument but seen %d", t.NArgs())
	}
	t.PushString(encodeArgs(t, t.CheckTable(1)))
	return 1
}

// decodeArgs parses a query string into tb.
func decodeArgs(s string, limit int, tb *vm.Table) (truncated bool) {
	n := 0
	for s != "" {
		pair, rest, more := strings.Cut(s, "&")
		s = rest
		k, v, has := strings.Cut(pair, "=")
		if pair != "" || more {
			if k = unescape(k); k != "" {
				if has {
					addField(tb, k, vm.String(unescape(v)))
				} else {
					addField(tb, k, vm.True)
				}
			}
			if n++; limit > 0 && n == limit && more {
				return true
			}
		}
		if !more {
			break
		}
	}
	return false
}

func apiDecodeArgs(t *vm.Thread) int {
	if n := t.NArgs(); n != 1 && n != 2 {
		t.Errorf("expecting 1 or 2 arguments but seen %d", n)
	}
	s := t.CheckString(1)
	limit := maxArg(t, 2, 100)
	tb := vm.NewTable(0, 4)
	cut := decodeArgs(s, limit, tb)
	t.PushTable(tb)
	if cut {
		t.PushString("truncated")
		return 2
	}
	return 1
}
