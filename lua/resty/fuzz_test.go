package resty

import (
	"testing"

	"sluice/lua/vm"
)

// No combination of arguments makes a Go panic in the modules written in Go.
func FuzzBindings(f *testing.F) {
	f.Add("secret", "12345678", 16.0, uint8(0), uint8(1))
	f.Add("", "x", -1.0, uint8(9), uint8(90))
	f.Fuzz(func(t *testing.T, a, b string, n float64, which, order uint8) {
		s := vm.NewState(vm.Options{})
		s.SetBudget(vm.Budget{Instructions: 1e6, MemoryBytes: 64 << 20})
		open := func(f func(*vm.Thread) vm.Value) *vm.Table {
			vals, err := s.Call(vm.NewFunc("open", func(t *vm.Thread) int { t.Push(f(t)); return 1 }))
			if err != nil {
				t.Fatal(err)
			}
			return vals[0].AsTable()
		}
		aes, sha := open(aesModule), open(digests[3].module)
		hash := vm.NewTable(0, 1)
		hash.SetStr("iv", vm.String(b))
		self := aes.Value()
		if got, err := s.Call(aes.GetStr("new"), aes.Value(), vm.String(a), vm.Nil, vm.Nil, aes.GetStr("hash").AsTable().GetStr("md5")); err == nil {
			self = got[0]
		}
		cipher := vm.Nil
		if got, err := s.Call(aes.GetStr("cipher"), vm.Int(256), vm.String([]string{"ecb", "cbc", "ctr", "gcm", "cfb8"}[order%5])); err == nil {
			cipher = got[0]
		}
		funcs := []vm.Value{aes.GetStr("new"), aes.GetStr("cipher"), aes.GetStr("encrypt"), aes.GetStr("decrypt"),
			sha.GetStr("new"), sha.GetStr("update"), sha.GetStr("final"), sha.GetStr("reset"),
			open(stringModule).GetStr("to_hex"), open(stringModule).GetStr("atoi"), open(randomModule).GetStr("bytes"), vm.NewFunc("guard", guard)}
		pool := []vm.Value{vm.String(a), vm.String(b), vm.Number(n), vm.Nil, vm.True, self, cipher, hash.Value(), aes.GetStr("hash")}
		args := []vm.Value{self}
		for i := range int(order) % 8 {
			args = append(args, pool[(int(order)+i*int(which|1))%len(pool)])
		}
		s.Call(funcs[int(which)%len(funcs)], args[int(order)%2:]...)
	})
}
