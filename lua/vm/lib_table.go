package vm

import "fmt"

var tableLib = library([]libFunc{
	{"clear", tabClear}, {"concat", tabConcat}, {"foreach", tabForeach}, {"foreachi", tabForeachi}, {"getn", tabGetn},
	{"insert", tabInsert}, {"maxn", tabMaxn}, {"move", tabMove}, {"new", tabNew}, {"remove", tabRemove}, {"sort", tabSort},
}, nil)

func tabNew(t *Thread) int {
	a, h := t.CheckInt(1), t.CheckInt(2)
	t.charge(tableBytes + int64(min(max(a, 0), 1<<28))*16 + int64(min(max(h, 0), 1<<26))*nodeBytes)
	if a > 1<<26 || h > 1<<24 {
		t.callerError("table overflow")
	}
	t.Push(NewTable(max(a, 0), max(h, 0)).Value())
	return 1
}

func tabClear(t *Thread) int {
	tab := t.CheckTable(1)
	t.work(int64(len(tab.arr)+len(tab.nodes)) >> 5)
	tab.Clear()
	return 0
}

func tabGetn(t *Thread) int {
	t.PushNumber(float64(t.CheckTable(1).Len()))
	return 1
}

func tabMaxn(t *Thread) int {
	tab := t.CheckTable(1)
	m := 0.0
	t.work(int64(len(tab.arr)+len(tab.nodes)) >> 2)
	for i := len(tab.arr); i > 0; i-- {
		if tab.arr[i-1].n != tagNil {
			m = float64(i)
			break
		}
	}
	for i := range tab.nodes[:tab.used] {
		if n := &tab.nodes[i]; n.val.n != tagNil && n.key.isNum() && n.key.float() > m {
			m = n.key.float()
		}
	}
	t.PushNumber(m)
	return 1
}

func (t *Thread) setInt(tab *Table, i int, v Value) {
	if uint(i-1) < uint(len(tab.arr)) {
		tab.arr[i-1] = clean(v)
		return
	}
	before := tab.footprint()
	tab.SetInt(i, clean(v))
	if d := tab.footprint() - before; d > 0 {
		t.charge(d)
	}
}

func tabInsert(t *Thread) int {
	tab := t.CheckTable(1)
	i := tab.Len() + 1
	switch t.NArgs() {
	case 2:
		t.setInt(tab, i, t.Arg(2))
	case 3:
		n := t.CheckInt(2)
		if i > n {
			t.work(int64(min(i-n, 1<<40)) >> 2)
		}
		for ; i > n; i-- {
			t.setInt(tab, i, tab.GetInt(i-1))
			if i&0xfff == 0 {
				t.work(0)
			}
		}
		t.setInt(tab, n, t.Arg(3))
	default:
		t.callerError("wrong number of arguments to 'insert'")
	}
	return 0
}

func tabRemove(t *Thread) int {
	tab := t.CheckTable(1)
	n := tab.Len()
	if t.Arg(2).IsNil() {
		if n == 0 {
			return 0
		}
		v := tab.GetInt(n)
		tab.SetInt(n, Nil)
		t.Push(v)
		return 1
	}
	f := t.CheckNumber(2)
	if !(f >= 1 && f <= float64(n)) {
		return 0
	}
	pos := int(f)
	if float64(pos) != f { // LuaJIT shows one and removes another
		t.Push(tab.GetInt(pos))
		tab.SetInt(n, Nil)
		return 1
	}
	v := tab.GetInt(pos)
	if n <= len(tab.arr) {
		copy(tab.arr[pos-1:n-1], tab.arr[pos:n])
	} else {
		for i := pos + 1; i <= n; i++ {
			tab.SetInt(i-1, tab.GetInt(i))
		}
	}
	t.work(int64(n-pos) >> 4)
	tab.SetInt(n, Nil)
	t.Push(v)
	return 1
}

func tabMove(t *Thread) int {
	a1 := t.CheckTable(1)
	f, e, to := t.CheckInt(2), t.CheckInt(3), t.CheckInt(4)
	a2 := a1
	if !t.Arg(5).IsNil() {
		a2 = t.CheckTable(5)
	}
	if e >= f {
		d := to - f
		move := func(i int) {
			t.setInt(a2, i+d, a1.GetInt(i))
			if i&63 == 0 {
				t.work(64)
			}
		}
		if to > e || to <= f || a1 != a2 {
			for i := f; i <= e; i++ {
				move(i)
			}
		} else {
			for i := e; i >= f; i-- {
				move(i)
			}
		}
	}
	t.Push(a2.Value())
	return 1
}

