package vm

import (
	"fmt"
	"unsafe"
)

// GoFunc is a function in Go: arguments by t.Arg, results by t.Push; returns how many were pushed.
// It may block. It must not keep t.
type GoFunc func(t *Thread) int

// Function is a Lua closure or a Go function.
type Function struct {
	proto *Proto
	gofn  *goInfo
	env   *Table
	up    []*upval
}

type goInfo struct {
	fn      GoFunc
	name    string
	special special
	padNil  bool // messages call a missing argument nil, as for the functions LuaJIT has in Lua
}

// special marks builtins that execute runs itself, so that coroutines may yield across them.
type special uint8

const (
	spNone special = iota
	spPcall
	spXpcall
	spError
	spResume
	spYield
	spWrap
	spTostring
	spStop // what follows is called as usual; loops know it
	spNext
	spIpairs
)

// Value of the function.
func (f *Function) Value() Value { return Value{p: unsafe.Pointer(f), n: tagFunc} }

// IsGo reports a function written in Go.
func (f *Function) IsGo() bool { return f.proto == nil }

// Env is the function's global table; nil for a Go function.
func (f *Function) Env() *Table { return f.env }

// NewFunc makes a function value; it may be shared by all states.
func NewFunc(name string, f GoFunc) Value {
	return (&Function{gofn: &goInfo{fn: f, name: name}}).Value()
}

// NewClosure is NewFunc for a function that keeps Lua values: those of held
// count as the memory of whoever holds it.
func NewClosure(name string, f GoFunc, held ...Value) Value {
	fn := &Function{gofn: &goInfo{fn: f, name: name}, up: make([]*upval, len(held))}
	for i, v := range held {
		u := &upval{closed: v}
		u.v = &u.closed
		fn.up[i] = u
	}
	return fn.Value()
}

// upval is a variable that closures share: in a stack while open, in closed after.
type upval struct {
	v      *Value
	closed Value
	next   *upval // in the thread's list, by falling index
	index  int
}

// frame is a call in progress.
type frame struct {
	fn   *Function
	base int32 // first register or argument
	ret  int32 // where the caller wants the results
	pc   int32 // next instruction
	nret int32 // how many results; -1: all
	nvar int32 // of a vararg function: arguments passed, all below base
	cont cont
}

// cont says what happens when a frame returns.
type cont uint8

const (
	contLua    cont = iota // results go to a register of the Lua frame below
	contGo                 // results go to a Go caller that catches errors
	contMust               // results go to a Go caller that does not
	contCo                 // the coroutine ends
	contPcall              // the frame below is pcall's or xpcall's
	contCmp                // the result decides the comparison in the frame below
	contCmpNot             // the same, negated
	contConcat             // the result goes on being concatenated
	contIter               // results of an iterator; the loop in the frame below decides
)

type status uint8

const (
	statusSuspended status = iota
	statusRunning
	statusNormal
	statusDead
)

const (
	maxStack    = 65500
	extraStack  = 2000 // for handlers of stack overflow
	slack       = 40   // free room above any frame
	maxNested   = 200
	maxResumes  = 10000
	threadBytes = 1200
)

// Thread is a coroutine (the main one too).
type Thread struct {
	state   *State
	stack   []Value
	frames  []frame
	nf      int // frames in use
	base    int // of the Go function that runs
	top     int // end of its values; of multiple results in a Lua function
	open    *upval
	resumer *Thread
	env     *Table
	data    any

	status     status
	inHandler  bool
	nested     int // Go functions of this thread that wait for Lua code
	overflown  bool
	errVal     Value // of the panic on its way
	handledErr bool  // errVal has been through its handler
	depth      int   // of coroutines resumed within each other
	goDepth    int   // of Go functions that wait for Lua code, over all threads below
	parent     *Thread
}

func newThread(s *State, env *Table) *Thread {
	return &Thread{state: s, env: env, stack: make([]Value, 56), frames: make([]frame, 4)}
}

// Value of the thread.
func (t *Thread) Value() Value { return Value{p: unsafe.Pointer(t), n: tagThread} }

