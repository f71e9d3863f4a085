package ngx

import (
	"strconv"
	"strings"

	"sluice/lua/vm"
)

// dashes replaces underscores, as nginx does in names of response headers.
func dashes(s string) string {
	if strings.IndexByte(s, '_') < 0 {
		return s
	}
	return strings.ReplaceAll(s, "_", "-")
}

func (r *Request) dropHeader(name string) {
	keep := r.out[:0]
	for _, h := range r.out {
		if !strings.EqualFold(h.name, name) {
			keep = append(keep, h)
		}
	}
	r.out = keep
	if strings.EqualFold(name, "last-modified") {
		r.lastMod = ""
	}
}

// single tells headers that nginx keeps once.
func single(name string) bool {
	switch len(name) {
	case 4, 6, 7, 8, 12, 13, 16, 14:
		switch strings.ToLower(name) {
		case "etag", "date", "server", "refresh", "location", "expires", "last-modified",
			"content-range", "accept-ranges", "content-encoding", "content-length":
			return true
		}
	}
	return false
}

// SetRespHeader sets a response header as ngx.header does; add keeps values
// that are there already.
func (r *Request) SetRespHeader(name, value string, add bool) bool {
	value = cleanValue(value)
	switch {
	case len(name) == 12 && strings.EqualFold(name, "content-type"):
		r.ctype, r.ctypeSet = value, true
		if value == "" {
			r.ctypeSet = true
		}
		return true
	case len(name) == 14 && strings.EqualFold(name, "content-length"):
		if value == "" {
			r.clen = -1
			return true
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 {
			return false
		}
		r.clen = n
		return true
	case len(name) == 10 && strings.EqualFold(name, "connection"):
		if strings.EqualFold(value, "close") {
			r.connClose = true
			return true
		}
	case len(name) == 13 && strings.EqualFold(name, "last-modified"):
		r.lastMod = value
	}
	if add && single(name) {
		add = false
	}
	if add {
		if value != "" {
			r.out = append(r.out, header{name, value})
		}
		return true
	}
	for i := range r.out {
		if len(r.out[i].name) == len(name) && strings.EqualFold(r.out[i].name, name) {
			if value == "" {
				r.dropHeader(name)
				return true
			}
			r.out[i].value = value
			w := i + 1
			for j := i + 1; j < len(r.out); j++ {
				if !strings.EqualFold(r.out[j].name, name) {
					r.out[w] = r.out[j]
					w++
				}
			}
			r.out = r.out[:w]
			return true
		}
	}
	if value != "" {
		r.out = append(r.out, header{name, value})
	}
	return true
}

// DelRespHeader removes a response header.
func (r *Request) DelRespHeader(name string) {
	r.SetRespHeader(name, "", false)
	r.dropHeader(name)
}

// RespHeader gives the first value of a response header.
func (r *Request) RespHeader(name string) (string, bool) {
	switch {
	case strings.EqualFold(name, "content-type"):
		if !r.ctypeSet && r.headerSent {
			return r.DefaultType(), true
		}
		return r.ctype, r.ctype != ""
	case strings.EqualFold(name, "content-length"):
		if r.clen < 0 {
			return "", false
		}
		return strconv.FormatInt(r.clen, 10), true
	}
	for _, h := range r.out {
		if strings.EqualFold(h.name, name) {
			return h.value, true
		}
	}
	return "", false
}

func headerIndex(t *vm.Thread) int {
	r := reqHere(t)
	key := keyText(t, 2)
	if !r.vm.host.Underscores {
		key = dashes(key)
	}
	if s, ok := r.RespHeader(key); ok && !r.multi(key) {
		t.PushString(s)
		return 1
	}
	tb := vm.NewTable(2, 0)
	for _, h := range r.out {
		if strings.EqualFold(h.name, key) {
			tb.SetInt(tb.Len()+1, vm.String(h.value))
		}
	}
	switch tb.Len() {
	case 0:
		t.PushNil()
	case 1:
		t.Push(tb.GetInt(1))
	default:
		t.PushTable(tb)
	}
	return 1
}

func (r *Request) multi(name string) bool {
	n := 0
	for i := range r.out {
		if strings.EqualFold(r.out[i].name, name) {
			n++
		}
	}
	return n > 1
}

func keyText(t *vm.Thread, i int) string {
	if s, ok := t.Arg(i).AsString(); ok {
		return s
	}
	return t.ToString(t.Arg(i))
}

// reqHere is the current request for functions that resty.core implements.
func reqHere(t *vm.Thread) *Request {
	r := RequestOf(t)
	switch {
	case r.phase == PhaseInit:
		t.Errorf("no request found")
	case r.main == nil:
		t.Errorf("API disabled in the current context")
	}
	return r
}

func headerNewIndex(t *vm.Thread) int {
	r := reqHere(t)
	setResp(t, r, keyText(t, 2), t.Arg(3), false)
	return 0
}

func setResp(t *vm.Thread, r *Request, key string, v vm.Value, add bool) {
	if r.headerSent {
		r.vm.host.log(r, LevelErr, "attempt to set ngx.header.HEADER after sending out response headers")
		return
	}
	if !r.vm.host.Underscores {
		key = dashes(key)
	}
	key = escapeHeaderName(key)
	tb := v.AsTable()
	switch {
	case v.IsNil():
		if add {
			t.Errorf("invalid header value")
		}
		r.SetRespHeader(key, "", false)
	case tb != nil:
		n := tb.Len()
		if n == 0 {
			if !add {
				r.SetRespHeader(key, "", false)
			}
			return
		}
		for i := 1; i <= n; i++ {
			s := t.ToString(tb.GetInt(i))
			if !r.SetRespHeader(key, s, add || i > 1) {
				t.Errorf("failed to set header")
			}
		}
	default:
		s, ok := v.AsString()
		if !ok {
			s = t.ToString(v)
		}
		if !r.SetRespHeader(key, s, add) {
			t.Errorf("failed to set header")
		}
	}
}

// apiAddHeader is ngx.resp.add_header of the ngx.resp module.
func apiAddHeader(t *vm.Thread) int {
	r := reqHere(t)
	setResp(t, r, keyText(t, 1), t.Arg(2), true)
	return 0
}

// headersMeta makes the metatable of ngx.req.get_headers and
// ngx.resp.get_headers: a name is also found in other spellings.
func headersMeta() *vm.Table {
	mt := vm.NewTable(0, 1)
	mt.SetStr("__index", vm.NewFunc("__index", func(t *vm.Thread) int {
		key, ok := t.Arg(2).AsString()
		tb := t.Arg(1).AsTable()
		if !ok || tb == nil {
			t.PushNil()
			return 1
		}
		t.Push(tb.GetStr(dashes(strings.ToLower(key))))
		return 1
	}))
	return mt
}

func addField(tb *vm.Table, key string, v vm.Value) {
	old := tb.GetStr(key)
	switch {
	case old.IsNil():
		tb.SetStr(key, v)
	case old.AsTable() != nil:
		l := old.AsTable()
		l.SetInt(l.Len()+1, v)
	default:
		l := vm.NewTable(2, 0)
		l.SetInt(1, old)
		l.SetInt(2, v)
		tb.SetStr(key, l.Value())
	}
}

func maxArg(t *vm.Thread, i, def int) int {
	if t.Arg(i).IsNil() {
		return def
	}
	n := t.CheckInt(i)
	if n < 0 {
		return def
	}
	return n
}

func respGetHeaders(t *vm.Thread) int {
	r := need(t, phasesReq)
	limit := maxArg(t, 1, 100)
	raw := t.ToBool(2)
	tb := vm.NewTable(0, len(r.out)+4)
	n, total, truncated := 0, 0, false
	put := func(k, v string) {
		total++
		if limit > 0 && n >= limit {
			truncated = true
			return
		}
		n++
		if !raw {
			k = strings.ToLower(k)
		}
		addField(tb, k, vm.String(v))
	}
	if ct, ok := r.RespHeader("content-type"); ok {
		put("content-type", ct)
	}
	if r.clen >= 0 {
		put("content-length", strconv.FormatInt(r.clen, 10))
	}
	if r.main.ctx != nil && r.main.ctx.Request.Header.ConnectionClose() || r.connClose {
		put("connection", "close")
	} else {
		put("connection", "keep-alive")
	}
	if r.clen < 0 && r.headerSent && !r.ctxIs10() {
		put("transfer-encoding", "chunked")
	}
	for _, h := range r.out {
		put(h.name, h.value)
	}
	if !raw {
		tb.SetMetatable(r.vm.headersMeta())
	}
	t.PushTable(tb)
	if truncated {
		r.vm.host.debug(r, "lua exceeding response header limit "+strconv.Itoa(total)+" > "+strconv.Itoa(limit))
		t.PushString("truncated")
		return 2
	}
	return 1
}

func (v *VM) headersMeta() *vm.Table {
	if v.hdrMeta == nil {
		v.hdrMeta = headersMeta()
	}
	return v.hdrMeta
}
