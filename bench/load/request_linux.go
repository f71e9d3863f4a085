package load

import (
	"strconv"

	"golang.org/x/sys/unix"

	"sluice/bench/load/record"
	"sluice/bench/load/scenario"
	"sluice/bench/load/wire"
)

type eventList = []unix.EpollEvent

// compose appends the bytes of u's request.
func (l *loop) compose(b []byte, u *user, t *target) []byte {
	r := u.request
	l.scope = scenario.Scope{UID: u.uid, Number: u.number, Seq: u.seq, Run: l.cfg.Run, Locals: &u.locals, Lists: l.prog.Lists}
	b = append(append(append(b, r.Method...), ' '), t.base...)
	b = r.Path.Append(b, &l.scope)
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), t.host...), "\r\n"...)
	if l.minter != nil && !r.NoToken {
		b = append(append(append(b, "Authorization: Bearer "...), l.token(u, r.Scope)...), "\r\n"...)
	}
	b = r.Headers.Append(append(b, l.cfg.Headers...), &l.scope)
	if l.cfg.NewConnections {
		b = append(b, "Connection: close\r\n"...)
	}
	if r.Body.Empty() {
		if r.Method != "GET" && r.Method != "HEAD" {
			b = append(b, "Content-Length: 0\r\n"...)
		}
		return append(b, "\r\n"...)
	}
	// The body's length is not known before it is written: leave room for the number.
	b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
	mark := len(b)
	b = append(b, "       \r\n\r\n"...) // optional white space after the number is legal
	start := len(b)
	b = r.Body.Append(b, &l.scope)
	strconv.AppendInt(b[mark:mark], int64(len(b)-start), 10)
	return b
}

// token is the user's token for a scope; minted when first wanted, kept while it serves.
func (l *loop) token(u *user, scope string) []byte {
	if scope == "" && u.number < uint64(len(l.tokens)) {
		if l.tokens[u.number] == nil {
			l.tokens[u.number] = l.minter.Append(nil, u.uid, "")
		}
		return l.tokens[u.number]
	}
	if len(u.token) == 0 || u.scope != scope {
		u.token, u.scope = l.minter.Append(u.token[:0], u.uid, scope), scope
	}
	return u.token
}

// finish counts u's request, answered in p unless kind is an error, and returns the time.
func (l *loop) finish(u *user, p *wire.Parser, sent int64, kind int) int64 {
	now := l.now()
	r := u.request
	l.hit = record.Hit{Step: r.Index, Intended: u.intended, Taken: u.taken, Sent: sent, At: now, Err: kind}
	u.outcome = u.outcome[:0]
	if kind == record.ErrNone {
		l.hit.Status, l.hit.Size = p.Status, p.Size
		if body := p.Body; len(body) > 0 && body[0] == '{' {
			u.outcome = append(u.outcome, Outcome(body)...)
		}
		l.hit.Outcome = u.outcome
		l.hit.Unexpected = !r.Expected(p.Status, u.outcome)
		l.extract(u, r, p)
	}
	l.rec.Add(&l.hit)
	return now
}

// Outcome is what an answer says: its outcome, else its state, else its error's code.
func Outcome(body []byte) []byte {
	for _, field := range [...]string{"outcome", "state", "code"} {
		if v := wire.Field(body, field); v != nil {
			return v
		}
	}
	return nil
}

func (l *loop) extract(u *user, r *scenario.Request, p *wire.Parser) {
	for _, e := range r.Extract {
		u.locals[e.Local] = append(u.locals[e.Local][:0], wire.Field(p.Body, e.Field)...)
	}
	if r.Funds && l.cfg.OnFund != nil && p.Status/100 == 2 {
		if id := wire.Field(p.Body, "id"); len(id) > 0 {
			l.cfg.OnFund(string(id), r.Fen)
		}
	}
}
