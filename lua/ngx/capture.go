package ngx

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"sluice/lua/vm"
)

// maxSubDepth bounds sub-requests made by sub-requests.
const maxSubDepth = 50

func apiCapture(t *vm.Thread) int {
	n := t.NArgs()
	if n != 1 && n != 2 {
		t.Errorf("expecting one or two arguments")
	}
	r := need(t, phasesRun)
	sub := r.newSub(t, 0, t.CheckString(1), t.Arg(2))
	r.countSubs(t, 1)
	old := r.vm.cur
	old.subs++
	tk := newTask(r.vm, sub)
	r.startSub(tk)
	r.vm.defers(old)
	old.child = tk
	r.vm.cur = tk
	sub.serveSub(nil)
	r.endSub(tk)
	old.child = nil
	r.vm.cur = old
	old.subs--
	old.check(t)
	r.vm.enter(old)
	r.endWith(t, sub)
	t.PushTable(sub.result())
	return 1
}

func apiCaptureMulti(t *vm.Thread) int {
	if n := t.NArgs(); n != 1 {
		t.Errorf("only one argument is expected, but got %d", n)
	}
	list := t.CheckTable(1)
	r := need(t, phasesRun)
	n := list.Len()
	if n == 0 {
		t.Errorf("at least one subrequest should be specified")
	}
	if max, ok := arrayMax(list); !ok || max != n {
		t.Errorf("only array-like tables are allowed")
	}
	subs := make([]*Request, n)
	for i := range subs {
		q := list.GetInt(i + 1)
		qt := q.AsTable()
		if qt == nil {
			t.Errorf("the query argument %d is not a table, but a %s", i+1, q.Type())
		}
		if l := qt.Len(); l != 1 && l != 2 {
			t.Errorf("query argument %d expecting one or two arguments", i+1)
		}
		uri, ok := qt.GetInt(1).ToStringValue()
		if !ok {
			t.ArgError(1, "string expected, got "+qt.GetInt(1).Type().String())
		}
		subs[i] = r.newSub(t, i, uri, qt.GetInt(2))
	}
	r.countSubs(t, n)
	v := r.vm
	cur := v.cur
	left := n
	cur.subs += n
	tasks := make([]*task, n)
	for i, s := range subs {
		tasks[i] = newTask(v, s)
		r.startSub(tasks[i])
	}
	v.defers(cur)
	for i, s := range subs {
		tk := tasks[i]
		v.mu.Lock()
		v.ready = append(v.ready, cur)
		v.mu.Unlock()
		go func() { // takes over the lock
			v.enter(tk)
			s.serveSub(nil)
			r.endSub(tk)
			if left--; left == 0 {
				v.post(cur)
			}
			v.release()
		}()
		<-cur.wake
		v.enter(cur)
	}
	if left > 0 {
		v.prepark(cur)
		v.park(cur)
	}
	cur.subs -= n
	cur.check(t)
	r.endWith(t, subs...)
	for _, s := range subs {
		t.PushTable(s.result())
	}
	return n
}

// endWith ends the script of r where one of its sub-requests ended in a way
// that is r's end too.
func (r *Request) endWith(t *vm.Thread, subs ...*Request) {
	for _, s := range subs {
		switch {
		case s.spent:
			t.Abort(errSpent)
		case s.closes:
			r.stop(t, signal{kind: sigExit, code: 444})
		}
	}
}

func (r *Request) countSubs(t *vm.Thread, n int) {
	if r.run == nil {
		return
	}
	r.run.subs += n
	if over(r.run.subs, r.run.budget.Subrequests) {
		breach(t, "subrequests")
	}
}

