package redpacket

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"sluice/cachesync/record"
)

// Payloads are texts, since Lua writes them and Go reads them:
//
//	rp:  1;state;left;leftamount;quarantined;filter;commit;seed;fix
//	fix  amount;count;mode;audience;lock;min;max;sender;opens;closes;cap;hashes;password[;parts]
//	w:   share,amount,ms
//
// No field can hold a separator: numbers, words of ours, uids, hex.

const fixFields = 13

var errPayload = errors.New("redpacket: a record does not read as a red packet")

// recordAfterClose is how long records and winners outlive closes_at at least.
const recordAfterClose = 25 * time.Hour

// fix is what never changes.
func (s *spec) fix() string {
	f := []string{
		text64(s.Amount), text64(s.Count), s.Mode, s.Audience, s.Lock, text64(s.Min), text64(s.Max), s.Sender,
		text64(s.OpensMS), text64(s.ClosesMS), text64(s.Cap), text64(s.WinnerHashes), s.Password,
	}
	if s.Spread > 1 {
		f = append(f, text64(s.Spread))
	}
	return strings.Join(f, ";")
}

func text64(n int64) string { return strconv.FormatInt(n, 10) }

// cutter walks over the fields of a payload without garbage.
type cutter struct {
	rest string
	sep  byte
	bad  bool
}

func (c *cutter) text() string {
	i := strings.IndexByte(c.rest, c.sep)
	if i < 0 {
		s := c.rest
		c.rest = ""
		return s
	}
	s := c.rest[:i]
	c.rest = c.rest[i+1:]
	return s
}

func (c *cutter) int() int64 {
	n, err := strconv.ParseInt(c.text(), 10, 64)
	if err != nil {
		c.bad = true
	}
	return n
}

// word returns one of ours instead of a piece of the payload, so that a State does not hold
// on to a buffer that goes back to a pool.
func word3(s string, words ...string) string {
	for _, w := range words {
		if s == w {
			return w
		}
	}
	return strings.Clone(s)
}

func stateWord(s string) string {
	switch s {
	case "u":
		return StateUnpaid
	case "p":
		return StateSplitting
	case "o":
		return StateOpen
	case "x":
		return StateSoldOut
	case "c", "z": // of a spread one: fenced, what is left is being counted
		return StateClosed
	case "e":
		return StateExpired
	}
	return ""
}

// parseState reads the payload of an rp: record; nowMS tells scheduled from open.
func parseState(id ID, payload string, version record.Version, nowMS int64) (State, error) {
	st, err := parsePayload(id, payload, version)
	st.at(nowMS)
	return st, err
}

// parsePayload is parseState but for what depends on the clock.
func parsePayload(id ID, payload string, version record.Version) (State, error) {
	more := strings.Count(payload, ";") - 7 - fixFields
	if more != 0 && more != 1 {
		return State{}, errPayload
	}
	c := cutter{rest: payload, sep: ';'}
	if c.text() != "1" {
		return State{}, errPayload
	}
	st := State{ID: id, State: stateWord(c.text()), Left: c.int(), LeftAmount: c.int(), Quarantined: c.int(), filter: c.int(),
		Commit: strings.Clone(c.text()), Seed: strings.Clone(c.text()), version: uint64(version)}
	st.Amount, st.Count = c.int(), c.int()
	st.Mode = word3(c.text(), ModeLucky, ModeEqual, ModePortal)
	st.Audience = word3(c.text(), AudienceAnyone, AudienceFans, AudienceList)
	st.Lock = word3(c.text(), LockNone, LockPassword)
	st.Min, st.Max = c.int(), c.int()
	st.Sender = strings.Clone(c.text())
	st.OpensAt, st.ClosesAt, st.Cap, st.winnerHashes = c.int(), c.int(), c.int(), c.int()
	st.password, st.spread = strings.Clone(c.text()), 1
	if more == 1 {
		st.spread = c.int()
	}
	if st.State == "" || c.bad || st.winnerHashes < 1 || st.spread < 1 || st.spread > MaxParts {
		return State{}, errPayload
	}
	return st, nil
}

// at settles what depends on the clock.
func (st *State) at(nowMS int64) {
	switch {
	case st.State == StateOpen && nowMS < st.OpensAt:
		st.State = StateScheduled
	case st.State == StateScheduled && nowMS >= st.OpensAt:
		st.State = StateOpen
	}
}

// parseWin reads "share,amount,..." as the record w: and the winners' hash hold it; the
// third number is returned as it is (Unix ms in a record, ms since opening in the hash).
func parseWin(text string) (o Outcome, third int64, err error) {
	c := cutter{rest: text, sep: ','}
	o = Outcome{Kind: Already, Share: c.int(), Amount: c.int()}
	third = c.int()
	if c.bad {
		return Outcome{}, 0, errPayload
	}
	o.setPrize(strings.Clone(c.rest))
	return o, third, nil
}

// setPrize takes a prize apart: "cash:<name>", "coupon:<name>:<code>", "other:<name>".
func (o *Outcome) setPrize(prize string) {
	if prize == "" {
		return
	}
	kind, rest, _ := strings.Cut(prize, ":")
	o.Prize, o.PrizeKind = rest, kind
	if kind == "coupon" {
		o.Prize, o.Code, _ = strings.Cut(rest, ":")
	}
}

// parseVersion reads "<epoch>-<ms>-<counter>".
func parseVersion(text string) (record.Version, bool) {
	c := cutter{rest: text, sep: '-'}
	epoch, ms, ctr := c.int(), c.int(), c.int()
	return record.MakeVersion(uint64(epoch), ms, uint64(ctr)), !c.bad
}
