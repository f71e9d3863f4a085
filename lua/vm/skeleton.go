package vm

import (
	"io"
	"time"
	"unsafe"
)

func parseNumber(s string) (float64, bool) { panic("soon") }
func formatNumber(f float64) string        { panic("soon") }

// Table is a Lua table; every method is raw.
type Table struct{ meta *Table }

func NewTable(narr, nrec int) *Table                               { return &Table{} }
func (t *Table) Get(k Value) Value                                 { panic("soon") }
func (t *Table) GetInt(i int) Value                                { panic("soon") }
func (t *Table) GetStr(k string) Value                             { panic("soon") }
func (t *Table) Set(k, v Value) error                              { panic("soon") }
func (t *Table) SetInt(i int, v Value)                             { panic("soon") }
func (t *Table) SetStr(k string, v Value)                          { panic("soon") }
func (t *Table) Len() int                                          { panic("soon") }
func (t *Table) Next(k Value) (key, val Value, ok bool, err error) { panic("soon") }
func (t *Table) Metatable() *Table                                 { return t.meta }
func (t *Table) SetMetatable(m *Table)                             { t.meta = m }
func (t *Table) Clear()                                            { panic("soon") }
func (t *Table) Value() Value                                      { return Value{p: unsafe.Pointer(t), n: tagTable} }

// Function is a Lua closure or a Go function.
type Function struct{}

func (f *Function) Value() Value { return Value{p: unsafe.Pointer(f), n: tagFunc} }

// GoFunc is a function in Go: arguments by t.Arg, results by t.Push; returns how many were pushed.
type GoFunc func(t *Thread) int

func NewFunc(name string, f GoFunc) Value { panic("soon") }

// Thread is a coroutine (the main one too).
type Thread struct{}

func (t *Thread) Value() Value                         { return Value{p: unsafe.Pointer(t), n: tagThread} }
func (t *Thread) NArgs() int                           { panic("soon") }
func (t *Thread) Arg(i int) Value                      { panic("soon") }
func (t *Thread) CheckString(i int) string             { panic("soon") }
func (t *Thread) CheckNumber(i int) float64            { panic("soon") }
func (t *Thread) CheckInt(i int) int                   { panic("soon") }
func (t *Thread) CheckTable(i int) *Table              { panic("soon") }
func (t *Thread) CheckFunction(i int) Value            { panic("soon") }
func (t *Thread) CheckAny(i int) Value                 { panic("soon") }
func (t *Thread) OptString(i int, def string) string   { panic("soon") }
func (t *Thread) OptInt(i int, def int) int            { panic("soon") }
func (t *Thread) OptNumber(i int, def float64) float64 { panic("soon") }
func (t *Thread) ToBool(i int) bool                    { panic("soon") }
func (t *Thread) Push(v Value)                         { panic("soon") }
func (t *Thread) PushString(s string)                  { panic("soon") }
func (t *Thread) PushNumber(f float64)                 { panic("soon") }
func (t *Thread) PushBool(b bool)                      { panic("soon") }
func (t *Thread) PushNil()                             { panic("soon") }
func (t *Thread) Errorf(format string, a ...any)       { panic("soon") }
func (t *Thread) Raise(v Value)                        { panic("soon") }
func (t *Thread) ArgError(i int, msg string)           { panic("soon") }

// TypeError raises "bad argument #i to 'f' (want expected, got ...)".
func (t *Thread) TypeError(i int, want string) { panic("soon") }

// Call runs fn protected; the error is *Error. A budget breach or Abort passes through.
func (t *Thread) Call(fn Value, args ...Value) ([]Value, error) { panic("soon") }

// CallRaw is Call that also returns budget breaches and Abort reasons as errors.
func (t *Thread) CallRaw(fn Value, args ...Value) ([]Value, error) { panic("soon") }

// MustCall runs fn unprotected: an error goes on to the pcall around the caller.
func (t *Thread) MustCall(fn Value, args ...Value) []Value { panic("soon") }

