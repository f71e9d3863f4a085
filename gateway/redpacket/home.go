package redpacket

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"sluice/cachesync"
	"sluice/gateway/redpacket/script"
)

// Reader is what a Desk needs of cachesync.Cache.
type Reader interface {
	Read(ctx context.Context, reads []cachesync.Read) error
}

// Relations tells who is a fan of whom; see package relations.
type Relations interface {
	Fan(ctx context.Context, sender, fan string) (bool, error)
}

// HomeConfig is what a Home is made of.
type HomeConfig struct {
	House *House // required
	Cache Reader // required
	// Confirm is called with the position of a win or a close before it is told to anybody; the
	// embedded house waits here until the ledger has it. nil means that Redis is enough.
	Confirm func(ctx context.Context, pos Position) error
	// ConfirmClose is the same for the close of a spread red packet, which is done when its last part
	// is closed; nil means that the Closer does it when its time comes.
	ConfirmClose func(ctx context.Context, id ID) error
	// ConfirmFund is the same for a fund request; nil means that Redis is enough.
	ConfirmFund func(ctx context.Context, id ID) error
	// Filters answers from the complete filters of winners; nil means not to.
	Filters *Filters
	// Relations is asked for the audience `fans` when the handler has not (DrawRequest.Fan); nil
	// means that only the handler's word counts.
	Relations Relations
	// SpreadAbove is the count from which a red packet is spread over SpreadParts buckets when its
	// fund request does not say how many; 0 means never.
	SpreadAbove, SpreadParts int64

	// Calls is how many calls of the draw script for one red packet are under way before draws gather into
	// one; 0 means 1. Behind a relay it is more, so that a draw does not wait for the way there and back of another.
	Calls int

	Tries  int64     // wrong passwords a user has for a red packet; 0 means 5
	Random io.Reader // nil means crypto/rand
}

// confirmWithin is how long an answer waits for the ledger, below the wall time of a handler. Who
// waits longer is told to come back, and hears the same then.
const confirmWithin = 1500 * time.Millisecond

// Home is the Desk of a red packet's home region: Redis is near.
type Home struct {
	HomeConfig
	h       *House
	looks   sync.Pool
	local   local // of Cache, if it keeps copies
	borrows flights
	known   states // of the red packets whose records are copies
	batches batches
}

var _ Desk = (*Home)(nil)

