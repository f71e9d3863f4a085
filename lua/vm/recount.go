package vm

import "math"

// recount finds out what is really held when the sum of all that was charged passes what was
// granted: it walks everything scripts can reach from the state, as a collector's mark phase
// does. The cost is paid once per grant's worth of allocation. What is about to be made
// (pending bytes) is charged already but not reachable yet.
func (t *Thread) recount(pending int64) {
	s := t.state
	if pending > s.memMax {
		t.breach("memory")
	}
	m := &marker{seen: make(map[any]struct{}), limit: s.memLimit}
	m.table(s.globals)
	m.table(s.strMeta)
	m.table(s.regTable)
	m.table(s.loaded)
	m.thread(s.main)
	m.thread(t)
	if f := s.opts.OnRecount; f != nil {
		m.bytes += f(t, m.push)
	}
	m.walk()
	s.mem = m.bytes + pending
	// A half should be free again, and a quarter must be, or recounts would come ever closer together.
	if s.mem > s.memLimit/2 && !t.granted() && s.mem > s.memLimit-s.memLimit/4 {
		t.breach("memory")
	}
	t.work(int64(len(m.seen)))
}

// Held estimates what the state itself holds: its globals and loaded modules.
func (s *State) Held() int64 {
	m := &marker{seen: make(map[any]struct{}), limit: math.MaxInt64}
	m.table(s.globals)
	m.table(s.strMeta)
	m.table(s.regTable)
	m.table(s.loaded)
	m.walk()
	return m.bytes
}

func (m *marker) walk() {
	for len(m.work) > 0 && m.bytes <= m.limit {
		v := m.work[len(m.work)-1]
		m.work = m.work[:len(m.work)-1]
		m.value(v)
	}
}

// Holder is what Userdata.Data or Thread.Data may be when it keeps Lua values
// or memory of its own: Holds tells the values to visit, and gives the bytes.
type Holder interface {
	Holds(visit func(Value)) (bytes int64)
}

type marker struct {
	seen  map[any]struct{}
	work  []Value
	bytes int64
	limit int64
}

func (m *marker) first(p any) bool {
	if _, ok := m.seen[p]; ok {
		return false
	}
	m.seen[p] = struct{}{}
	return true
}

func (m *marker) push(v Value) {
	if v.n < minNumber && v.n&tagMask >= tagStr {
		m.work = append(m.work, v)
	}
}

func (m *marker) value(v Value) {
	switch v.n & tagMask {
	case tagStr:
		if n := v.n >> strShift; n > 0 && m.first(v.p) {
			m.bytes += int64(n) + 16
		}
	case tagTable:
		m.table(v.table())
	case tagFunc:
		if f := v.fn(); m.first(f) {
			m.bytes += funcBytes
			m.table(f.env)
			for _, u := range f.up {
				if u != nil && m.first(u) {
					m.bytes += upvalBytes
					m.push(*u.v)
				}
			}
		}
	case tagUserdata:
		if u := v.ud(); m.first(u) {
			m.bytes += 48
			m.table(u.Meta)
			if h, ok := u.Data.(Holder); ok {
				m.bytes += h.Holds(m.push)
			}
		}
	case tagThread:
		m.thread(v.thread())
	}
}

func (m *marker) table(t *Table) {
	if t == nil || !m.first(t) {
		return
	}
	m.bytes += tableBytes + t.footprint()
	if t.meta != nil {
		m.push(t.meta.Value())
	}
	for _, v := range t.arr {
		m.push(v)
	}
	for i := range t.nodes[:t.used] {
		if n := &t.nodes[i]; n.val.n != tagNil {
			m.push(n.key)
			m.push(n.val)
		}
	}
}

func (m *marker) thread(t *Thread) {
	if t == nil || !m.first(t) {
		return
	}
	m.bytes += threadBytes + int64(len(t.stack))*16
	m.table(t.env)
	if h, ok := t.data.(Holder); ok {
		m.bytes += h.Holds(m.push)
	}
	for _, v := range t.stack[:min(max(t.freeTop(), t.top), len(t.stack))] {
		m.push(v)
	}
	for i := range t.frames[:t.nf] {
		m.push(t.frames[i].fn.Value())
	}
	if t.resumer != nil {
		m.push(t.resumer.Value())
	}
	if t.parent != nil {
		m.push(t.parent.Value())
	}
}