// newSub makes a sub-request from what a script asked for.
func (r *Request) newSub(t *vm.Thread, index int, uri string, opt vm.Value) *Request {
	o := opt.AsTable()
	if o == nil && !opt.IsNil() {
		t.Errorf("expecting table as the 2nd argument for subrequest %d, but got %s", index, opt.Type())
	}
	args := ""
	if i := strings.IndexByte(uri, '?'); i >= 0 {
		uri, args = uri[:i], uri[i+1:]
	}
	if uri == "" || unsafeURI(uri) {
		t.Errorf("unsafe uri in argument #1: %s", uri)
	}
	sub := &Request{vm: r.vm, run: r.run, main: r.main, parent: r, ctx: r.ctx, server: r.server,
		uri: uri, argsKnown: true, internal: true, clen: -1, start: r.start, method: "GET",
		subDepth: r.subDepth + 1, hostVar: r.hostVar}
	if sub.subDepth > maxSubDepth {
		r.vm.host.log(r, LevelErr, fmt.Sprintf("lua subrequests cycle while processing \"%s\"", uri))
		t.Errorf("failed to issue subrequest: -1")
	}
	sub.inKnown = true
	sub.in = append([]header(nil), r.headers()...)
	var body vm.Value
	forward := false
	if o != nil {
		switch a := o.GetStr("args"); a.Type() {
		case vm.TypeNil:
		case vm.TypeTable:
			args = joinArgs(args, encodeArgs(t, a.AsTable()))
		case vm.TypeString, vm.TypeNumber:
			s, _ := a.ToStringValue()
			args = joinArgs(args, s)
		default:
			t.Errorf("Bad args option value")
		}
		r.subOptions(t, sub, o)
		body = o.GetStr("body")
		forward = o.GetStr("always_forward_body").Truthy()
		if m := o.GetStr("method"); !m.IsNil() {
			f, ok := m.AsNumber()
			if !ok {
				t.Errorf("Bad http request method")
			}
			name, ok := methodBits[int(f)]
			if !ok {
				t.Errorf("unsupported HTTP method: %d", int(f))
			}
			sub.method = name
		}
	}
	sub.args = args
	if sub.subArgsSet {
		sub.args = sub.subArgs
	}
	sub.subBody(t, body, forward)
	return sub
}

func joinArgs(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "&" + b
}

// subOptions are the options that concern variables, headers and ngx.ctx.
func (r *Request) subOptions(t *vm.Thread, sub *Request, o *vm.Table) {
	flag := func(name string) bool {
		v := o.GetStr(name)
		if v.IsNil() {
			return false
		}
		if v.Type() != vm.TypeBoolean {
			t.Errorf("Bad %s option value", name)
		}
		return v.Truthy()
	}
	vars := o.GetStr("vars")
	if !vars.IsNil() && vars.AsTable() == nil {
		t.Errorf("Bad vars option value")
	}
	switch {
	case flag("share_all_vars"):
		if r.vars == nil {
			r.vars = make(map[string]string)
		}
		sub.vars = r.vars
	case flag("copy_all_vars"):
		sub.vars = maps.Clone(r.vars)
	}
	if tb := vars.AsTable(); tb != nil {
		each(tb, func(k, v vm.Value) {
			name, ok := k.AsString()
			if !ok {
				t.Errorf("attempt to use a non-string key in the \"vars\" option table")
			}
			s, ok := v.ToStringValue()
			if !ok {
				t.Errorf("attempt to use bad variable value type %s", v.Type())
			}
			r.setSubVar(t, sub, strings.ToLower(name), s)
		})
	}
	if h := o.GetStr("headers"); !h.IsNil() {
		tb := h.AsTable()
		if tb == nil {
			t.Errorf("Bad headers option value")
		}
		each(tb, func(k, v vm.Value) {
			if l := v.AsTable(); l != nil {
				var vals []string
				for i := 1; i <= l.Len(); i++ {
					vals = append(vals, t.ToString(l.GetInt(i)))
				}
				sub.SetHeader(t.ToString(k), vals...)
				return
			}
			sub.SetHeader(t.ToString(k), t.ToString(v))
		})
	}
	if c := o.GetStr("ctx"); !c.IsNil() {
		if c.AsTable() == nil {
			t.Errorf("Bad ctx option value type %s, expected a Lua table", c.Type())
		}
		sub.ctxTable = c.AsTable()
	}
}

