package modules

import (
	"bytes"
	"encoding/json"
	"unsafe"

	"sluice/gateway/redpacket"
	"sluice/lua/vm"
)

// sight is what a handler holds between look and draw; like drawn it is one piece of memory
// with its userdata, since every draw makes them.
type sight struct {
	vm.Userdata
	desk redpacket.Desk
	id   redpacket.ID
	uid  string
	seen redpacket.Seen
	err  error
}

// Run looks.
func (s *sight) Run() { s.err = s.desk.Look(background(), s.id, s.uid, &s.seen) }

// drawn is a draw and its outcome.
type drawn struct {
	vm.Userdata
	desk    redpacket.Desk
	req     redpacket.DrawRequest
	outcome redpacket.Outcome
	err     error
	space   [96]byte // of text, where it fits
	text    string
}

// Run draws.
func (d *drawn) Run() { d.outcome, d.err = d.desk.Draw(background(), d.req) }

func (d *drawn) value(c *classes) vm.Value {
	d.Userdata = vm.Userdata{Data: d, Meta: c.outcome}
	return d.Value()
}

// json is written once; what was handed out never changes.
func (d *drawn) json() string {
	if d.text == "" {
		b := appendOutcome(d.space[:0], &d.outcome)
		d.text = unsafe.String(unsafe.SliceData(b), len(b))
	}
	return d.text
}

// shown is a state with the time it was asked at.
type shown struct {
	*redpacket.State
	now int64
}

// classes are the metatables of one VM, with their methods made once.
type classes struct{ funded, seen, outcome, state *vm.Table }

func newRedpacketClasses() *classes {
	c := &classes{}
	c.funded = class("funded", func(_ *vm.Thread, data any, key string) vm.Value {
		f := data.(*redpacket.FundResult)
		switch key {
		case "id":
			return vm.String(f.ID.String())
		case "state":
			return vm.String(f.State)
		case "again":
			return vm.Bool(f.Again)
		}
		return vm.Nil
	})
	decide := vm.NewFunc("seen:decide", func(t *vm.Thread) int {
		s := self[*sight](t, "seen")
		o, ok := s.seen.Decide()
		if !ok {
			return 0
		}
		d := &drawn{outcome: o}
		t.Push(d.value(c))
		return 1
	})
	c.seen = class("seen", func(_ *vm.Thread, data any, key string) vm.Value {
		s := &data.(*sight).seen
		switch key {
		case "decide":
			return decide
		case "found":
			return vm.Bool(s.Found)
		case "blocked":
			return vm.Bool(blocked(s.User))
		case "user":
			if s.UserFound {
				return vm.String(string(s.User))
			}
			return vm.Nil
		}
		return stateField(&s.State, key)
	})
	outcomeJSON := vm.NewFunc("outcome:json", func(t *vm.Thread) int {
		d := self[*drawn](t, "outcome")
		t.PushString(d.json())
		return 1
	})
	c.outcome = class("outcome", func(_ *vm.Thread, data any, key string) vm.Value {
		o := &data.(*drawn).outcome
		switch key {
		case "json":
			return outcomeJSON
		case "kind":
			return vm.String(o.Kind.String())
		case "amount":
			return vm.Number(float64(o.Amount))
		case "share":
			return vm.Number(float64(o.Share))
		case "reason":
			return vm.String(o.Reason)
		case "prize":
			return vm.String(o.Prize)
		}
		return vm.Nil
	})
	stateJSON := vm.NewFunc("state:json", func(t *vm.Thread) int {
		s := self[*shown](t, "state")
		t.PushString(string(appendState(nil, s.State, s.now)))
		return 1
	})
	c.state = class("state", func(_ *vm.Thread, data any, key string) vm.Value {
		if key == "json" {
			return stateJSON
		}
		return stateField(data.(*shown).State, key)
	})
	return c
}

func stateField(s *redpacket.State, key string) vm.Value {
	switch key {
	case "state":
		return vm.String(s.State)
	case "mode":
		return vm.String(s.Mode)
	case "audience":
		return vm.String(s.Audience)
	case "lock":
		return vm.String(s.Lock)
	case "sender":
		return vm.String(s.Sender)
	case "left":
		return vm.Number(float64(s.Left))
	case "count":
		return vm.Number(float64(s.Count))
	case "amount":
		return vm.Number(float64(s.Amount))
	case "opens_at":
		return vm.Number(float64(s.OpensAt))
	case "closes_at":
		return vm.Number(float64(s.ClosesAt))
	}
	return vm.Nil
}

var blockedWord = []byte(`"blocked"`)

// blocked reads {"blocked":true} of a user record; nearly none has the word,
// so nearly none is decoded.
func blocked(user []byte) bool {
	if !bytes.Contains(user, blockedWord) {
		return false
	}
	var u struct {
		Blocked bool `json:"blocked"`
	}
	return json.Unmarshal(user, &u) != nil || u.Blocked
}
