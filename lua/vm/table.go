package vm

import (
	"errors"
	"math"
	"unsafe"
)

// Table is a Lua table; every method is raw. It belongs to one State.
//
// Keys 1..len(arr) live in arr. The others live in nodes, in the order of
// insertion: a node that was cleared keeps its place and key until the next
// rebuild, so that a traversal may clear fields. Buckets are chains through
// nodes; head of node b is the first node of bucket b, which saves an array:
//
//	nodes[hash&mask].head -> node -> node.next -> ...
type Table struct {
	arr     []Value
	nodes   []node // length is 0 or a power of two
	used    int32
	absent  uint8 // bit per metamethod known not to be here (see events)
	intKeys bool  // some integer key may be in nodes
	watched bool  // tell Options.OnGlobalWrite of new names
	meta    *Table
}

type node struct {
	key, val Value
	next     int32 // 1 + index of the next node of the chain
	head     int32 // 1 + index of the first node of this bucket
}

const nodeBytes = int64(unsafe.Sizeof(node{}))

// Errors of bad keys, in LuaJIT's words.
var (
	errNilKey  = errors.New("table index is nil")
	errNaNKey  = errors.New("table index is NaN")
	errBadNext = errors.New("invalid key to 'next'")
)

// NewTable makes a table with room for narr array elements and nrec others.
func NewTable(narr, nrec int) *Table {
	var t *Table
	switch n := nodeCap(nrec); n {
	case 0:
		t = &Table{}
	case smallNodes:
		small := new(smallTable)
		t = &small.Table
		t.nodes = small.own[:]
	default:
		t = &Table{nodes: make([]node, n)}
	}
	if narr > 0 {
		t.arr = make([]Value, 0, narr)
	}
	return t
}

// smallTable is a table and its nodes in one piece of memory: what most tables of a request are,
// a context, options, a record.
type smallTable struct {
	Table
	own [smallNodes]node
}

const smallNodes = 4

func nodeCap(n int) int {
	c := smallNodes
	if n <= 2 {
		return max(n, 0)
	}
	for c < n {
		c *= 2
	}
	return c
}

// Value of the table.
func (t *Table) Value() Value { return Value{p: unsafe.Pointer(t), n: tagTable} }

// Metatable may be nil.
func (t *Table) Metatable() *Table { return t.meta }

// SetMetatable replaces it; nil takes it away.
func (t *Table) SetMetatable(m *Table) { t.meta = m }

// weight is what the table takes with all strings and tables in it, for one
// that was just made and refers to nothing older.
func (t *Table) weight() int64 {
	n := tableBytes + t.footprint()
	add := func(v Value) {
		if v.isStr() {
			n += int64(len(v.str()))
		} else if v.n == tagTable {
			n += v.table().weight()
		}
	}
	for _, v := range t.arr {
		add(v)
	}
	for i := range t.nodes[:t.used] {
		add(t.nodes[i].key)
		add(t.nodes[i].val)
	}
	return n
}

// footprint is what the table has allocated, for the memory budget.
func (t *Table) footprint() int64 {
	return int64(cap(t.arr))*16 + int64(len(t.nodes))*nodeBytes
}

// mix scatters a word under the key of the process.
func mix(x uint64) uint32 {
	x = (x ^ wordSeed) * 0x9E3779B97F4A7C15
	x = (x ^ x>>29) * 0xBF58476D1CE4E5B9
	return uint32(x >> 32)
}

func hashValue(k Value) uint32 {
	if k.n >= minNumber {
		return mix(k.n)
	}
	switch k.n & tagMask {
	case tagStr:
		return hashString(k.str())
	case tagFalse, tagTrue:
		return uint32(k.n)
	}
	return mix(uint64(uintptr(k.p)))
}

// findStr is the node of a string key whose hash is h.
func (t *Table) findStr(k Value, h uint32) *node {
	if len(t.nodes) == 0 {
		return nil
	}
	base := unsafe.Pointer(unsafe.SliceData(t.nodes))
	i := (*node)(unsafe.Add(base, uintptr(h&uint32(len(t.nodes)-1))*unsafe.Sizeof(node{}))).head
	for i != 0 {
		n := (*node)(unsafe.Add(base, uintptr(i-1)*unsafe.Sizeof(node{})))
		if n.key.n == k.n {
			if n.key.p == k.p {
				return n
			}
			if n.key.str() == k.str() {
				n.key.p = k.p // the same site will find it by its address
				return n
			}
		}
		i = n.next
	}
	return nil
}

