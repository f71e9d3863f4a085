package vm_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/lua/vm"
)

// FuzzAnySource: whatever the source is, it ends within its budget and never as a Go panic.
func FuzzAnySource(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.lua")
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.SplitSeq(string(src), "\n") {
			f.Add(line)
		}
	}
	for seed := range 50 {
		f.Add(strings.Join(program(uint64(seed)), "\n"))
	}
	f.Fuzz(func(t *testing.T, src string) {
		s := vm.NewState(vm.Options{})
		s.SetBudget(vm.Budget{Instructions: 100_000, MemoryBytes: 16 << 20})
		p, err := vm.Compile("=fuzz", src)
		if err != nil {
			if se := (*vm.SyntaxError)(nil); !errors.As(err, &se) || strings.Contains(err.Error(), "defect") {
				t.Fatal(err)
			}
			return
		}
		_, err = s.Call(s.Load(p, nil))
		if pe := (*vm.PanicError)(nil); errors.As(err, &pe) {
			t.Fatalf("%v\n%s", pe, pe.Stack)
		}
	})
}
