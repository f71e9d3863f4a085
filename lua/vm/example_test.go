package vm_test

import (
	"fmt"
	"os"

	"sluice/lua/vm"
)

func Example() {
	s := vm.NewState(vm.Options{Stdout: os.Stdout})
	s.Globals().SetStr("greet", vm.NewFunc("greet", func(t *vm.Thread) int {
		t.PushString("hello, " + t.CheckString(1))
		return 1
	}))
	p, err := vm.Compile("@greet.lua", `print(greet("room")) return 6 * 7`)
	if err != nil {
		fmt.Println(err)
		return
	}
	vals, err := s.Call(s.Load(p, nil))
	n, _ := vals[0].AsNumber()
	fmt.Println(n, err)
	// Output:
	// hello, room
	// 42 <nil>
}

func ExampleCompile_error() {
	_, err := vm.Compile("@lib/prize.lua", "local n = \nreturn n +")
	fmt.Println(err)
	// Output: lib/prize.lua:2: unexpected symbol near 'return'
}

func ExampleThread_Resume() {
	s := vm.NewState(vm.Options{})
	p, _ := vm.Compile("=job", `local a = ... local b = coroutine.yield(a + 1) return b * 2`)
	t := s.NewThread(s.Load(p, nil))
	vals, yielded, err := t.Resume(vm.Number(1))
	fmt.Println(t.ToString(vals[0]), yielded, err)
	vals, yielded, err = t.Resume(vm.Number(21))
	fmt.Println(t.ToString(vals[0]), yielded, err)
	// Output:
	// 2 true <nil>
	// 42 false <nil>
}