// NewHome makes the Desk of the house's own home.
func NewHome(cfg HomeConfig) (*Home, error) {
	if cfg.House == nil || cfg.Cache == nil {
		return nil, fmt.Errorf("redpacket: a Home needs House and Cache")
	}
	if cfg.Tries <= 0 {
		cfg.Tries = 5
	}
	if cfg.Calls <= 0 {
		cfg.Calls = 1
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	d := &Home{HomeConfig: cfg, h: cfg.House}
	d.batches.init()
	d.looks.New = func() any { return new(look) }
	d.local, _ = cfg.Cache.(local)
	return d, nil
}

// Fund implements Desk. The same (sender, key) is the same red packet.
func (d *Home) Fund(ctx context.Context, req FundRequest) (FundResult, error) {
	if !ValidUID(req.Sender) {
		return FundResult{}, fieldError("sender", CodeInvalid, "the token's uid is not 1 to 64 of A-Z a-z 0-9 _ -")
	}
	if len(req.Key) > 256 {
		return FundResult{}, fieldError("Idempotency-Key", CodeTooLarge, "must have at most 256 bytes")
	}
	if err := req.check(); err != nil {
		return FundResult{}, err
	}
	var id ID
	if req.Key != "" {
		id = d.h.ids.Derive(d.h.home, req.Sender, req.Key)
	} else {
		var err error
		if id, err = d.h.ids.New(d.h.home, d.Random); err != nil {
			return FundResult{}, err
		}
	}
	parts := req.Parts
	if parts == 0 && d.SpreadAbove > 0 && req.Count > d.SpreadAbove && d.SpreadParts > 1 && req.Mode != ModePortal {
		parts = min(d.SpreadParts, MaxParts, req.Count)
	}
	s := makeSpec(d.h.ids, id, &req, parts, d.h.now().UnixMilli())
	if s.ClosesMS-max(s.FundedMS, s.OpensMS) > MaxOpenFor.Milliseconds() {
		return FundResult{}, fieldError("closes_at", CodeTooLarge, "must be within %d days of opening", MaxOpenFor/(24*time.Hour))
	}
	k := &d.h.keys[id.Bucket()]
	fields, table := s.fields(), s.table(nil)
	args := []string{s.ID, s.Hash, text64(s.Count), text64(s.Amount), text64(s.ClosesMS), text64(s.expiry()), s.fix()}
	args = append(append(args, strconv.Itoa(len(fields))), fields...)
	args = append(append(args, strconv.Itoa(len(table))), table...)
	args = append(args, s.List...)
	reply, _, err := d.h.run(ctx, id.Bucket(), script.Fund, k.base(k.rp(s.ID), k.fund, k.list(s.ID), k.prize(s.ID)), args, nil)
	if err != nil {
		return FundResult{}, err
	}
	word, rest, _ := strings.Cut(string(reply), "|")
	switch word {
	case "conflict":
		return FundResult{}, ErrConflict
	case "past":
		return FundResult{}, fieldError("closes_at", CodeTooSmall, "must be in the future")
	case "new", "again":
	default:
		return FundResult{}, oddReply(script.Fund, reply)
	}
	if d.ConfirmFund != nil {
		ctx, cancel := context.WithTimeout(ctx, confirmWithin)
		defer cancel()
		if err := d.ConfirmFund(ctx, id); err != nil {
			return FundResult{}, Later(time.Second, err)
		}
	}
	st := State{State: stateWord(rest), OpensAt: s.OpensMS}
	st.at(d.h.now().UnixMilli())
	return FundResult{ID: id, State: st.State, Again: word == "again"}, nil
}

func oddReply(name script.Name, reply []byte) error {
	return fmt.Errorf("redpacket: script %s answered %q", name, reply)
}

// Draw implements Desk.
func (d *Home) Draw(ctx context.Context, req DrawRequest) (Outcome, error) {
	seen := req.Seen
	if seen == nil {
		seen = new(Seen)
		if err := d.Look(ctx, req.ID, req.UID, seen); err != nil {
			return Outcome{}, err
		}
	}
	if out, ok := seen.Decide(); ok {
		return out, nil
	}
	st := &seen.State
	var out Outcome
	var err error
	again := !seen.Found // the cache has nothing: ask the home itself
	if !again {
		out, again, err = d.draw(ctx, &req, st)
	}
	if again || errors.Is(err, errDry) {
		return d.drawUntil(ctx, &req, st, again, out.Now)
	}
	return out, err
}

// drawUntil goes on where a draw had no answer yet: the record that it went by, st, is not the home's (again),
// or its part had nothing left at dryAt.
func (d *Home) drawUntil(ctx context.Context, req *DrawRequest, st *State, again bool, dryAt int64) (Outcome, error) {
	sold, dries := false, 0
	until := d.h.now().Add(borrowWithin)
	for tries := 0; tries < 3; {
		if again {
			tries++
			s, err := d.read(ctx, req.ID)
			if err != nil {
				return Outcome{}, err
			}
			st = &s
		} else {
			if sold { // nothing was left anywhere before this draw was made: what it found is final
				return Outcome{Kind: SoldOut, Now: dryAt}, nil
			}
			if dries++; dries > 8 || !d.h.now().Before(until) { // others take each range before us
				return Outcome{}, Later(300*time.Millisecond, errDry)
			}
			var err error
			if sold, err = d.borrow(ctx, req.ID, int(st.spread), partOf(req.UID, st.spread)); err != nil {
				return Outcome{}, err
			}
		}
		out, more, err := d.draw(ctx, req, st)
		dry := errors.Is(err, errDry)
		if !more && !dry {
			return out, err
		}
		again, dryAt = more, out.Now
	}
	return Outcome{}, Later(time.Second, fmt.Errorf("redpacket: the record of %s changes under every draw", req.ID))
}

// draw asks the home once; again says that the record it went by is not the home's.
func (d *Home) draw(ctx context.Context, req *DrawRequest, st *State) (out Outcome, again bool, err error) {
	pass := "0" // none: who has won hears it, with any password or without
	if st.Lock == LockPassword && req.Password != "" {
		if pass = "2"; d.h.ids.passwordMatches(req.ID, req.Password, st.password) {
			pass = "1"
		}
	}
	fan := "0"
	if req.Fan {
		fan = "1"
	} else if st.Audience == AudienceFans && d.Relations != nil {
		is, err := d.Relations.Fan(ctx, st.Sender, req.UID)
		if err != nil {
			return Outcome{}, false, Later(time.Second, err)
		}
		if is {
			fan = "1"
		}
	}
	f := drawFrom(req.ID, req.UID, st)
	if st.Mode == ModePortal {
		out, again, err = d.drawPortal(ctx, f, req, st.Cap, fan, pass)
	} else {
		out, again, err = d.drawTogether(ctx, f, req.UID, fan, pass)
	}
	if f.part > 0 && errors.Is(err, ErrNotFound) { // it is being set up, or written again
		err = Later(300*time.Millisecond, fmt.Errorf("%w: part %d of %s", ErrNotReady, f.part, req.ID))
	}
	if err != nil || again {
		return out, again, err
	}
	out, err = d.tell(ctx, out)
	return out, false, err
}

// tell holds a win back until it may be told.
func (d *Home) tell(ctx context.Context, out Outcome) (Outcome, error) {
	if out.Kind == Won || out.Kind == Already {
		if err := d.confirm(ctx, out.Pos); err != nil {
			return Outcome{}, err
		}
	}
	return out, nil
}

// drawPortal makes one draw from a portal.
func (d *Home) drawPortal(ctx context.Context, f from, req *DrawRequest, most int64, fan, pass string) (Outcome, bool, error) {
	if !ValidUID(req.N) {
		return Outcome{}, false, fieldError("Idempotency-Key", CodeInvalid,
			"a draw from a portal brings one, of 1 to 64 of A-Z a-z 0-9 _ -, and repeats it when it asks again")
	}
	chance, err := d.chance()
	if err != nil {
		return Outcome{}, false, err
	}
	b := f.id.Bucket()
	k, text := &d.h.keys[b], f.id.String()
	keys := k.base(k.rp(text), k.prize(text), k.winners(text, req.UID, f.hashes))
	if f.guarded {
		keys = append(keys, k.list(text), k.tries(text))
	}
	args := []string{text, req.UID, text64(f.hashes), fan, pass, text64(d.Tries), req.N, chance, text64(most)}
	reply, set, err := d.h.run(ctx, b, script.Portal, keys, args, nil)
	if err != nil {
		return Outcome{}, false, err
	}
	return parseDraw(script.Portal, reply, b, set.Epoch)
}

// confirm waits until the ledger has what stands at pos, where it is waited for at all.
func (d *Home) confirm(ctx context.Context, pos Position) error {
	if d.Confirm == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, confirmWithin)
	defer cancel()
	if err := d.Confirm(ctx, pos); err != nil {
		return Later(500*time.Millisecond, err)
	}
	return nil
}