// setSubVar sets a variable of a sub-request; only what exists can be set.
func (r *Request) setSubVar(t *vm.Thread, sub *Request, name, value string) {
	if name == "args" {
		sub.subArgs, sub.subArgsSet = value, true
		return
	}
	if _, ok := r.vars[name]; ok {
		sub.SetVar(name, value)
		return
	}
	msg := "variable \"" + name + "\" cannot be assigned a value (maybe you forgot to define it first?) "
	if _, _, known := r.builtin(name); known {
		msg = "variable \"" + name + "\" not changeable"
	}
	r.vm.host.log(r, LevelErr, msg)
	t.Errorf("failed to adjust the subrequest: -1")
}

func each(tb *vm.Table, f func(k, v vm.Value)) {
	k := vm.Nil
	for {
		key, v, more, err := tb.Next(k)
		if err != nil || !more {
			return
		}
		k = key
		f(key, v)
	}
}

// subBody gives a sub-request its body: its own, or the parent's.
func (r *Request) subBody(t *vm.Thread, body vm.Value, forward bool) {
	if !body.IsNil() {
		s, ok := body.ToStringValue()
		if !ok {
			t.Errorf("Bad http request body")
		}
		r.body = reqBody{data: s, set: true, read: true}
		r.SetHeader("Content-Length", strconv.Itoa(len(s)))
		return
	}
	p := r.parent
	if forward || r.method == "PUT" || r.method == "POST" {
		r.body = reqBody{data: p.body.data, file: p.body.file, set: true, read: p.body.read}
		return
	}
	r.body = reqBody{set: true, read: true}
	r.SetHeader("Content-Length")
	r.SetHeader("Transfer-Encoding")
}

// serveSub runs a sub-request. Its light threads and errors are its own.
func (r *Request) serveSub(loc *Location) {
	r.loc = loc
	if r.server == nil {
		r.finalize(404)
		return
	}
	r.handle()
	r.killLights()
	r.runEndFuncs()
}

// result is what ngx.location.capture gives.
func (r *Request) result() *vm.Table {
	res := vm.NewTable(0, 4)
	status := r.status
	if status == 0 {
		status = 200
	}
	if r.drop {
		status = 500
	}
	res.SetStr("status", vm.Int(status))
	res.SetStr("truncated", vm.Bool(r.drop || r.noEOF || r.filterDead && r.connClose))
	res.SetStr("body", vm.String(string(r.buf)))
	hs := vm.NewTable(0, len(r.out)+2)
	for _, h := range r.out {
		addField(hs, h.name, vm.String(h.value))
	}
	if !r.ctypeSet && r.headerSent {
		r.ctype = r.DefaultType()
	}
	if r.ctype != "" {
		hs.SetStr("Content-Type", vm.String(r.ctype))
	}
	if r.clen >= 0 {
		hs.SetStr("Content-Length", vm.String(strconv.FormatInt(r.clen, 10)))
	}
	hs.SetMetatable(r.vm.subHeaderMeta())
	res.SetStr("header", hs.Value())
	return res
}

func (v *VM) subHeaderMeta() *vm.Table {
	if v.subMeta != nil {
		return v.subMeta
	}
	mt := vm.NewTable(0, 1)
	mt.SetStr("__index", vm.NewFunc("__index", func(t *vm.Thread) int {
		tb := t.Arg(1).AsTable()
		key, ok := t.Arg(2).AsString()
		found := vm.Nil
		if tb != nil && ok {
			want := dashes(key)
			each(tb, func(k, val vm.Value) {
				if s, _ := k.AsString(); strings.EqualFold(s, want) {
					found = val
				}
			})
		}
		t.Push(found)
		return 1
	}))
	v.subMeta = mt
	return mt
}

func itoa(n int) string { return fmt.Sprintf("%d", n) }
