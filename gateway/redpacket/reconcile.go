package redpacket

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// ReconcileLedger is what reconciling needs of the ledger.
type ReconcileLedger interface {
	RedPacket(ctx context.Context, id string) (ledger.RedPacket, error)
	Reconcile(ctx context.Context, redPacket string, fn func(*ledger.Award) error) (ledger.Sums, error)
}

// Kinds of differences.
const (
	Missing     = "missing"      // taken, and nobody has it
	Double      = "double"       // a share or a (uid, n) twice
	WrongAmount = "wrong amount" // not what the split gives
	Orphan      = "orphan"       // a win of what was not drawn, or that Redis knows otherwise
	Unbalanced  = "unbalanced"   // the sums do not meet
)

// Difference is one thing that does not fit.
type Difference struct {
	Kind      string `json:"kind"`
	RedPacket string `json:"redpacket"`
	Share     int64  `json:"share"` // -1 when it is about the whole
	UID       string `json:"uid,omitempty"`
	Detail    string `json:"detail"`
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: red packet %s share %d uid %q: %s", d.Kind, d.RedPacket, d.Share, d.UID, d.Detail)
}

// maxDifferences bounds a report; the first ones tell what is wrong.
const maxDifferences = 1000

// Report is a reconcile at one stream position. All money is in fen.
type Report struct {
	RedPacket   string       `json:"redpacket"`
	Sender      string       `json:"sender"`
	State       string       `json:"state"`
	Position    string       `json:"position"` // of the bucket's win stream, where the cut is made
	Funded      int64        `json:"funded"`
	Paid        int64        `json:"paid"`
	Payable     int64        `json:"payable"`
	Unsettled   int64        `json:"unsettled"` // won, or told back to the sender, and not posted yet
	Left        int64        `json:"left"`
	Refunding   int64        `json:"refunding"`
	Refunded    int64        `json:"refunded"`
	Quarantined int64        `json:"quarantined"`
	Awards      int64        `json:"awards"` // rows, without the unsettled
	Count       int64        `json:"count"`
	Commit      string       `json:"commit"` // SHA-256 of the split seed
	Seed        string       `json:"seed,omitempty"`
	Differences []Difference `json:"differences"`
	At          time.Time    `json:"at"`
}

// Clean reports whether everything fits to the fen.
func (r *Report) Clean() bool { return len(r.Differences) == 0 }

func (r Report) String() string {
	s := fmt.Sprintf("red packet %s %s at %s: funded %d = paid %d + payable %d + unsettled %d + left %d + refunding %d + refunded %d",
		r.RedPacket, r.State, r.Position, r.Funded, r.Paid, r.Payable, r.Unsettled, r.Left, r.Refunding, r.Refunded)
	if r.Quarantined != 0 {
		s += fmt.Sprintf(" + quarantined %d", r.Quarantined)
	}
	for _, d := range r.Differences {
		s += "\n  " + d.String()
	}
	return s
}

func (r *Report) differ(kind string, share int64, uid, format string, args ...any) {
	if len(r.Differences) < maxDifferences {
		r.Differences = append(r.Differences, Difference{kind, r.RedPacket, share, uid, fmt.Sprintf(format, args...)})
	}
}

// cut is Redis at one moment.
type cut struct {
	found   bool
	state   string
	k, n    int64
	left    int64
	q, qFen int64
	win     uint64
	events  []event
	first   uint64 // p of the first event behind the ledger's position
	any     bool
	// Of a part of a spread one.
	late  [][2]int64      // ranges that came while it was fenced
	notes []note          // ranges that it gave and that are not cleared
	taken map[string]bool // moves that it took
}

// Reconcile compares split plan, Redis and ledger at one stream position: the ledger is read
// first, at its position; then Redis, at one moment, with the events behind that position.
func Reconcile(ctx context.Context, h *House, l ReconcileLedger, id ID) (Report, error) {
	for try := 0; ; try++ {
		r, again, err := reconcile(ctx, h, l, id)
		if !again || try == 10 {
			return r, err
		}
		// The settler posted and trimmed between the two readings.
		if err := h.sleep(ctx, time.Duration(try+1)*10*time.Millisecond); err != nil {
			return r, err
		}
	}
}