// find is the node of any normalised key outside arr.
func (t *Table) find(k Value) *node {
	if len(t.nodes) == 0 {
		return nil
	}
	if k.isStr() {
		return t.findStr(k, hashString(k.str()))
	}
	for i := t.nodes[hashValue(k)&uint32(len(t.nodes)-1)].head; i != 0; {
		n := &t.nodes[i-1]
		if n.key.n == k.n && (n.key.p == k.p || k.n >= minNumber || k.n <= tagTrue) {
			return n
		}
		i = n.next
	}
	return nil
}

// arrayIndex gives the 0-based place in arr a number would have.
func arrayIndex(f float64) (int, bool) {
	i := int(f)
	return i - 1, float64(i) == f
}

// normNumber makes -0 the key 0.
func normNumber(k Value) Value {
	if k.float() == 0 {
		return num(0)
	}
	return k
}

// Get is rawget.
func (t *Table) Get(k Value) Value {
	if k.n >= minNumber {
		f := k.float()
		if i, ok := arrayIndex(f); ok {
			if uint(i) < uint(len(t.arr)) {
				return t.arr[i]
			}
			if !t.intKeys {
				return Nil
			}
			k = normNumber(k)
		}
	}
	if n := t.find(k); n != nil {
		return n.val
	}
	return Nil
}

// GetInt is rawget of an integer key.
func (t *Table) GetInt(i int) Value {
	if uint(i-1) < uint(len(t.arr)) {
		return t.arr[i-1]
	}
	if !t.intKeys {
		return Nil
	}
	return t.Get(Int(i))
}

// GetStr is rawget of a string key.
func (t *Table) GetStr(k string) Value {
	if len(t.nodes) == 0 {
		return Nil
	}
	if n := t.findStr(String(k), hashString(k)); n != nil {
		return n.val
	}
	return Nil
}

// Set is rawset; the error is about a nil or NaN key.
func (t *Table) Set(k, v Value) error {
	if k.n >= minNumber {
		f := k.float()
		if i, ok := arrayIndex(f); ok {
			t.SetInt(i+1, v)
			return nil
		}
		if f != f {
			return errNaNKey
		}
	} else if k.n == tagNil {
		return errNilKey
	}
	t.setHash(k, v)
	return nil
}

// SetInt is rawset of an integer key.
func (t *Table) SetInt(i int, v Value) {
	if uint(i-1) < uint(len(t.arr)) {
		t.arr[i-1] = v
		return
	}
	if i == len(t.arr)+1 && t.appendArr(v) {
		return
	}
	if v.n != tagNil {
		t.intKeys = true
	} else if !t.intKeys {
		return
	}
	t.setHash(Int(i), v)
}

// SetStr is rawset of a string key.
func (t *Table) SetStr(k string, v Value) { t.setHash(String(k), v) }

func (t *Table) setHash(k, v Value) {
	t.absent = 0
	if n := t.find(k); n != nil {
		n.val = v
		return
	}
	if v.n != tagNil {
		t.insert(k, v)
	}
}

// insert adds a key that is not there.
func (t *Table) insert(k, v Value) {
	if int(t.used) == len(t.nodes) {
		t.rehash()
	}
	n := &t.nodes[t.used]
	t.used++
	b := &t.nodes[hashValue(k)&uint32(len(t.nodes)-1)]
	n.key, n.val, n.next = k, v, b.head
	b.head = t.used
}

// rehash drops cleared nodes and doubles when few were cleared.
func (t *Table) rehash() {
	live := 0
	for i := range t.nodes[:t.used] {
		if t.nodes[i].val.n != tagNil {
			live++
		}
	}
	size := len(t.nodes)
	if live*4 >= size*3 {
		size = nodeCap(max(size*2, 1))
	}
	old := t.nodes[:t.used]
	t.nodes = make([]node, size)
	t.used = 0
	for i := range old {
		if old[i].val.n != tagNil {
			t.insert(old[i].key, old[i].val)
		}
	}
}

// appendArr sets key len(arr)+1, unless arr has grown too empty to grow on.
func (t *Table) appendArr(v Value) bool {
	if v.n == tagNil {
		return len(t.nodes) == 0 || !t.intKeys
	}
	if t.intKeys {
		if n := t.find(Int(len(t.arr) + 1)); n != nil {
			n.val = Nil
		}
	}
	if len(t.arr) == cap(t.arr) {
		if len(t.arr) >= 32 && t.spill() {
			return false
		}
		grown := make([]Value, len(t.arr), max(4, 2*cap(t.arr)))
		copy(grown, t.arr)
		t.arr = grown
	}
	t.arr = append(t.arr, v)
	for t.intKeys {
		n := t.find(Int(len(t.arr) + 1))
		if n == nil || n.val.n == tagNil {
			break
		}
		t.arr = append(t.arr, n.val)
		n.val = Nil
	}
	return true
}

