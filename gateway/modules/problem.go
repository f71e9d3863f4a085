package modules

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"sluice/cachesync"
	"sluice/gateway/answer"
	"sluice/gateway/redpacket"
	"sluice/gateway/room"
	"sluice/lua"
	"sluice/lua/vm"
)

// problems turns errors of the backends into what a client may know.
type problems struct {
	now func() time.Time
	log *slog.Logger
}

type problem struct {
	status               int
	code, message, field string
	after                time.Duration // of "later"
}

// laterAfter is the least time a client stays away when the cause names none.
const laterAfter = time.Second

// of is the one table from errors to answers; docs/errors.md shows it.
func (p problems) of(err error) problem {
	var field *redpacket.FieldError
	var later *redpacket.LaterError
	switch {
	case errors.As(err, &field):
		return problem{status: 400, code: field.Code, message: field.Error(), field: field.Field}
	case errors.Is(err, redpacket.ErrNotFound):
		return problem{status: 404, code: "not_found", message: "no such red packet"}
	case errors.Is(err, redpacket.ErrConflict):
		return problem{status: 409, code: "idempotency_conflict", message: "this Idempotency-Key was used before with another body"}
	case errors.Is(err, redpacket.ErrSender):
		return problem{status: 403, code: "not_sender", message: "only its sender may do this"}
	case errors.Is(err, redpacket.ErrNotReady):
		return problem{status: 409, code: "not_ready", message: "the red packet is not in a state that allows this"}
	case errors.Is(err, room.ErrNotFound):
		return problem{status: 404, code: "not_found", message: "no such room"}
	case errors.Is(err, room.ErrBanned):
		return problem{status: 403, code: "banned", message: "you are banned from this room"}
	case errors.Is(err, room.ErrClosed):
		return problem{status: 409, code: "room_closed", message: "the room is closed"}
	case errors.Is(err, room.ErrFull):
		return problem{status: 503, code: "room_full", message: "the room is full", after: 5 * time.Second}
	case errors.As(err, &later):
		return problem{status: 503, code: "later", message: "please come back", after: later.RetryAfter}
	}
	if !errors.Is(err, cachesync.ErrLater) && !errors.Is(err, redpacket.ErrFenced) && !errors.Is(err, redpacket.ErrFrozen) && !errors.Is(err, context.DeadlineExceeded) {
		p.log.Warn("backend failed, client told later", "err", err)
	}
	return problem{status: 503, code: "later", message: "please come back", after: laterAfter}
}

// push returns nil and the problem to the script.
func (p problems) push(t *vm.Thread, err error) int {
	t.PushNil()
	t.Push(p.table(p.of(err)))
	return 2
}

func (p problems) table(one problem) vm.Value {
	t := vm.NewTable(0, 6)
	t.SetStr("status", vm.Int(one.status))
	t.SetStr("code", vm.String(one.code))
	t.SetStr("message", vm.String(one.message))
	b := answer.AppendError(nil, one.code, one.message, one.field)
	if one.field != "" {
		t.SetStr("field", vm.String(one.field))
	}
	if one.after > 0 {
		after := max(one.after, laterAfter)
		after += rand.N(after) // those who are told together must not come together
		t.SetStr("retry_after", vm.Int(int((after+time.Second-1)/time.Second)))
		now := p.now()
		b = append(b, `,"now":`...)
		b = answer.AppendTime(b, now.UnixMilli())
		b = append(b, `,"retry_at":`...)
		b = answer.AppendTime(b, now.Add(after).UnixMilli())
	}
	t.SetStr("body", vm.String(string(append(b, '}', '\n'))))
	return t.Value()
}

// answerModule is sluice.answer: problems that the handler itself finds.
type answerModule struct{ problems }

func (m answerModule) open(*lua.VM) vm.Value {
	return table("answer", map[string]vm.GoFunc{
		// make(status, code, message [, field [, retry_after]]) -> problem
		"make": func(t *vm.Thread) int {
			t.Push(m.table(problem{
				status: t.CheckInt(1), code: t.CheckString(2), message: t.CheckString(3), field: t.OptString(4, ""),
				after: time.Duration(t.OptNumber(5, 0) * float64(time.Second)),
			}))
			return 1
		},
	})
}
