// Package history is the specification of draws that recorded histories are checked against with
// porcupine: is there one order of all draws that explains every answer?
//
//	won      the next share, to a user who has none
//	already  the same share again
//	soldout  only to who has none, when all shares are taken
package history

import "github.com/anishathalye/porcupine"

// Draw is one call: who drew.
type Draw struct{ UID string }

// Answer is what came back: the outcome's word and the share. Lost says that no answer came, so
// that the draw may have happened or not.
type Answer struct {
	Outcome string
	Share   int64
	Lost    bool
}

// state is who has which share; shares are taken in order.
type state struct {
	count int64
	won   map[string]int64
}

func (s state) with(uid string) state {
	next := state{s.count, map[string]int64{uid: s.taken()}}
	for k, v := range s.won {
		next.won[k] = v
	}
	return next
}

func (s state) taken() int64 { return int64(len(s.won)) }

func (s state) step(op Draw, out Answer) (next []any) {
	share, has := s.won[op.UID]
	free := !has && s.taken() < s.count
	switch {
	case out.Lost: // whatever it would have done, or nothing
		if next = append(next, s); free {
			next = append(next, s.with(op.UID))
		}
	case out.Outcome == "won" && free && out.Share == s.taken():
		next = append(next, s.with(op.UID))
	case out.Outcome == "already" && has && out.Share == share,
		out.Outcome == "soldout" && !has && s.taken() == s.count:
		next = append(next, s)
	}
	return next
}

// Model is the specification of a red packet of count shares; its inputs are Draw, its outputs Answer.
func Model(count int64) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{state{count, map[string]int64{}}} },
		Step: func(s, in, out any) []any { return s.(state).step(in.(Draw), out.(Answer)) },
		Equal: func(a, b any) bool {
			x, y := a.(state), b.(state)
			if len(x.won) != len(y.won) {
				return false
			}
			for k, v := range x.won {
				if w, ok := y.won[k]; !ok || w != v {
					return false
				}
			}
			return true
		},
	}
	return m.ToModel()
}
