package modules

import (
	"sluice/gateway/room"
	"sluice/lua"
	"sluice/lua/vm"
)

// roomModule is sluice.room.
type roomModule struct {
	door *room.Door
	problems
}

func (m *roomModule) open(*lua.VM) vm.Value {
	return table("room", map[string]vm.GoFunc{"enter": m.enter})
}

// enter(id, uid [, force]) -> json | nil, problem
func (m *roomModule) enter(t *vm.Thread) int {
	begin(t)
	id, uid := t.CheckString(1), t.CheckString(2)
	force := t.ToBool(3)
	now := m.now()
	var e room.Entry
	var err error
	lua.Block(t, func() { e, err = m.door.Enter(background(), id, uid, force, now) })
	if err != nil {
		return m.push(t, err)
	}
	t.PushString(string(appendEntry(make([]byte, 0, 512), e, now.UnixMilli())))
	return 1
}
