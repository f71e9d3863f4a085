package vm

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Options of a state.
type Options struct {
	Stdout           io.Writer                                  // print and io.write; zero value means they are discarded
	Now              func() time.Time                           // zero value means time.Now
	Location         *time.Location                             // of os.date; zero value means time.Local
	Getenv           func(name string) (string, bool)           // zero value means os.getenv gives nil
	ReadFile         func(path string) ([]byte, error)          // for require, dofile, loadfile; zero value means no file exists
	PackagePath      string                                     // package.path; zero value means "./?.lua"
	Seed             uint64                                     // of math.random; zero value means LuaJIT's own start
	OnGlobalWrite    func(t *Thread, name string, where string) // told of each new global in tables given to WatchGlobals
	Grant            func(t *Thread, bytes int64) bool          // asked for what is beyond Budget.FreeBytes
	OnRecount        func(t *Thread, visit func(Value)) int64   // tells the values that Go code keeps for the script that runs, and the bytes of what else it keeps
	OnLook           func(t *Thread)                            // called between instructions, every 10,000 of them or so; may block while others use the state
	NormalCoroutines bool                                       // resume calls a coroutine that waits for another "normal", as OpenResty does; zero value means "running", as LuaJIT does
	Unsafe           bool                                       // zero value means os.execute, io.open and the like are refused
}

// State is one Lua universe: globals, string metatable, coroutines. One goroutine
// at a time may run in it.
type State struct {
	Data any // for the runtime: the current request

	opts     Options
	main     *Thread
	globals  *Table
	registry map[any]any
	strMeta  *Table
	regTable *Table
	loaded   *Table
	pkg      *Table
	born     time.Time
	rng      random
	rngReady bool

	// Accounting, see budget.go.
	meter
	check  int64        // builtins look at exec = check
	limit  atomic.Int64 // execute stops and looks at exec = limit
	intErr atomic.Pointer[error]
	dirty  bool
}

// NewState makes a state with the standard library.
func NewState(o Options) *State {
	s := &State{opts: o}
	s.limit.Store(unlimited)
	s.meter = NewMeter(Budget{}).meter
	s.main = newThread(s, nil)
	s.main.status = statusRunning
	s.born = s.now()
	openLibs(s)
	return s
}

// Main is the thread that State.Call runs on.
func (s *State) Main() *Thread { return s.main }

// Globals is the table _G.
func (s *State) Globals() *Table { return s.globals }

// Get gives the Go value kept under key.
func (s *State) Get(key any) any { return s.registry[key] }

// Set keeps a Go value under key for the life of the state.
func (s *State) Set(key, val any) {
	if s.registry == nil {
		s.registry = make(map[any]any)
	}
	s.registry[key] = val
}

// StringMeta is the metatable of all strings.
func (s *State) StringMeta() *Table { return s.strMeta }

// Loaded is package.loaded.
func (s *State) Loaded() *Table { return s.loaded }

// Dirty reports that a budget breach or a Go panic ended a run: throw the state away.
func (s *State) Dirty() bool { return s.dirty }

// Load makes a function of a compiled chunk; env are its globals, nil means Globals.
func (s *State) Load(p *Proto, env *Table) Value {
	if env == nil {
		env = s.globals
	}
	return (&Function{proto: p, env: env}).Value()
}

// WatchGlobals has Options.OnGlobalWrite told of names that scripts add to t.
func (s *State) WatchGlobals(t *Table) { t.watched = s.opts.OnGlobalWrite != nil }

// Call runs fn on the main thread, protected. The error is *Error, *BudgetError,
// *PanicError, or what Abort was given.
func (s *State) Call(fn Value, args ...Value) ([]Value, error) {
	return s.main.CallRaw(fn, args...)
}

// NewThread makes a coroutine that Resume starts; its globals are those of fn.
func (s *State) NewThread(fn Value) *Thread {
	env := s.globals
	if f := fn.AsFunction(); f != nil && f.env != nil {
		env = f.env
	}
	t := newThread(s, env)
	t.stack[0] = fn
	t.top = 1
	s.charge(threadBytes)
	return t
}

// NewEntry makes a thread that CallRaw may be called on, as on Main; env are its globals.
func (s *State) NewEntry(env *Table) *Thread {
	t := newThread(s, env)
	t.status = statusRunning
	return t
}

func (s *State) now() time.Time {
	if s.opts.Now != nil {
		return s.opts.Now()
	}
	return time.Now()
}

// Error is a Lua error that no pcall caught.
type Error struct {
	Value     Value
	Traceback string
	// Given is what the function error was called with, when that ended the thread: Value
	// without the position. Nil otherwise.
	Given Value
}

// Error is the value as a script would print it.
func (e *Error) Error() string {
	if s, ok := e.Value.ToStringValue(); ok {
		return s
	}
	return "(error object is a " + e.Value.Type().String() + " value)"
}

// PanicError is a Go panic inside a Go function or, by a defect, the machine; no pcall catches it.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic in Lua machine: %v", e.Value) }

// SyntaxError is what Compile refuses with, in LuaJIT's words.
type SyntaxError struct {
	Chunk string // as displayed
	Line  int
	Msg   string // the whole message, "chunk:line: ..."
}

func (e *SyntaxError) Error() string { return e.Msg }
