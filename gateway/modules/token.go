package modules

import (
	"sluice/gateway/token"
	"sluice/lua"
	"sluice/lua/vm"
)

// tokenModule is sluice.token.
type tokenModule struct{ ring *token.Ring }

func (m tokenModule) open(*lua.VM) vm.Value {
	return table("token", map[string]vm.GoFunc{
		"check": m.check,
		"has":   has,
	})
}

// check(authorization) -> uid, scope | nil, reason. The argument is the whole
// Authorization header, or nil.
func (m tokenModule) check(t *vm.Thread) int {
	claims, err := m.ring.Bearer(t.OptString(1, ""))
	if err != nil {
		t.PushNil()
		t.PushString(err.Error())
		return 2
	}
	t.PushString(claims.UID)
	t.PushString(claims.Scope)
	return 2
}

// has(scope, one) says whether the space-separated list has one.
func has(t *vm.Thread) int {
	t.PushBool(token.Claims{Scope: t.OptString(1, "")}.Has(t.CheckString(2)))
	return 1
}