func reconcile(ctx context.Context, h *House, l ReconcileLedger, id ID) (r Report, again bool, err error) {
	text := id.String()
	r = Report{RedPacket: text, At: h.now().UTC()}
	row, err := l.RedPacket(ctx, text)
	if err != nil {
		return r, false, fmt.Errorf("reconcile %s: %w", text, err)
	}
	sp, err := parseSpec(row.Spec)
	if err != nil {
		return r, false, err
	}
	plan, err := amounts(&sp, row.Seed, 2)
	if err != nil {
		return r, false, fmt.Errorf("reconcile %s: %w", text, err)
	}
	book := newTally(&r, &sp, plan)
	sums, err := l.Reconcile(ctx, text, func(a *ledger.Award) error {
		book.win(&a.Win)
		return nil
	})
	if err != nil {
		return r, false, fmt.Errorf("reconcile %s: %w", text, err)
	}
	r.fill(&row, &sums, sums.Positions[id.Bucket()].Position)
	cuts := make([]cut, sp.parts())
	moves := sums.Moves
	for i := range cuts {
		c := &cuts[i]
		b := id.PartBucket(i)
		pos := sums.Positions[b].Position
		if *c, err = h.cut(ctx, id, i, sp.parts(), pos); err != nil {
			return r, false, fmt.Errorf("reconcile %s: %w", text, err)
		}
		if c.any && c.first != pos.Seq || !c.any && c.win > pos.Seq {
			return r, true, fmt.Errorf("reconcile %s: the win stream of bucket %d behind the ledger's position %s is not whole", text, b, pos)
		}
		for j := range c.events {
			switch e := &c.events[j]; {
			case e.isEnd:
				r.Unsettled += e.end.Left
				book.closed(e.end.LeftShares)
			case e.isMove:
				e.move.From = b
				moves = append(moves, e.move)
			default:
				book.win(&e.win)
				r.Unsettled += e.win.Amount
			}
		}
	}
	for i := range sums.Closes {
		book.closed(sums.Closes[i].LeftShares)
	}
	if again := book.transit(id, cuts, moves); again {
		return r, true, fmt.Errorf("reconcile %s: ranges move between its parts under every reading", text)
	}
	for _, held := range sums.Held {
		if held.Released == "" {
			book.hold(int64(held.Share))
		}
	}
	book.check(cuts, &sums)
	return r, book.lost, nil
}

func (r *Report) fill(row *ledger.RedPacket, s *ledger.Sums, pos ledger.Position) {
	r.Sender, r.State, r.Position = row.Sender, row.State, pos.String()
	r.Funded, r.Paid, r.Payable = s.Funded, s.Paid, s.Payable
	r.Refunding, r.Refunded, r.Quarantined = s.Refunding, s.Refunded, s.Quarantined
	r.Awards, r.Count = int64(s.Awards), int64(row.Count)
	r.Commit = fmt.Sprintf("%x", row.SeedHash)
	if row.State == ledger.Closed || row.State == ledger.Refunded {
		r.Seed = fmt.Sprintf("%x", row.Seed)
	}
}

// tally counts who has which share.
type tally struct {
	r    *Report
	sp   *spec
	plan []int64 // nil for a portal
	list *prizesWon
	has  []bool
	who  map[string]int64 // uid|n -> share; only for red packets small enough
	won  int64
	next int64
	ends int          // close events known
	back int64        // shares that they sent back
	road map[int]bool // shares on their way between parts
	lost bool         // a range on its way has no note: it may have arrived between the readings
}

func newTally(r *Report, sp *spec, plan []int64) *tally {
	return &tally{r: r, sp: sp, plan: plan, list: newPrizesWon(sp), has: make([]bool, sp.Count), who: make(map[string]int64, sp.Count)}
}

func (t *tally) win(w *ledger.Win) {
	share := int64(w.Share)
	if share < 0 || share >= int64(len(t.has)) {
		t.r.differ(Orphan, share, w.UID, "the red packet has %d shares", len(t.has))
		return
	}
	if t.has[share] {
		t.r.differ(Double, share, w.UID, "the share has another winner too")
	}
	t.has[share] = true
	who := w.UID
	if w.N != "1" {
		who += "|" + w.N
	}
	if other, ok := t.who[who]; ok {
		t.r.differ(Double, share, w.UID, "the user has share %d of the same draw too", other)
	}
	t.who[who] = share
	if t.plan != nil && t.plan[share] != w.Amount {
		t.r.differ(WrongAmount, share, w.UID, "won %d fen, the split gives %d", w.Amount, t.plan[share])
	}
	if kind, detail := t.list.add(w); kind != "" {
		t.r.differ(kind, share, w.UID, "%s", detail)
	}
	t.won += w.Amount
	t.next = max(t.next, share+1)
}

func (t *tally) hold(share int64) {
	if share >= 0 && share < int64(len(t.has)) {
		if t.has[share] {
			t.r.differ(Double, share, "", "won and quarantined")
		}
		t.has[share] = true
	}
}

// closed counts a close event; a spread red packet has one for each part.
func (t *tally) closed(shares int) {
	t.ends++
	t.back += int64(shares)
}

