package modules

import (
	"context"
	"errors"

	"sluice/gateway/ledger"
	"sluice/lua"
	"sluice/lua/vm"
)

// Wins is what my wins needs of a ledger.
type Wins interface {
	WinsOf(ctx context.Context, uid, cursor string, limit int) (wins []ledger.Award, next string, err error)
}

// winsModule is sluice.wins: what the ledger says, so it can be behind a draw
// by the settle lag.
type winsModule struct {
	reader Wins
	problems
}

var errNoLedger = errors.New("my wins needs ledger.url or ledger.dsn in sluice.yaml")

// winsPage is how many wins one answer lists.
const winsPage = 100

func (m winsModule) open(*lua.VM) vm.Value {
	return table("wins", map[string]vm.GoFunc{"list": m.list})
}

// list(uid [, page]) -> json | nil, problem
func (m winsModule) list(t *vm.Thread) int {
	begin(t)
	uid, page := t.CheckString(1), t.OptString(2, "")
	if m.reader == nil {
		return m.push(t, errNoLedger)
	}
	var wins []ledger.Award
	var next string
	var err error
	lua.Block(t, func() { wins, next, err = m.reader.WinsOf(background(), uid, page, winsPage) })
	if err != nil {
		return m.push(t, err)
	}
	t.PushString(string(appendWins(nil, wins, next, m.now().UnixMilli())))
	return 1
}