// spill moves a mostly cleared arr (a queue's) to the nodes.
func (t *Table) spill() bool {
	live := 0
	for i := range t.arr {
		if t.arr[i].n != tagNil {
			live++
		}
	}
	if live*2 > len(t.arr) {
		return false
	}
	best, seen, next := 0, 0, 1
	for i := range t.arr {
		if t.arr[i].n != tagNil {
			seen++
		}
		if i+1 == next {
			if seen*2 > next {
				best = next
			}
			next *= 2
		}
	}
	old := t.arr
	t.arr = append(make([]Value, 0, best), old[:best]...)
	t.intKeys = true
	for i := best; i < len(old); i++ {
		if old[i].n != tagNil {
			t.setHash(Int(i+1), old[i])
		}
	}
	return true
}

// Len is a border: what # gives without metamethods.
func (t *Table) Len() int {
	hi := len(t.arr)
	if hi > 0 && t.arr[hi-1].n == tagNil {
		lo := 0
		for hi-lo > 1 {
			if mid := (lo + hi) >> 1; t.arr[mid-1].n == tagNil {
				hi = mid
			} else {
				lo = mid
			}
		}
		return lo
	}
	if !t.intKeys {
		return hi
	}
	lo := hi
	hi++
	for t.GetInt(hi).n != tagNil {
		lo = hi
		if hi > math.MaxInt32 {
			return lo
		}
		hi *= 2
	}
	for hi-lo > 1 {
		if mid := (lo + hi) >> 1; t.GetInt(mid).n == tagNil {
			hi = mid
		} else {
			lo = mid
		}
	}
	return lo
}

// nextAt gives the first entry at or after place i of the traversal and the place after it; -1 at the end.
func (t *Table) nextAt(i int) (int, Value, Value) {
	for ; i < len(t.arr); i++ {
		if v := t.arr[i]; v.n != tagNil {
			return i + 1, Int(i + 1), v
		}
	}
	for j := i - len(t.arr); j < int(t.used); j++ {
		if n := &t.nodes[j]; n.val.n != tagNil {
			return j + len(t.arr) + 1, n.key, n.val
		}
	}
	return -1, Nil, Nil
}

// place is where the traversal goes on after key k; -1 when k is no key.
func (t *Table) place(k Value) int {
	if k.n == tagNil {
		return 0
	}
	if k.n >= minNumber {
		if i, ok := arrayIndex(k.float()); ok && uint(i) < uint(len(t.arr)) {
			return i + 1
		}
		k = normNumber(k)
	}
	n := t.find(k)
	if n == nil {
		if k.n == num(0).n && len(t.arr) > 0 { // LuaJIT has a place for it before 1
			return 0
		}
		return -1
	}
	i := (uintptr(unsafe.Pointer(n)) - uintptr(unsafe.Pointer(unsafe.SliceData(t.nodes)))) / unsafe.Sizeof(node{})
	return len(t.arr) + int(i) + 1
}

// Size counts the entries, perhaps with some that were set to nil.
func (t *Table) Size() int { return len(t.arr) + int(t.used) }

// Next is the traversal: Nil starts it, ok is false at its end.
func (t *Table) Next(k Value) (key, val Value, ok bool, err error) {
	i := t.place(k)
	if i < 0 {
		return Nil, Nil, false, errBadNext
	}
	i, key, val = t.nextAt(i)
	return key, val, i >= 0, nil
}

// Clear empties the table and keeps its room.
func (t *Table) Clear() {
	clear(t.arr)
	t.arr = t.arr[:0]
	if t.used > 0 {
		clear(t.nodes)
		t.used = 0
	}
	t.absent = 0
	t.intKeys = false
}

// clone copies a constructor's template.
func (t *Table) clone() *Table {
	c := &Table{used: t.used, intKeys: t.intKeys}
	if cap(t.arr) > 0 {
		c.arr = make([]Value, len(t.arr), cap(t.arr))
		copy(c.arr, t.arr)
	}
	if len(t.nodes) > 0 {
		c.nodes = make([]node, len(t.nodes))
		copy(c.nodes, t.nodes)
	}
	return c
}
