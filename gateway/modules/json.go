package modules

import (
	"strconv"

	"sluice/gateway/answer"
	"sluice/gateway/ledger"
	"sluice/gateway/redpacket"
	"sluice/gateway/room"
)

func appendInt(b []byte, name string, n int64) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendInt(b, n, 10)
}

func appendText(b []byte, name, text string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return answer.AppendString(b, text)
}

func appendTime(b []byte, name string, unixMS int64) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return answer.AppendTime(b, unixMS)
}

// appendOutcome: only won and already carry an amount.
func appendOutcome(b []byte, o *redpacket.Outcome) []byte {
	b = append(b, `{"outcome":"`...)
	b = append(b, o.Kind.String()...)
	b = append(b, '"')
	switch o.Kind {
	case redpacket.Won, redpacket.Already:
		b = appendInt(b, "amount", o.Amount)
		b = appendInt(b, "share", o.Share)
		if o.Prize != "" {
			b = appendText(b, "prize", o.Prize)
		}
		if o.Code != "" {
			b = appendText(b, "code", o.Code)
		}
	case redpacket.NotOpen:
		b = appendTime(b, "opens_at", o.OpensAt)
		b = appendTime(b, "now", o.Now)
	case redpacket.Denied:
		b = appendText(b, "reason", o.Reason)
		if o.Reason == "password" {
			b = appendInt(b, "tries_left", o.Left)
		}
	}
	return append(b, '}', '\n')
}

func appendState(b []byte, s *redpacket.State, now int64) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, s.ID.String()...)
	b = append(b, '"')
	b = appendText(b, "state", s.State)
	b = appendText(b, "sender", s.Sender)
	b = appendText(b, "mode", s.Mode)
	b = appendText(b, "audience", s.Audience)
	b = appendText(b, "lock", s.Lock)
	b = appendInt(b, "amount", s.Amount)
	b = appendInt(b, "count", s.Count)
	b = appendInt(b, "left", s.Left)
	b = appendInt(b, "left_amount", s.LeftAmount)
	if s.Cap > 0 {
		b = appendInt(b, "cap", s.Cap)
	}
	b = appendTime(b, "opens_at", s.OpensAt)
	b = appendTime(b, "closes_at", s.ClosesAt)
	if s.Commit != "" {
		b = appendText(b, "commit", s.Commit)
	}
	if s.Seed != "" {
		b = appendText(b, "seed", s.Seed)
	}
	b = appendTime(b, "now", now)
	return append(b, '}', '\n')
}

func appendWinners(b []byte, page redpacket.WinnersPage, now int64) []byte {
	b = append(b, `{"winners":[`...)
	for i, w := range page.Winners {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"uid":`...)
		b = answer.AppendString(b, w.UID)
		b = appendInt(b, "share", w.Share)
		b = appendInt(b, "amount", w.Amount)
		if w.Prize != "" {
			b = appendText(b, "prize", w.Prize)
		}
		b = appendTime(b, "won_at", w.WonAt)
		b = append(b, '}')
	}
	return appendNext(append(b, ']'), page.Next, now)
}

// appendNext ends a page: where the next begins, or null.
func appendNext(b []byte, next string, now int64) []byte {
	if next == "" {
		b = append(b, `,"next":null`...)
	} else {
		b = appendText(b, "next", next)
	}
	b = appendTime(b, "now", now)
	return append(b, '}', '\n')
}

func appendWins(b []byte, wins []ledger.Award, next string, now int64) []byte {
	b = append(b, `{"wins":[`...)
	for i := range wins {
		w := &wins[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"redpacket":`...)
		b = answer.AppendString(b, w.RedPacket)
		b = appendInt(b, "share", int64(w.Share))
		b = appendInt(b, "amount", w.Amount)
		if w.Prize != "" {
			b = appendText(b, "prize", w.Prize)
		}
		b = appendTime(b, "won_at", w.At.UnixMilli())
		b = appendText(b, "payout", payoutWord(w.PayState))
		if w.PayState == ledger.Paid {
			b = appendTime(b, "paid_at", w.PaidAt.UnixMilli())
		}
		b = append(b, '}')
	}
	return appendNext(append(b, ']'), next, now)
}

// payoutWord: a winner needs to know no more than whether his money is there.
func payoutWord(s ledger.PayState) string {
	if s == ledger.Paid {
		return "paid"
	}
	return "payable"
}

func appendEntry(b []byte, e room.Entry, now int64) []byte {
	b = append(b, `{"room":{"id":`...)
	b = answer.AppendString(b, e.Room.ID)
	b = appendText(b, "title", e.Room.Title)
	b = appendText(b, "state", e.Room.State)
	b = appendInt(b, "capacity", e.Room.Capacity)
	b = append(b, `},"push":[`...)
	for i, address := range e.Push {
		if i > 0 {
			b = append(b, ',')
		}
		b = answer.AppendString(b, address)
	}
	b = append(b, ']')
	b = appendText(b, "token", e.Token)
	b = appendTime(b, "token_until", e.Until.UnixMilli())
	b = appendTime(b, "now", now)
	return append(b, '}', '\n')
}
