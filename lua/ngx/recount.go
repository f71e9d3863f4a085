package ngx

import (
	"slices"

	"sluice/lua/vm"
)

// OnRecount is for vm.Options: what Go code keeps for the run that is counted
// at the moment. The script may have nothing else that leads there.
func OnRecount(t *vm.Thread, visit func(vm.Value)) (bytes int64) {
	v := vmOf(t)
	r := v.cur.req
	if r.main != nil {
		r = r.main
	}
	if v.run != nil {
		v.host.timers.holds(v, v.run.serial, visit)
	}
	return r.keeps(visit)
}

// holds tells what the pending timers hold that a run has made.
func (q *timers) holds(v *VM, serial uint64, visit func(vm.Value)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, tm := range q.heap {
		if tm.vm == v && tm.by == serial {
			visit(tm.fn)
			for _, a := range tm.args {
				visit(a)
			}
		}
	}
}

// Holds tells what a light thread has returned: vm.Holder.
func (tk *task) Holds(visit func(vm.Value)) int64 {
	if tk.light != nil {
		for _, x := range tk.vals {
			visit(x)
		}
	}
	return 0
}

// startSub and endSub keep the tasks of the sub-requests under way.
func (r *Request) startSub(tk *task) { r.subs = append(r.subs, tk) }

func (r *Request) endSub(tk *task) {
	if i := slices.Index(r.subs, tk); i >= 0 {
		r.subs = slices.Delete(r.subs, i, i+1)
	}
}

// keeps tells the values that r and its sub-requests keep, and gives the bytes
// of what else scripts have stored with them.
func (r *Request) keeps(visit func(vm.Value)) (bytes int64) {
	if r.ctxTable != nil {
		visit(r.ctxTable.Value())
	}
	if s := r.seat; s != nil {
		visit(s.thread.Value())
		visit(s.env.Value())
	}
	visit(r.inFilter.chunk)
	if r.entry != nil && r.entry.thread != nil {
		visit(r.entry.thread.Value())
	}
	for _, l := range r.lights {
		visit(l.thread.Value())
		bytes += lightBytes
	}
	bytes += int64(len(r.body.data) + cap(r.body.building) + len(r.args) + len(r.uri))
	for _, hs := range [2][]header{r.in, r.out} {
		for i := range hs {
			bytes += int64(len(hs[i].name) + len(hs[i].value) + 64)
		}
	}
	for _, v := range r.vars {
		bytes += int64(len(v))
	}
	for _, tk := range r.subs {
		if tk.thread != nil {
			visit(tk.thread.Value())
		}
		bytes += tk.req.keeps(visit)
	}
	return bytes
}