// State the thread belongs to.
func (t *Thread) State() *State { return t.state }

// Parent is the thread that resumed t, nil for one started from Go.
func (t *Thread) Parent() *Thread {
	if t.resumer != nil {
		return t.resumer
	}
	return t.parent
}

// Status is coroutine.status: "suspended", "running", "normal", "dead".
func (t *Thread) Status() string {
	return [...]string{"suspended", "running", "normal", "dead"}[t.status]
}

// Data is free for the runtime: what this thread is to it.
func (t *Thread) Data() any { return t.data }

// SetData keeps d with the thread.
func (t *Thread) SetData(d any) { t.data = d }

// StackSize counts the values there is room for.
func (t *Thread) StackSize() int { return len(t.stack) }

// ensure makes room for n values above index top.
func (t *Thread) ensure(top, n int) {
	if top+n+slack > len(t.stack) {
		t.growStack(top + n + slack)
	}
}

func (t *Thread) growStack(need int) {
	limit := maxStack
	if t.overflown {
		limit += extraStack
	}
	if need > limit {
		if need > maxStack+extraStack {
			limit = maxStack + extraStack
		}
		t.overflown = true
		t.raiseAt("stack overflow")
	}
	size := min(max(2*len(t.stack), need+slack), maxStack+extraStack+256)
	t.charge(int64(size-len(t.stack)) * 16)
	grown := make([]Value, size)
	copy(grown, t.stack)
	t.stack = grown
	for u := t.open; u != nil; u = u.next {
		u.v = &grown[u.index]
	}
}

func (t *Thread) pushFrame() *frame {
	if t.nf == len(t.frames) {
		grown := make([]frame, 2*len(t.frames))
		copy(grown, t.frames)
		t.charge(int64(len(t.frames)) * int64(unsafe.Sizeof(frame{})))
		t.frames = grown
	}
	f := &t.frames[t.nf]
	t.nf++
	return f
}

// freeTop is the first index that the running frame does not use.
func (t *Thread) freeTop() int {
	if t.nf > 0 {
		if f := &t.frames[t.nf-1]; f.fn.proto != nil {
			return int(f.base) + f.fn.proto.frameSize
		}
	}
	return t.top
}

// findUpval gives the open upvalue of a stack index, made when it is not there.
func (t *Thread) findUpval(index int) *upval {
	at := &t.open
	for *at != nil && (*at).index > index {
		at = &(*at).next
	}
	if u := *at; u != nil && u.index == index {
		return u
	}
	u := &upval{v: &t.stack[index], index: index, next: *at}
	*at = u
	return u
}

// closeUpvals takes upvalues from index on out of the stack.
func (t *Thread) closeUpvals(index int) {
	for u := t.open; u != nil && u.index >= index; u = t.open {
		t.open = u.next
		u.closed = clean(*u.v)
		u.v = &u.closed
		u.next = nil
	}
}

// clean drops the stale pointer beside a number, nil or boolean before it is kept.
func clean(v Value) Value {
	if v.n >= minNumber || v.n <= tagTrue {
		v.p = nil
	}
	return v
}

// ---- arguments and results of Go functions

// NArgs is how many arguments the running Go function got.
func (t *Thread) NArgs() int { return t.top - t.base }

// Arg is argument i from 1 on; Nil past the end. Read all arguments before pushing.
func (t *Thread) Arg(i int) Value {
	if k := t.base + i - 1; k < t.top {
		return t.stack[k]
	}
	return Nil
}

// Push adds a result.
func (t *Thread) Push(v Value) {
	if t.top >= len(t.stack) {
		t.growStack(t.top + slack)
	}
	t.stack[t.top] = v
	t.top++
}

// PushString adds a string result that was made for the script, and charges it.
func (t *Thread) PushString(s string) {
	if len(s) >= chargedString {
		t.charge(int64(len(s)))
	}
	t.Push(String(s))
}

// chargedString is the length from which PushString charges: shorter ones are
// mostly constants, and whatever keeps many of them is charged itself.
const chargedString = 40

