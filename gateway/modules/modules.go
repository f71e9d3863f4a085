package modules

import (
	"log/slog"
	"time"

	"sluice/gateway/redpacket"
	"sluice/gateway/redpacket/relations"
	"sluice/gateway/room"
	"sluice/gateway/token"
	"sluice/lua"
	"sluice/lua/vm"
)

// Deps are what the modules talk to.
type Deps struct {
	Tokens *token.Ring
	Desk   redpacket.Desk
	IDs    *redpacket.IDs
	Fans   relations.Relations // nil: nobody is a fan of anybody
	Home   uint8               // of red packets funded here
	Door   *room.Door
	Cache  Memcached // of sluice.cache
	Redis  Redis     // of sluice.redis
	Wins   Wins      // nil: this gateway has no ledger, my wins answers "later"
	Now    func() time.Time
	Logger *slog.Logger
}

// All are the modules of a gateway.
func All(d Deps) []lua.Module {
	p := problems{now: d.Now, log: d.Logger}
	return []lua.Module{
		{Name: "sluice.answer", Open: answerModule{p}.open},
		{Name: "sluice.token", Open: tokenModule{d.Tokens}.open},
		{Name: "sluice.redpacket", Open: (&redpacketModule{desk: d.Desk, ids: d.IDs, fans: d.Fans, home: d.Home, problems: p}).open},
		{Name: "sluice.cache", Open: cacheModule{d.Cache}.open},
		{Name: "sluice.redis", Open: redisModule{d.Redis}.open},
		{Name: "sluice.wins", Open: winsModule{d.Wins, p}.open},
		{Name: "sluice.room", Open: (&roomModule{d.Door, p}).open},
	}
}

// table makes a module's table of functions.
func table(name string, functions map[string]vm.GoFunc) vm.Value {
	t := vm.NewTable(0, len(functions))
	for key, f := range functions {
		t.SetStr(key, vm.NewFunc(name+"."+key, f))
	}
	return t.Value()
}

// class is the metatable of a userdata whose fields are read by index.
func class(name string, index func(t *vm.Thread, data any, key string) vm.Value) *vm.Table {
	meta := vm.NewTable(0, 2)
	meta.SetStr("__name", vm.String(name))
	meta.SetStr("__index", vm.NewFunc(name+".__index", func(t *vm.Thread) int {
		u := t.Arg(1).AsUserdata()
		key, ok := t.Arg(2).AsString()
		if u == nil || !ok {
			t.ArgError(1, name+" expected")
		}
		t.Push(index(t, u.Data, key))
		return 1
	}))
	return meta
}

// self is the userdata a method was called on.
func self[T any](t *vm.Thread, class string) T {
	if u := t.Arg(1).AsUserdata(); u != nil {
		if data, ok := u.Data.(T); ok {
			return data
		}
	}
	t.ArgError(1, class+" expected")
	panic("unreachable")
}

// begin counts a backend call against the handler's budget.
func begin(t *vm.Thread) { lua.RequestOf(t).CountCall(t) }
