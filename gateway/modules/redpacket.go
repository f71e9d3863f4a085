package modules

import (
	"context"
	"errors"
	"time"

	"sluice/gateway/redpacket"
	"sluice/gateway/redpacket/relations"
	"sluice/lua"
	"sluice/lua/vm"
)

// redpacketModule is sluice.redpacket.
type redpacketModule struct {
	desk redpacket.Desk
	ids  *redpacket.IDs
	fans relations.Relations
	home uint8
	problems
}

func (m *redpacketModule) open(*lua.VM) vm.Value {
	c := newRedpacketClasses()
	return table("redpacket", map[string]vm.GoFunc{
		"fund":    func(t *vm.Thread) int { return m.fund(t, c) },
		"look":    func(t *vm.Thread) int { return m.look(t, c) },
		"draw":    func(t *vm.Thread) int { return m.draw(t, c) },
		"show":    func(t *vm.Thread) int { return m.show(t, c) },
		"winners": m.winners,

		"password": m.password,
		"fan":      m.fan,
	})
}

// The backends bound every call by their own timeouts; the request's context
// would end calls in flight when the gateway drains.
func background() context.Context { return context.Background() }

// fund(uid, body [, idempotency_key]) -> {id=..., state=...} | nil, problem
func (m *redpacketModule) fund(t *vm.Thread, c *classes) int {
	begin(t)
	sender, body, key := t.CheckString(1), t.CheckString(2), t.OptString(3, "")
	req, err := redpacket.ParseFund([]byte(body))
	if err != nil {
		return m.push(t, err)
	}
	req.Sender, req.Key, req.Home = sender, key, m.home
	var result redpacket.FundResult
	lua.Block(t, func() { result, err = m.desk.Fund(background(), req) })
	if err != nil {
		return m.push(t, err)
	}
	t.Push(vm.NewUserdata(&result, c.funded).Value())
	return 1
}

// password(body or nil) -> password or nil [, problem]: reads a draw's body.
func (m *redpacketModule) password(t *vm.Thread) int {
	body := t.OptString(1, "")
	if body == "" {
		return 0
	}
	password, err := redpacket.ParseDraw([]byte(body))
	if err != nil {
		return m.push(t, err)
	}
	t.PushString(password)
	return 1
}

// look(id, uid) -> seen | nil, problem: one batched cache read.
func (m *redpacketModule) look(t *vm.Thread, c *classes) int {
	begin(t)
	id, err := m.ids.Parse(t.CheckString(1))
	if err != nil {
		return m.push(t, redpacket.ErrNotFound)
	}
	s := &sight{desk: m.desk, id: id, uid: t.CheckString(2)}
	lua.BlockOn(t, s)
	if s.err != nil {
		return m.push(t, s.err)
	}
	if s.seen.Gone {
		return m.push(t, redpacket.ErrNotFound)
	}
	s.Userdata = vm.Userdata{Data: s, Meta: c.seen}
	t.Push(s.Value())
	return 1
}

// fan(seen) -> true or false | nil, problem: does the user follow the sender?
func (m *redpacketModule) fan(t *vm.Thread) int {
	s := self[*sight](t, "seen")
	if m.fans == nil {
		t.PushBool(false)
		return 1
	}
	begin(t)
	var fan bool
	var err error
	lua.Block(t, func() { fan, err = m.fans.Fan(background(), s.seen.State.Sender, s.uid) })
	if err != nil {
		return m.push(t, err)
	}
	t.PushBool(fan)
	return 1
}

// errUserLater: nobody draws whose state is not known at the moment; he may be blocked.
var errUserLater = errors.New("the user's state cannot be had at the moment")

// draw(seen [, {password=..., key=..., fan=true}]) -> outcome | nil, problem
func (m *redpacketModule) draw(t *vm.Thread, c *classes) int {
	begin(t)
	s := self[*sight](t, "seen")
	if s.seen.UserLater {
		return m.push(t, redpacket.Later(time.Second, errUserLater))
	}
	d := &drawn{desk: m.desk, req: redpacket.DrawRequest{ID: s.id, UID: s.uid, Seen: &s.seen}}
	if options := t.Arg(2).AsTable(); options != nil {
		d.req.Password, _ = options.GetStr("password").AsString()
		d.req.N, _ = options.GetStr("key").AsString()
		d.req.Fan = options.GetStr("fan").Truthy()
	}
	lua.BlockOn(t, d)
	if d.err != nil {
		return m.push(t, d.err)
	}
	t.Push(d.value(c))
	return 1
}

// show(id) -> state | nil, problem
func (m *redpacketModule) show(t *vm.Thread, c *classes) int {
	begin(t)
	id, err := m.ids.Parse(t.CheckString(1))
	if err != nil {
		return m.push(t, redpacket.ErrNotFound)
	}
	s := new(redpacket.State)
	lua.Block(t, func() { *s, err = m.desk.Show(background(), id) })
	if err != nil {
		return m.push(t, err)
	}
	t.Push(vm.NewUserdata(&shown{s, m.now().UnixMilli()}, c.state).Value())
	return 1
}

// winners(id [, page]) -> json | nil, problem
func (m *redpacketModule) winners(t *vm.Thread) int {
	begin(t)
	id, err := m.ids.Parse(t.CheckString(1))
	if err != nil {
		return m.push(t, redpacket.ErrNotFound)
	}
	page := t.OptString(2, "")
	var found redpacket.WinnersPage
	lua.Block(t, func() { found, err = m.desk.Winners(background(), id, page) })
	if err != nil {
		return m.push(t, err)
	}
	t.PushString(string(appendWinners(nil, found, m.now().UnixMilli())))
	return 1
}