// PushTable adds a table that was made for the script, and charges it with all
// that is in it.
func (t *Thread) PushTable(tab *Table) {
	t.charge(tab.weight())
	t.Push(tab.Value())
}

// PushNumber adds a number result.
func (t *Thread) PushNumber(f float64) { t.Push(Number(f)) }

// PushBool adds a boolean result.
func (t *Thread) PushBool(b bool) { t.Push(Bool(b)) }

// PushNil adds a nil result.
func (t *Thread) PushNil() { t.Push(Nil) }

// ToBool is the truth of argument i.
func (t *Thread) ToBool(i int) bool { return t.Arg(i).Truthy() }

func (t *Thread) argTypeName(i int) string {
	if i > t.NArgs() && !(t.nf > 0 && t.frames[t.nf-1].fn.gofn != nil && t.frames[t.nf-1].fn.gofn.padNil) {
		return "no value"
	}
	return t.Arg(i).Type().String()
}

// TypeError raises "bad argument #i to 'f' (want expected, got ...)".
func (t *Thread) TypeError(i int, want string) {
	t.ArgError(i, fmt.Sprintf("%s expected, got %s", want, t.argTypeName(i)))
}

// ArgError raises "bad argument #i to 'f' (msg)", or for self "calling 'f' on bad self (msg)".
func (t *Thread) ArgError(i int, msg string) {
	name, kind := "?", ""
	if t.nf > 0 {
		if k, n := t.funcName(t.nf - 1); k != "" {
			kind, name = k, n
		}
	}
	if kind == "method" {
		i--
		if i == 0 {
			t.Errorf("calling '%s' on bad self (%s)", name, msg)
		}
	}
	t.Errorf("bad argument #%d to '%s' (%s)", i, name, msg)
}

// CheckString is argument i as a string; numbers are coerced.
func (t *Thread) CheckString(i int) string {
	v := t.Arg(i)
	if v.isStr() {
		return v.str()
	}
	if v.n >= minNumber {
		return formatNumber(v.float())
	}
	t.TypeError(i, "string")
	return ""
}

// CheckNumber is argument i as a number; strings that read as one are coerced.
func (t *Thread) CheckNumber(i int) float64 {
	v := t.Arg(i)
	if v.n >= minNumber {
		return v.float()
	}
	f, ok := v.ToNumber()
	if !ok {
		t.TypeError(i, "number")
	}
	return f
}

// CheckInt is argument i as an integer, cut towards zero; what no int holds becomes the nearest.
func (t *Thread) CheckInt(i int) int { return toInt(t.CheckNumber(i)) }

func toInt(f float64) int {
	if f >= -1<<62 && f <= 1<<62 {
		return int(f)
	}
	switch {
	case f > 0:
		return 1 << 62
	case f < 0:
		return -1 << 62
	}
	return 0
}

// CheckTable is argument i as a table.
func (t *Thread) CheckTable(i int) *Table {
	v := t.Arg(i)
	if v.n != tagTable {
		t.TypeError(i, "table")
	}
	return v.table()
}

// CheckFunction is argument i, a function.
func (t *Thread) CheckFunction(i int) Value {
	v := t.Arg(i)
	if v.n != tagFunc {
		t.TypeError(i, "function")
	}
	return v
}

// CheckAny is argument i, which must be there.
func (t *Thread) CheckAny(i int) Value {
	if i > t.NArgs() {
		t.ArgError(i, "value expected")
	}
	return t.Arg(i)
}

// OptString is CheckString, or def for none or nil.
func (t *Thread) OptString(i int, def string) string {
	if t.Arg(i).IsNil() {
		return def
	}
	return t.CheckString(i)
}

// OptInt is CheckInt, or def for none or nil.
func (t *Thread) OptInt(i int, def int) int {
	if t.Arg(i).IsNil() {
		return def
	}
	return t.CheckInt(i)
}

// OptNumber is CheckNumber, or def for none or nil.
func (t *Thread) OptNumber(i int, def float64) float64 {
	if t.Arg(i).IsNil() {
		return def
	}
	return t.CheckNumber(i)
}