// Index, SetIndex honour metamethods.
func (t *Thread) Index(obj, key Value) Value   { panic("soon") }
func (t *Thread) SetIndex(obj, key, val Value) { panic("soon") }
func (t *Thread) State() *State                { panic("soon") }
func (t *Thread) Where(level int) string       { panic("soon") }
func (t *Thread) Traceback(msg string) string  { panic("soon") }
func (t *Thread) ToString(v Value) string      { panic("soon") }
func (t *Thread) Abort(reason error)           { panic("soon") }

// Parent is the thread that resumed t, nil for one started from Go.
func (t *Thread) Parent() *Thread { panic("soon") }

// Status is coroutine.status: "suspended", "running", "normal", "dead".
func (t *Thread) Status() string { panic("soon") }

// Data is free for the runtime: what this thread is to it.
func (t *Thread) Data() any     { panic("soon") }
func (t *Thread) SetData(d any) { panic("soon") }

// Resume starts or goes on with t from Go, on the calling goroutine. yielded tells a yield
// from an end; err is *Error or what Abort was given.
func (t *Thread) Resume(args ...Value) (vals []Value, yielded bool, err error) { panic("soon") }

// Options of a state.
type Options struct {
	Stdout        io.Writer                                  // print and io.write; zero value means they are discarded
	Now           func() time.Time                           // zero value means time.Now
	Getenv        func(name string) (string, bool)           // zero value means os.getenv gives nil
	ReadFile      func(path string) ([]byte, error)          // for require, dofile, loadfile; zero value means no file exists
	PackagePath   string                                     // package.path; zero value means "./?.lua"
	Seed          uint64                                     // of math.random; zero value means LuaJIT's own start
	OnGlobalWrite func(t *Thread, name string, where string) // called when a script assigns a new global
	Unsafe        bool                                       // zero value means io, os.execute and the like are refused
}

// State is one Lua universe.
type State struct {
	Data any // for the runtime: the current request
}

func NewState(o Options) *State                                { panic("soon") }
func (s *State) Main() *Thread                                 { panic("soon") }
func (s *State) Globals() *Table                               { panic("soon") }
func (s *State) Get(key any) any                               { panic("soon") }
func (s *State) Set(key, val any)                              { panic("soon") }
func (s *State) StringMeta() *Table                            { panic("soon") }
func (s *State) Load(p *Proto, env *Table) Value               { panic("soon") }
func (s *State) Call(fn Value, args ...Value) ([]Value, error) { panic("soon") }
func (s *State) NewThread(fn Value) *Thread                    { panic("soon") }
func (s *State) SetBudget(b Budget)                            { panic("soon") }
func (s *State) InstructionsUsed() int64                       { panic("soon") }
func (s *State) MemoryUsed() int64                             { panic("soon") }
func (s *State) Charge(t *Thread, bytes int64)                 { panic("soon") }
func (s *State) Interrupt(err error)                           { panic("soon") }
func (s *State) Dirty() bool                                   { panic("soon") }

// Budget limits what runs in a state from SetBudget on; zero fields mean unlimited.
type Budget struct {
	Instructions int64
	MemoryBytes  int64
	Deadline     time.Time
}

// BudgetError is a breach; no pcall catches it.
type BudgetError struct {
	Kind      string // "instructions", "wall time", "memory"
	Where     string
	Traceback string
}

func (e *BudgetError) Error() string { return e.Where + ": budget of " + e.Kind + " used up" }

// Error is a Lua error that no pcall caught.
type Error struct {
	Value     Value
	Traceback string
}

func (e *Error) Error() string { panic("soon") }

// SyntaxError is what Compile refuses with, in LuaJIT's words.
type SyntaxError struct {
	Chunk string // as displayed
	Line  int
	Msg   string // the whole message, "chunk:line: ..."
}

func (e *SyntaxError) Error() string { return e.Msg }

// Proto is a compiled function: immutable, shared by all states.
type Proto struct{}

func Compile(chunkname, source string) (*Proto, error) { panic("soon") }