// check holds the sums and the shares against Redis.
func (t *tally) check(cuts []cut, s *ledger.Sums) {
	r := t.r
	if err := s.Check(); err != nil {
		r.differ(Unbalanced, -1, "", "%v", err)
	}
	c := &cuts[0]
	switch {
	case len(cuts) > 1:
		t.sumParts(cuts)
	case c.found && t.ends == 0 && c.state != "c":
		r.Left = c.left
	case c.found && t.ends == 0:
		r.differ(Unbalanced, -1, "", "closed in Redis, and no close event is known")
	case !c.found && t.ends == 0 && s.RedPacket.State == ledger.Funded:
		r.differ(Missing, -1, "", "Redis has no such red packet")
	}
	if sum := r.Paid + r.Payable + r.Unsettled + r.Left + r.Refunding + r.Refunded + r.Quarantined; sum != r.Funded {
		r.differ(Unbalanced, -1, "", "funded %d, all the rest sums to %d", r.Funded, sum)
	}
	if len(cuts) > 1 {
		t.checkParts(cuts, s)
		return
	}
	taken := t.next
	if c.found && c.k >= 0 && c.state != "p" && c.state != "u" {
		taken = c.k
	}
	for share := range int64(len(t.has)) {
		if share < taken && !t.has[share] && !t.released(s, share) {
			r.differ(Missing, share, "", "taken, and no award, event or quarantine is known")
		}
		if share >= taken && t.has[share] {
			r.differ(Orphan, share, "", "won, and Redis has taken only %d", taken)
		}
	}
}

func (t *tally) released(s *ledger.Sums, share int64) bool {
	for _, h := range s.Held {
		if int64(h.Share) == share && h.Released != "" {
			return true
		}
	}
	return false
}

// cut reads one part in Redis at one moment.
func (h *House) cut(ctx context.Context, id ID, part, parts int, pos ledger.Position) (c cut, err error) {
	text, b := id.String(), id.PartBucket(part)
	k := &h.keys[b]
	set, err := h.set(ctx, b)
	if err != nil {
		return c, err
	}
	keys, args := k.base(k.part(text, part)), []any{text, pos.String()}
	if parts > 1 {
		keys = append(keys, k.notes(text), k.taken(text))
	}
	vals, err := h.control.EvalSha(ctx, set.SHA(script.Recon), keys, args...).Slice()
	if err != nil && isFenced(scriptError(err)) {
		if set, changed := h.relearn(ctx, b, set); changed {
			vals, err = h.control.EvalSha(ctx, set.SHA(script.Recon), keys, args...).Slice()
		}
	}
	if err != nil {
		return c, scriptError(err)
	}
	if len(vals) < 10 {
		return c, fmt.Errorf("redpacket: script recon answered %v", vals)
	}
	str := func(i int) string { s, _ := vals[i].(string); return s }
	num := func(i int) int64 { n, _ := strconv.ParseInt(str(i), 10, 64); return n }
	c = cut{found: str(0) != "", state: str(0), k: num(1), n: num(2), left: num(3), q: num(4), qFen: num(5),
		win: uint64(num(7)), first: uint64(num(8)), any: str(8) != ""}
	entries, _ := vals[9].([]any)
	for _, e := range entries {
		m, err := rawMessage(e)
		if err != nil {
			return c, err
		}
		ev, err := parseEvent(m)
		if err != nil {
			return c, err
		}
		c.events = append(c.events, ev)
	}
	if parts > 1 && len(vals) == 13 {
		err = c.parts(str(10), vals[11], vals[12])
	}
	return c, err
}

// rawMessage reads a stream entry as a script returns it.
func rawMessage(e any) (redis.XMessage, error) {
	pair, _ := e.([]any)
	if len(pair) != 2 {
		return redis.XMessage{}, errEvent
	}
	id, _ := pair[0].(string)
	fields, _ := pair[1].([]any)
	m := redis.XMessage{ID: id, Values: map[string]any{}}
	for i := 0; i+1 < len(fields); i += 2 {
		name, _ := fields[i].(string)
		m.Values[name] = fields[i+1]
	}
	return m, nil
}

// Proof is the document that `--proof FILE` writes of a closed red packet: the clean report and
// what is needed to repeat the split.
func Proof(r *Report, row *ledger.RedPacket) ([]byte, error) {
	if !r.Clean() {
		return nil, fmt.Errorf("redpacket: no proof of %s: it does not reconcile:\n%s", r.RedPacket, r)
	}
	if r.State != ledger.Closed && r.State != ledger.Refunded {
		return nil, fmt.Errorf("%w: a proof is written after close, and %s is %s", ErrNotReady, r.RedPacket, r.State)
	}
	if r.Unsettled != 0 {
		return nil, fmt.Errorf("%w: %d fen of %s are not settled yet", ErrNotReady, r.Unsettled, r.RedPacket)
	}
	sp, err := parseSpec(row.Spec)
	if err != nil {
		return nil, err
	}
	doc := struct {
		Report Report `json:"report"`
		Split  any    `json:"split"`
	}{*r, map[string]any{"algorithm": strings.TrimSpace(splitAlgorithm), "mode": sp.Mode, "amount": sp.Amount, "count": sp.Count,
		"min": sp.Min, "max": sp.Max, "seed": r.Seed, "commit": r.Commit}}
	return json.MarshalIndent(doc, "", "  ")
}

// splitAlgorithm names the version of package split.
const splitAlgorithm = "sluice split 1"
