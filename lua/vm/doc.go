// Package vm is a Lua 5.1 machine that answers as LuaJIT 2.1 does, byte for byte, and that
// no script can use to hurt the process.
//
//	source --Compile--> Proto (immutable, shared) --State.Load--> function --State.Call--> results
//
//	p, err := vm.Compile("@draw.lua", source)       // *SyntaxError with file:line
//	s := vm.NewState(vm.Options{Stdout: w})         // a universe: globals, libraries
//	s.SetBudget(vm.Budget{Instructions: 1e6, MemoryBytes: 16 << 20, Deadline: t})
//	vals, err := s.Call(s.Load(p, nil))             // *Error, *BudgetError, *PanicError, Abort's reason
//
// # How it is built
//
// The compiler follows LuaJIT's parser (one pass, registers, jump lists), so that evaluation
// order, hazards and the names in messages are the same. A Value has 16 bytes: numbers are
// not boxed, strings need no header. execute runs the code; calls from Lua to Lua, pcall,
// metamethods, iterators and coroutines live in frames on the thread's own stack, so the Go
// stack does not grow with them and yield crosses all of them. Errors of Go functions travel
// as panics to the nearest entry from Go, which hands them to the frames.
//
// # Budgets
//
// Instructions are counted exactly: executed = acc + pc, corrected at jumps only, looked at
// on backward jumps, calls and inside builtins that loop. The clock is read every 10,000
// instructions; Interrupt works from any goroutine. Memory is charged where it is allocated;
// when the sum passes the budget, what is still reachable is counted anew, so garbage is not
// held against a script. What Go code keeps must be told: NewClosure, Holder, Options.OnRecount.
// PushString and PushTable charge what a Go function has made. A breach passes every pcall, handler and coroutine. Afterwards
// Dirty reports true: throw the state away.
//
// # Concurrency
//
// A Proto may be used by any number of states at once. A State, its tables and its threads
// belong to one goroutine at a time: reading a table writes to it (it remembers addresses of
// keys). Function values made by NewFunc and strings may be shared; tables may not. A Go
// function may block; who lets other goroutines run in the state meanwhile brings the lock.
//
// # What is not offered, or differs from LuaJIT
//
//   - ffi, string.buffer, 64-bit and imaginary number literals, bytecode (string.dump, load), debug hooks;
//     jit.* exists and does nothing.
//   - io beyond io.write and io.stdout, and of os: exit always, execute, remove, rename, tmpname unless
//     Options.Unsafe.
//   - pairs goes through the fields in the order of their creation; LuaJIT's order is arbitrary.
//   - # of a table with holes may be another border, except in constructors.
//   - The callbacks of table.foreach and foreachi cannot yield. A method of the machine called through
//     Thread.MustCall cannot either: "attempt to yield across C-call boundary", as for any C function.
//   - exp, log, sin and their like may differ in the last bit of the double.
//   - __gc and __mode are accepted and have no effect; collectgarbage never collects.
//   - Addresses in tostring, and the numbers of builtins in tracebacks.
//   - C calls nest 200 deep, coroutines 10,000.
package vm
