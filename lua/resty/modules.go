package resty

import "sluice/lua/vm"

// Modules gives every module by the name a script requires it by; the
// function makes its value for one VM. The VM's ngx table must be a global
// by then.
func Modules() map[string]func(t *vm.Thread) vm.Value { return nil }