// chance is a uniform number of six digits.
func (d *Home) chance() (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(d.Random, b[:]); err != nil {
		return "", fmt.Errorf("redpacket: reading random bits: %w", err)
	}
	return strconv.FormatUint(binary.BigEndian.Uint64(b[:])%1_000_000, 10), nil
}

// parseDraw reads what draw.lua and portal.lua answer one user. Nothing of the outcome stays in reply,
// which is used again.
func parseDraw(name script.Name, reply []byte, bucket int, epoch uint64) (o Outcome, again bool, err error) {
	pos := Position{Bucket: bucket, Epoch: epoch}
	c := cutter{rest: unsafe.String(unsafe.SliceData(reply), len(reply)), sep: '|'}
	switch c.text() {
	case "won":
		o = Outcome{Kind: Won, Share: c.int(), Amount: c.int(), Now: c.int(), Pos: pos}
		o.Pos.Seq = uint64(c.int())
		if c.rest != "" {
			o.setPrize(strings.Clone(c.text()))
			o.Left = c.int()
		}
	case "already":
		o, _, err = parseWin(c.text())
		o.Now, o.Pos = c.int(), pos
		o.Pos.Seq = uint64(c.int())
	case "nothing": // a portal's draw that met no prize
		o = Outcome{Kind: SoldOut, Left: c.int(), Now: c.int()}
	case "soldout":
		o = Outcome{Kind: SoldOut, Now: c.int()}
	case "closed":
		o = Outcome{Kind: Closed, Now: c.int()}
	case "notopen":
		o = Outcome{Kind: NotOpen, OpensAt: c.int(), Now: c.int()}
	case "denied":
		o = Outcome{Kind: Denied, Reason: strings.Clone(c.text()), Left: c.int(), Now: c.int()}
	case "hashes":
		return o, true, nil
	case "dry":
		return Outcome{Now: c.int()}, false, errDry
	case "none":
		return o, false, ErrNotFound
	case "frozen":
		return o, false, Later(5*time.Second, ErrFrozen)
	default:
		return o, false, oddReply(name, reply)
	}
	if c.bad {
		return Outcome{}, false, oddReply(name, reply)
	}
	return o, false, err
}

