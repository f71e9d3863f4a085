package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"sluice/cachesync"
	"sluice/cachesync/changelog"
	"sluice/gateway/ledger"
	"sluice/gateway/ledger/memory"
	"sluice/gateway/redpacket"
	"sluice/gateway/redpacket/script"
)

const home = 1

// World is one seed's night.
type World struct {
	rng      *rand.Rand
	bug      Bug
	logf     func(format string, args ...any)
	log      *slog.Logger
	ms       int64
	redis    *store
	snaps    []*store
	late     [][]string
	calm     bool           // no more faults
	embedded bool           // one process, nothing told before the ledger has it
	forgot   bool           // Redis lost something it had said
	seen     map[int]uint64 // highest seq of a bucket that readers had seen when Redis forgot

	ledger *memory.Store
	ids    *redpacket.IDs
	book   *script.Book

	gateway  *link // the gateway's process
	back     *link // the process that settles, splits, closes, certifies
	desk     *redpacket.Home
	settler  *redpacket.Settler
	splitter *redpacket.SplitWorker
	certify  *redpacket.Certifier
	closer   *redpacket.Closer
	house    *redpacket.House // the back's
	cache    cache

	packets []*packet
	wallet  map[string]int64 // by key of the pay-out
	faults  []string         // what was found
}

// packet is a red packet as its users know it.
type packet struct {
	id      redpacket.ID
	req     redpacket.FundRequest
	funded  bool
	users   int
	told    map[string]redpacket.Outcome // first win told, by "uid|n"
	owner   map[int64]string             // by share
	refused map[string]int64             // ms of the first soldout or closed
	sold    string                       // who was the last to hear soldout
	ended   bool                         // the sender was told that it is closed
}

type randomReader struct{ r *rand.Rand }

func (r randomReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.r.Uint32())
	}
	return len(p), nil
}

// logWriter passes what the roles log on to Logf.
type logWriter struct{ w *World }

func (l logWriter) Write(p []byte) (int, error) {
	l.w.logf("%d %s", l.w.ms, strings.TrimSpace(string(p)))
	return len(p), nil
}

// Config of a run.
type Config struct {
	Seed   uint64
	Bug    Bug
	Protos *Protos                          // shared by all runs
	Logf   func(format string, args ...any) // nil: silent
}

// Run lives through one seed and returns what was violated.
func Run(cfg Config) []string {
	w := newWorld(cfg)
	defer w.redis.lua.state.Close()
	w.live()
	if len(w.faults) == 0 {
		w.end()
	}
	return w.faults
}

