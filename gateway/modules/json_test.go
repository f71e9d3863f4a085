package modules

import (
	"encoding/json"
	"testing"
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket"
	"sluice/gateway/room"
)

// decode reads an answer as a client does.
func decode(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func TestOnlyWonAndAlreadyCarryAnAmount(t *testing.T) {
	for kind := redpacket.Won; kind <= redpacket.Denied; kind++ {
		m := decode(t, appendOutcome(nil, &redpacket.Outcome{Kind: kind, Amount: 123, Share: 7, Prize: `a"b`, OpensAt: 1, Now: 2, Reason: "list"}))
		wins := kind == redpacket.Won || kind == redpacket.Already
		if m["outcome"] != kind.String() || (m["amount"] != nil) != wins || (m["share"] != nil) != wins || (m["prize"] != nil) != wins {
			t.Errorf("%v: %v", kind, m)
		}
		if (m["opens_at"] != nil) != (kind == redpacket.NotOpen) || (m["opens_at"] != nil && m["now"] == nil) {
			t.Errorf("%v: a time without now, or none: %v", kind, m)
		}
	}
}

func TestPagesAreJSON(t *testing.T) {
	winners := redpacket.WinnersPage{Winners: []redpacket.Winner{{UID: "a", Amount: 1, WonAt: 5}, {UID: "b", Prize: "x"}}, Next: "1.2"}
	m := decode(t, appendWinners(nil, winners, 9))
	if len(m["winners"].([]any)) != 2 || m["next"] != "1.2" || m["now"] == nil {
		t.Errorf("%v", m)
	}
	if m = decode(t, appendWinners(nil, redpacket.WinnersPage{}, 9)); len(m["winners"].([]any)) != 0 || m["next"] != nil {
		t.Errorf("empty: %v", m)
	}
	awards := []ledger.Award{{Win: ledger.Win{RedPacket: "r", Amount: 5, At: time.UnixMilli(7)}, PayState: ledger.Paid, PaidAt: time.UnixMilli(8)}, {Win: ledger.Win{RedPacket: "q"}}}
	m = decode(t, appendWins(nil, awards, "", 9))
	first, second := m["wins"].([]any)[0].(map[string]any), m["wins"].([]any)[1].(map[string]any)
	if first["payout"] != "paid" || first["paid_at"] == nil || second["payout"] != "payable" || second["paid_at"] != nil {
		t.Errorf("%v", m)
	}
	m = decode(t, appendEntry(nil, room.Entry{Room: &room.Room{ID: "x", Title: "a\"b\n"}, Push: []string{"ws://a", "ws://b"}, Token: "t"}, 9))
	if m["room"].(map[string]any)["title"] != "a\"b\n" || len(m["push"].([]any)) != 2 {
		t.Errorf("%v", m)
	}
	decode(t, appendState(nil, &redpacket.State{Sender: "s", Seed: "ab"}, 9))
}

func TestAUserIsBlockedByHisRecordOnly(t *testing.T) {
	f := func(user string, want bool) {
		t.Helper()
		if got := blocked([]byte(user)); got != want {
			t.Errorf("%q: %v", user, got)
		}
	}
	f("", false)
	f("{}", false)
	f(`{"blocked":true}`, true)
	f(`{"blocked":false,"name":"blocked"}`, false)
	f(`{"blocked":true`, true) // not readable: better not
	f(`{"name":"\"blocked\""}`, false)
}