func tabForeach(t *Thread) int {
	tab := t.CheckTable(1)
	f := t.CheckFunction(2)
	key := Nil
	for {
		k, v, ok, err := tab.Next(key)
		if err != nil {
			t.Raise(String(err.Error()))
		}
		if !ok {
			return 0
		}
		if r := first(t.MustCall(f, k, v)); !r.IsNil() {
			t.Push(r)
			return 1
		}
		key = k
	}
}

func tabForeachi(t *Thread) int {
	tab := t.CheckTable(1)
	f := t.CheckFunction(2)
	for i, n := 1, tab.Len(); i <= n; i++ {
		if r := first(t.MustCall(f, Int(i), tab.GetInt(i))); !r.IsNil() {
			t.Push(r)
			return 1
		}
	}
	return 0
}

func tabConcat(t *Thread) int {
	tab := t.CheckTable(1)
	sep := t.OptString(2, "")
	i := t.OptInt(3, 1)
	e := 0
	if t.Arg(4).IsNil() {
		e = tab.Len()
	} else {
		e = t.CheckInt(4)
	}
	if i > e {
		t.PushString("")
		return 1
	}
	total := 0
	for k := i; k <= e; k++ {
		v := tab.GetInt(k)
		switch {
		case v.isStr():
			total += len(v.str())
		case v.isNum():
			total += 24
		default:
			t.callerError(fmt.Sprintf("invalid value (%s) at index %d in table for 'concat'", v.Type(), k))
		}
		total += len(sep)
		if total > maxString {
			t.callerError("string length overflow")
		}
		if (k-i)&0xff == 0xff {
			t.work(64)
		}
	}
	t.chargeString(total)
	buf := make([]byte, 0, total)
	for k := i; ; k++ {
		if v := tab.GetInt(k); v.isStr() {
			buf = append(buf, v.str()...)
		} else {
			buf = appendNumber(buf, v.float())
		}
		if k >= e {
			break
		}
		buf = append(buf, sep...)
	}
	t.Push(String(bytesString(buf)))
	return 1
}

// sorter is LuaJIT's quicksort: the order of comparisons shows through the comparator.
type sorter struct {
	t    *Thread
	tab  *Table
	less Value
	args [2]Value
}

func (s *sorter) lt(a, b Value) bool {
	s.t.pace(4)
	if s.less.IsNil() {
		if a.isNum() && b.isNum() {
			return a.float() < b.float()
		}
		return s.t.Less(a, b)
	}
	s.args = [2]Value{a, b}
	return s.t.callBool(s.less, s.args[:])
}

func (s *sorter) get(i int) Value    { return s.tab.GetInt(i) }
func (s *sorter) set(i int, v Value) { s.tab.SetInt(i, v) }

func (s *sorter) sort(l, u int) {
	for l < u {
		a, b := s.get(l), s.get(u)
		if s.lt(b, a) {
			s.set(l, b)
			s.set(u, a)
		}
		if u-l == 1 {
			return
		}
		i := (l + u) / 2
		p, lo := s.get(i), s.get(l)
		if s.lt(p, lo) {
			s.set(i, lo)
			s.set(l, p)
		} else if hi := s.get(u); s.lt(hi, p) {
			s.set(i, hi)
			s.set(u, p)
		}
		if u-l == 2 {
			return
		}
		p = s.get(i)
		q := s.get(u - 1)
		s.set(i, q)
		s.set(u-1, p)
		i = l
		j := u - 1
		for {
			var x, y Value
			for {
				i++
				if x = s.get(i); !s.lt(x, p) {
					break
				}
				if i >= u {
					s.t.callerError("invalid order function for sorting")
				}
			}
			for {
				j--
				if y = s.get(j); !s.lt(p, y) {
					break
				}
				if j <= l {
					s.t.callerError("invalid order function for sorting")
				}
			}
			if j < i {
				break
			}
			s.set(i, y)
			s.set(j, x)
		}
		x, y := s.get(u-1), s.get(i)
		s.set(u-1, y)
		s.set(i, x)
		if i-l < u-i {
			s.sort(l, i-1)
			l = i + 1
		} else {
			s.sort(i+1, u)
			u = i - 1
		}
	}
}

func tabSort(t *Thread) int {
	s := sorter{t: t, tab: t.CheckTable(1), less: t.Arg(2)}
	if !s.less.IsNil() {
		t.CheckFunction(2)
	}
	s.sort(1, s.tab.Len())
	return 0
}