// read asks the home for the record that the cache did not have.
func (d *Home) read(ctx context.Context, id ID) (State, error) {
	text := id.String()
	asks := []ask{{bucket: id.Bucket(), key: d.h.keys[id.Bucket()].rp(text), fields: []string{"ep", "ev", "s", "k", "n", "la"}}}
	d.h.ask(ctx, asks)
	if asks[0].err != nil {
		return State{}, asks[0].err
	}
	vals := asks[0].vals
	payload, ok1 := vals[0].(string)
	version, ok2 := vals[1].(string)
	if !ok1 || !ok2 {
		return State{}, ErrNotFound
	}
	v, _ := parseVersion(version)
	st, err := parseState(id, payload, v, d.h.now().UnixMilli())
	if err != nil {
		return st, err
	}
	if st.spread > 1 {
		if list := d.h.pieces(ctx, id, int(st.spread), 0); broken(list) == nil && list[0].b == 0 && list[0].state != "p" {
			st.Left, st.LeftAmount, st.Quarantined = total(list)
		}
		return st, nil
	}
	if taken, ok := vals[3].(string); ok { // newer than what was emitted
		if k, err := strconv.ParseInt(taken, 10, 64); err == nil {
			st.Left = st.Count - k
		}
	}
	if la, ok := vals[5].(string); ok {
		st.LeftAmount, _ = strconv.ParseInt(la, 10, 64)
	}
	return st, nil
}

// Show implements Desk.
func (d *Home) Show(ctx context.Context, id ID) (State, error) {
	reads := []cachesync.Read{{Key: cachesync.RedPacketKey(id.String())}}
	if err := d.Cache.Read(ctx, reads); err != nil {
		return State{}, Later(200*time.Millisecond, err)
	}
	seen := Seen{Now: d.h.now().UnixMilli()}
	seen.setRedPacket(id, &reads[0])
	switch {
	case seen.Found:
		return seen.State, nil
	case seen.Gone:
		return State{}, ErrNotFound
	}
	return d.read(ctx, id)
}

// commitHex is the promise of a seed as it is shown.
func commitHex(c [32]byte) string { return hex.EncodeToString(c[:]) }