func newWorld(cfg Config) *World {
	w := &World{rng: rand.New(rand.NewPCG(cfg.Seed, 0x5eed)), bug: cfg.Bug, logf: cfg.Logf, ms: 1_800_000_000_000,
		wallet: map[string]int64{}, seen: map[int]uint64{}}
	if w.logf == nil {
		w.logf = func(string, ...any) {}
	}
	w.log = slog.New(slog.DiscardHandler)
	if cfg.Logf != nil {
		w.log = slog.New(slog.NewTextHandler(logWriter{w}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
	}
	w.embedded = w.rng.IntN(4) == 0 && cfg.Bug != EvalFallback
	now := func() int64 { return w.ms }
	w.redis = newStore(now, newMachine(cfg.Protos))
	w.ledger = memory.New(memory.Options{Now: w.now, Hook: w.ledgerHook,
		Bugs: memory.Bugs{PositionApart: cfg.Bug == PositionApart}})
	var err error
	if w.ids, err = redpacket.NewIDs([]byte("the simulator's secret")); err != nil {
		panic(err)
	}
	if w.book, err = script.NewBook(); err != nil {
		panic(err)
	}
	cfg.Bug.plant(w.book)
	w.cache = cache{w: w, records: map[string]cachesync.Record{}, at: map[int]string{}}
	w.gateway, w.back = &link{w: w, die: -1}, &link{w: w, die: -1}
	if !w.embedded {
		*w.gateway = link{w: w, loseRequest: 4, loseReply: 6, late: 4, twice: 4, die: -1}
		*w.back = link{w: w, loseRequest: 1, loseReply: 1, late: 1, twice: 1, die: -1}
	}
	for i := range 1 + w.rng.IntN(2) {
		w.packets = append(w.packets, w.plan(i))
	}
	w.startGateway()
	w.startBack()
	w.certifyNow()
	return w
}

func (w *World) now() time.Time { return time.UnixMilli(w.ms).UTC() }

func (w *World) sleep(ctx context.Context, d time.Duration) error {
	w.ms += d.Milliseconds()
	return ctx.Err()
}

var errLedger = errors.New("sim: the ledger is away")

func (w *World) ledgerHook(string) error {
	if !w.calm && w.rng.IntN(60) == 0 {
		return errLedger
	}
	return nil
}

// plan draws what will be funded.
func (w *World) plan(i int) *packet {
	count := int64(1 + w.rng.IntN(7))
	p := &packet{users: int(count)/2 + 1 + w.rng.IntN(5), told: map[string]redpacket.Outcome{},
		owner: map[int64]string{}, refused: map[string]int64{}}
	p.req = redpacket.FundRequest{Sender: "sender", Key: fmt.Sprint("key", i), Home: home, Amount: count * 300, Count: count,
		Mode: redpacket.ModeLucky, Audience: redpacket.AudienceAnyone, Min: 50, Max: 20_000,
		ClosesAt: w.ms + 5000 + w.rng.Int64N(200_000)}
	switch w.rng.IntN(8) {
	case 0:
		p.req.Mode = redpacket.ModeEqual
	case 1:
		p.req.Mode, p.req.Min, p.req.Max, p.req.Cap = redpacket.ModePortal, 0, 0, 3
		p.req.Prizes = []redpacket.Prize{{Name: "cash", Kind: "cash", Amount: 300, Count: count, ChancePPM: 700_000}}
		if w.rng.IntN(2) == 0 { // coupons only
			p.req.Amount, p.req.Prizes[0] = 0, redpacket.Prize{Name: "tea", Kind: "coupon", Count: count, ChancePPM: 700_000}
		}
	case 2:
		p.req.OpensAt = w.ms + w.rng.Int64N(4000)
	}
	if p.req.Mode != redpacket.ModePortal && count > 1 && w.rng.IntN(2) == 0 {
		p.req.Parts = min(count, 2+w.rng.Int64N(3))
	}
	p.id = w.ids.Derive(home, p.req.Sender, p.req.Key)
	return p
}

func (w *World) buckets() (list []int) {
	for _, p := range w.packets {
		for part := range max(1, int(p.req.Parts)) {
			if b := p.id.PartBucket(part); !slices.Contains(list, b) {
				list = append(list, b)
			}
		}
	}
	return list
}

func (w *World) newHouse(l *link, backend func(redpacket.Backend) redpacket.Backend) *redpacket.House {
	client := newClient(l)
	h, err := redpacket.NewHouse(redpacket.HouseConfig{Home: home, IDs: w.ids, Control: client, Book: w.book,
		Backend: backend(redpacket.GoRedis{Client: client}), Now: w.now, Sleep: w.sleep, Buckets: w.buckets()})
	if err != nil {
		panic(err)
	}
	return h
}

func (w *World) startGateway() {
	w.gateway.die = -1
	h := w.newHouse(w.gateway, func(b redpacket.Backend) redpacket.Backend { return w.bug.backend(w, b) })
	w.cache.source, w.cache.filters = redpacket.NewSource(h), redpacket.NewFilterSource(h)
	cfg := redpacket.HomeConfig{House: h, Cache: &w.cache, Filters: redpacket.NewFilters(&w.cache), Random: randomReader{w.rng}}
	if w.embedded {
		cfg.Confirm = w.confirm
	}
	var err error
	if w.desk, err = redpacket.NewHome(cfg); err != nil {
		panic(err)
	}
}

func (w *World) startBack() {
	w.back.die = -1
	h := w.newHouse(w.back, func(b redpacket.Backend) redpacket.Backend { return b })
	blocking := newClient(w.back)
	var err error
	must := func() {
		if err != nil {
			panic(err)
		}
	}
	w.house = h
	w.settler, err = redpacket.NewSettler(redpacket.SettlerConfig{House: h, Ledger: w.ledger, Freeze: w.ledger.Freeze,
		Blocking: blocking, Batch: 3, Block: time.Millisecond, Log: w.log})
	must()
	w.splitter, err = redpacket.NewSplitWorker(redpacket.SplitWorkerConfig{House: h, Ledger: w.ledger, Blocking: blocking,
		Block: time.Millisecond, Random: randomReader{w.rng}, Log: w.log})
	must()
	w.certify, err = redpacket.NewCertifier(redpacket.CertifierConfig{House: h, Ledger: w.ledger, Who: "sim", Trusted: w.embedded,
		Evidence: func(_ context.Context, b int) (uint64, error) { return w.seen[b], nil }, Log: w.log})
	must()
	w.closer, err = redpacket.NewCloser(redpacket.CloserConfig{House: h, Ledger: w.ledger, Log: w.log})
	must()
}

// confirm is the embedded house's: it settles until the win is in the ledger.
func (w *World) confirm(ctx context.Context, pos redpacket.Position) error {
	for range 5 {
		done, cancel := context.WithCancel(ctx)
		cancel()
		if err := w.settler.WaitSettled(done, pos); err == nil {
			return nil
		}
		w.settler.Step(ctx)
	}
	return errLedger
}

func (w *World) certifyNow() {
	for range 50 {
		w.redis.do("DEL", fmt.Sprintf("sluice:certifier:%d", home))
		if w.certify.Step(context.Background()) == nil {
			return
		}
	}
}

// role runs one step of the back, which may die in the middle of it.
func (w *World) role(name string, step func(context.Context) error) {
	if !w.calm && w.rng.IntN(12) == 0 {
		w.back.die = w.rng.IntN(25)
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(crash); !ok {
				panic(r)
			}
			w.logf("%d %s killed", w.ms, name)
			if w.embedded {
				w.powerCut()
			} else {
				w.startBack()
			}
		}
		w.back.die = -1
	}()
	if err := step(context.Background()); err != nil {
		w.logf("%d %s: %v", w.ms, name, err)
	}
}

// live is the night itself.
func (w *World) live() {
	for n := 60 + w.rng.IntN(120); n > 0 && len(w.faults) == 0; n-- {
		w.step()
	}
}

func (w *World) step() {
	w.ms += w.rng.Int64N(300)
	if w.rng.IntN(40) == 0 {
		w.ms += w.rng.Int64N(20_000) // a pause of everybody
	}
	switch n := w.rng.IntN(100); {
	case n < 50:
		w.client()
	case n < 62:
		w.role("settle", w.settler.Step)
	case n < 70:
		w.role("split", w.splitter.Step)
	case n < 76:
		w.role("certify", w.certify.Step)
	case n < 80:
		w.role("close", w.closer.Step)
	case n < 84:
		w.payOut()
	case n < 88:
		w.cache.apply()
	case n < 90:
		w.deliverLate()
	case n < 91:
		w.closeByCommand()
	case n < 93:
		w.snaps = append(w.snaps, w.redis.snapshot())
	default:
		w.harm()
	}
}

// deliverLate lets a command arrive that nobody waits for any more.
func (w *World) deliverLate() {
	if len(w.late) > 0 {
		i := w.rng.IntN(len(w.late))
		w.redis.do(w.late[i]...)
		w.late = append(w.late[:i], w.late[i+1:]...)
	}
}

// harm does to Redis what machines do.
func (w *World) harm() {
	if w.rng.IntN(3) != 0 {
		return
	}
	if w.embedded {
		w.powerCut()
		return
	}
	w.late = nil // its connections are gone
	switch n := w.rng.IntN(10); {
	case n < 7:
		w.logf("%d redis restarted", w.ms)
		w.redis.scripts = map[string]string{}
	case n < 9 && len(w.snaps) > 0:
		w.forget()
		from, node := w.snaps[w.rng.IntN(len(w.snaps))], w.rng.IntN(4)
		w.logf("%d redis restored, node %d (2 and more: all)", w.ms, node)
		w.redis.restore(from, func(key string) bool {
			return node >= 2 || strings.HasPrefix(key, "{b") && int(key[3])%2 == node
		})
	case n == 9:
		w.logf("%d redis emptied", w.ms)
		w.forget()
		w.redis.wipe()
	}
}

// forget notes how far the readers of the change log were: at most a heartbeat behind, so this
// takes them for level. A Redis that is put back by hand is certified as such by hand.
func (w *World) forget() {
	w.forgot = true
	for _, b := range w.buckets() {
		if seq, ok := w.redis.hashes[changelog.MetaKey(b)]["seq"]; ok {
			w.seen[b] = max(w.seen[b], uint64(atoi(seq)))
		}
	}
}

// powerCut ends the embedded house: its Redis and its cache were memory.
func (w *World) powerCut() {
	w.logf("%d power cut", w.ms)
	w.redis.wipe()
	w.cache.records, w.cache.at, w.late = map[string]cachesync.Record{}, map[int]string{}, nil
	w.startGateway()
	w.startBack()
}

func (w *World) pick() *packet { return w.packets[w.rng.IntN(len(w.packets))] }

// client is one request of somebody.
func (w *World) client() {
	p := w.pick()
	if !p.funded || w.rng.IntN(30) == 0 {
		if _, err := w.desk.Fund(context.Background(), p.req); err == nil {
			p.funded = true
		} else {
			w.logf("%d fund: %v", w.ms, err)
		}
		return
	}
	uid, n := fmt.Sprint("u", w.rng.IntN(p.users)), ""
	if p.req.Mode == redpacket.ModePortal {
		n = fmt.Sprint("n", w.rng.IntN(4))
	} else if w.bug != SoldOutHidesWin && w.rng.IntN(3) == 0 {
		w.drawAll(p)
		return
	}
	w.draw(p, uid, n)
}

// drawAll is what happens when several come at the same moment, also one of them twice.
func (w *World) drawAll(p *packet) {
	uids := make([]string, 2+w.rng.IntN(5))
	for i := range uids {
		uids[i] = fmt.Sprint("u", w.rng.IntN(p.users))
	}
	outs, errs := w.desk.DrawAll(context.Background(), p.id, uids)
	for _, wins := range []bool{true, false} { // a win that ran beside a soldout came before it
		for i, uid := range uids {
			out := outs[i]
			switch won := out.Kind == redpacket.Won || out.Kind == redpacket.Already; {
			case errs[i] != nil && wins:
				w.logf("%d draw %s of %d: %v", w.ms, uid, len(uids), errs[i])
			case errs[i] == nil && won == wins:
				w.logf("%d draw %s of %d: %v share %d", w.ms, uid, len(uids), out.Kind, out.Share)
				w.heard(p, uid, "", out)
			}
		}
	}
}

func (w *World) draw(p *packet, uid, n string) error {
	req := redpacket.DrawRequest{ID: p.id, UID: uid, N: n}
	if out, ok := w.bug.answer(w, p, uid); ok {
		w.heard(p, uid, n, out)
		return nil
	}
	out, err := w.desk.Draw(context.Background(), req)
	if err != nil {
		w.logf("%d draw %s %s: %v", w.ms, uid, n, err)
		return err
	}
	w.logf("%d draw %s %s: %v share %d", w.ms, uid, n, out.Kind, out.Share)
	w.heard(p, uid, n, out)
	return nil
}

func (w *World) closeByCommand() {
	if p := w.pick(); p.funded && (p.req.Parts > 1 || w.rng.IntN(3) == 0) {
		_, err := w.desk.Close(context.Background(), p.id, "sender")
		w.logf("%d close: %v", w.ms, err)
		p.ended = p.ended || err == nil
	}
}

// payOut takes what is due to the wallet, whose answer may be lost.
func (w *World) payOut() {
	ctx := context.Background()
	list, err := w.ledger.Claim(ctx, 3, 2*time.Second)
	if err != nil {
		return
	}
	for _, p := range list {
		if old, ok := w.wallet[p.Key]; ok && old != p.Amount {
			w.violate("pay-out %s came with %d fen and with %d", p.Key, old, p.Amount)
		}
		w.wallet[p.Key] = p.Amount // the wallet knows the key: once in effect
		if !w.calm && w.rng.IntN(5) == 0 {
			continue // the answer is lost: the lease runs out, then again
		}
		w.ledger.Done(ctx, []ledger.Outcome{{Key: p.Key, Reference: "r", At: w.now()}})
	}
}

// cache is a region's memcached: fed from the change log by version, forgetful.
type cache struct {
	w       *World
	source  *redpacket.Source
	filters *redpacket.FilterSource
	records map[string]cachesync.Record
	at      map[int]string // position in each change log
}

// apply reads some of the change logs into memcached, as an applier does.
func (c *cache) apply() {
	for _, b := range c.w.buckets() {
		st := c.w.redis.streams[changelog.LogKey(b)]
		if st == nil {
			continue
		}
		from := st.from(parseID(c.at[b], 0), true)
		for _, e := range st.entries[from:min(from+5, len(st.entries))] {
			c.at[b] = idText(e.id)
			parsed, err := changelog.ParseEntry(c.at[b], e.fields, nil)
			if err != nil {
				c.w.violate("change log entry %s: %v", c.at[b], err)
				return
			}
			for _, ch := range parsed.Changes {
				if old, ok := c.records[ch.Key]; !ok || old.Version < ch.Record.Version {
					c.records[ch.Key] = ch.Record
				}
			}
		}
	}
	if c.w.rng.IntN(4) == 0 {
		c.records = map[string]cachesync.Record{} // evicted, restarted
	}
}

// Read implements redpacket.Reader.
func (c *cache) Read(ctx context.Context, reads []cachesync.Read) error {
	for i := range reads {
		r := &reads[i]
		r.State, r.Err = cachesync.Miss, nil
		if rec, ok := c.records[r.Key]; ok {
			r.State, r.Record = cachesync.Hit, rec
			if rec.Tombstone() {
				r.State = cachesync.Tombstone
			}
			continue
		}
		if r.NoFill || r.Key[:2] == "u:" {
			continue
		}
		source := cachesync.Source(c.source)
		if r.Key[:3] == "wf:" {
			source = c.filters
		}
		filled, err := source.Fill(ctx, []string{r.Key})
		switch {
		case err != nil:
			r.State, r.Err = cachesync.Later, err
		case filled[0].Err != nil:
			r.Err = filled[0].Err
		default:
			r.State, r.Record = cachesync.Hit, filled[0].Record
			c.records[r.Key] = filled[0].Record
		}
	}
	return nil
}
