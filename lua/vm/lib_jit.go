package vm

import "unsafe"

func ptrOf(u *upval) unsafe.Pointer { return unsafe.Pointer(u) }

// jitLib says what scripts ask of LuaJIT; there is nothing to switch.
var jitLib = func() *Table {
	nothing := func(*Thread) int { return 0 }
	t := library([]libFunc{
		{"attach", nothing}, {"flush", nothing}, {"off", nothing}, {"on", nothing}, {"prngstate", nothing},
		{"status", func(t *Thread) int {
			t.PushBool(false)
			return 1
		}},
	}, nil)
	t.SetStr("version", String("LuaJIT 2.1.0-beta3"))
	t.SetStr("version_num", Int(20100))
	t.SetStr("os", String("Linux"))
	t.SetStr("arch", String("x64"))
	return t
}()
