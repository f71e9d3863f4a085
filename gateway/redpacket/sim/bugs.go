package sim

import (
	"context"
	"errors"

	"sluice/cachesync"
	"sluice/gateway/redpacket"
	"sluice/gateway/redpacket/script"
)

// Bug is a known mistake that can be put back in.
type Bug int

// The mistakes.
const (
	None            Bug = iota
	RetryWithoutID      // a draw does not look whether (uid, n) has an outcome
	PositionApart       // the settle position moves outside the transaction
	Decrement           // the last share is "taken" whenever a counter stands at its end
	CloseNoFence        // draws go on after close
	RefundTwice         // every close tells what is left once more
	EvalFallback        // NOSCRIPT is answered by loading the script
	SoldOutHidesWin     // a cached soldout is told without asking home
	TakeTwice           // a part adds a range again when the move comes again
	GiveWithoutNote     // a part gives a range and keeps no note of it
	SoldOutTooSoon      // a dry part says soldout before it has borrowed
	FenceOnePart        // only part 0 of a spread red packet is fenced before close
	TwiceInABatch       // a user who comes twice in one batch is not seen by the script
	bugs
)

var bugNames = [bugs]string{"none", "retry without id", "position apart", "decrement", "close without fence", "refund twice",
	"eval fallback", "soldout hides a win", "take twice", "give without note", "soldout too soon", "fence one part", "twice in a batch"}

func (b Bug) String() string { return bugNames[b] }

// Bugs lists them all.
func Bugs() (all []Bug) {
	for b := RetryWithoutID; b < bugs; b++ {
		all = append(all, b)
	}
	return all
}

// plant changes the scripts.
func (b Bug) plant(book *script.Book) {
	replace := func(n script.Name, old, new string) {
		if err := book.Replace(n, old, new); err != nil {
			panic(err)
		}
	}
	switch b {
	case RetryWithoutID:
		replace(script.Draw, "if had[i] then", "had[i] = nil\n  if had[i] then")
	case TwiceInABatch:
		replace(script.Draw, "mine[uid] or", "")
	case Decrement:
		replace(script.Draw, "if k >= n then", "if k >= n then\n  k = n - 1\nend\nif false then")
		replace(script.Draw, "or amount > la then", "then")
	case CloseNoFence:
		replace(script.Draw, "if rp[1] == 'c' or rp[1] == 'e' or NOW", "if rp[1] == 'e' or NOW")
		replace(script.Draw, "if (rp[1] ~= 'o' and rp[1] ~= 'x') or", "if (rp[1] ~= 'o' and rp[1] ~= 'x' and rp[1] ~= 'c') or")
	case TakeTwice:
		replace(script.Take, "redis.call('SISMEMBER', KEYS[6], ARGV[2]) == 1", "false")
	case GiveWithoutNote:
		replace(script.Give, "redis.call('HMSET', KEYS[6], move,", "tostring(")
		replace(script.Give, "'nt', T(tonumber(rp[7]) + 1)", "'nt', '0'")
	case SoldOutTooSoon:
		replace(script.Draw, "if rp[16] and rp[1] ~= 'x' then", "if false then")
	case FenceOnePart:
		replace(script.Draw, "if rp[1] == 'c' or rp[1] == 'e' or NOW", "if (rp[1] == 'c' and (rp[16] or '0') == '0') or rp[1] == 'e' or NOW")
		replace(script.Draw, "or rp[1] == 'z' then", "then")
		replace(script.Draw, "if (rp[1] ~= 'o' and rp[1] ~= 'x') or", "if (rp[1] ~= 'o' and rp[1] ~= 'x' and not (rp[16] and rp[16] ~= '0')) or")
	case RefundTwice:
		replace(script.Close, "if rp[1] == 'c' then", "if false then")
		replace(script.Close, "if rp[1] ~= 'o' and rp[1] ~= 'x' then", "if rp[1] ~= 'o' and rp[1] ~= 'x' and rp[1] ~= 'c' then")
	}
}

// evalFallback does what most clients do by themselves.
type evalFallback struct {
	redpacket.Backend
	w *World
}

func (e evalFallback) EvalSHA(ctx context.Context, sha string, keys, args []string, dst []byte) ([]byte, error) {
	out, err := e.Backend.EvalSHA(ctx, sha, keys, args, dst)
	if errors.Is(err, redpacket.ErrFenced) {
		for epoch := uint64(1); epoch < 60; epoch++ {
			set := e.w.book.At(epoch)
			for _, n := range script.All() {
				if set.SHA(n) == sha {
					e.w.redis.do("SCRIPT", "LOAD", set.Text(n))
					return e.Backend.EvalSHA(ctx, sha, keys, args, dst)
				}
			}
		}
	}
	return out, err
}

func (b Bug) backend(w *World, next redpacket.Backend) redpacket.Backend {
	if b == EvalFallback {
		return evalFallback{next, w}
	}
	return next
}

// answer is what a gateway with the bug says without asking home.
func (b Bug) answer(w *World, p *packet, uid string) (redpacket.Outcome, bool) {
	if b != SoldOutHidesWin {
		return redpacket.Outcome{}, false
	}
	reads := []cachesync.Read{{Key: cachesync.WinKey(p.id.String(), uid), NoFill: true}}
	if w.cache.Read(context.Background(), reads); reads[0].State == cachesync.Hit {
		return redpacket.Outcome{}, false
	}
	st, err := w.desk.Show(context.Background(), p.id)
	return redpacket.Outcome{Kind: redpacket.SoldOut}, err == nil && st.State == redpacket.StateSoldOut
}
