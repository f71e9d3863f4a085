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
	pos := sums.Positions[id.Bucket()].Position
	c, err := h.cut(ctx, id, pos)
	if err != nil {
		return r, false, fmt.Errorf("reconcile %s: %w", text, err)
	}
	if c.any && c.first != pos.Seq || !c.any && c.win > pos.Seq {
		return r, true, fmt.Errorf("reconcile %s: the win stream behind the ledger's position %s is not whole", text, pos)
	}
	r.fill(&row, &sums, pos)
	for i := range c.events {
		if e := &c.events[i]; e.isEnd {
			r.Unsettled += e.end.Left
			book.ended = true
		} else {
			book.win(&e.win)
			r.Unsettled += e.win.Amount
		}
	}
	book.ended = book.ended || len(sums.Closes) > 0
	for _, held := range sums.Held {
		if held.Released == "" {
			book.hold(int64(held.Share))
		}
	}
	book.check(&c, &sums)
	return r, false, nil
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
	r     *Report
	sp    *spec
	plan  []int64 // nil for a portal
	has   []bool
	who   map[string]int64 // uid|n -> share; only for red packets small enough
	won   int64
	next  int64
	ended bool
}

func newTally(r *Report, sp *spec, plan []int64) *tally {
	return &tally{r: r, sp: sp, plan: plan, has: make([]bool, sp.Count), who: make(map[string]int64, sp.Count)}
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

// check holds the sums and the shares against Redis.
func (t *tally) check(c *cut, s *ledger.Sums) {
	r := t.r
	if err := s.Check(); err != nil {
		r.differ(Unbalanced, -1, "", "%v", err)
	}
	switch {
	case c.found && !t.ended && c.state != "c":
		r.Left = c.left
	case c.found && !t.ended:
		r.differ(Unbalanced, -1, "", "closed in Redis, and no close event is known")
	case !c.found && !t.ended && s.RedPacket.State == ledger.Funded:
		r.differ(Missing, -1, "", "Redis has no such red packet")
	}
	if sum := r.Paid + r.Payable + r.Unsettled + r.Left + r.Refunding + r.Refunded + r.Quarantined; sum != r.Funded {
		r.differ(Unbalanced, -1, "", "funded %d, all the rest sums to %d", r.Funded, sum)
	}
	taken := t.next
	if c.found && c.k >= 0 && c.state != "p" && c.state != "u" {
		taken = c.k
	}
	for share := range int64(len(t.has)) {
		if share < taken && !t.has[share] {
			if !t.released(s, share) {
				r.differ(Missing, share, "", "taken, and no award, event or quarantine is known")
			}
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

// cut reads Redis at one moment.
func (h *House) cut(ctx context.Context, id ID, pos ledger.Position) (c cut, err error) {
	text := id.String()
	k := &h.keys[id.Bucket()]
	set, err := h.set(ctx, id.Bucket())
	if err != nil {
		return c, err
	}
	keys, args := k.base(k.rp(text)), []any{text, pos.String()}
	vals, err := h.control.EvalSha(ctx, set.SHA(script.Recon), keys, args...).Slice()
	if err != nil && isFenced(scriptError(err)) {
		if set, changed := h.relearn(ctx, id.Bucket(), set); changed {
			vals, err = h.control.EvalSha(ctx, set.SHA(script.Recon), keys, args...).Slice()
		}
	}
	if err != nil {
		return c, scriptError(err)
	}
	if len(vals) != 10 {
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
	return c, nil
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
