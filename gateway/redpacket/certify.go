package redpacket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/gateway/ledger"
	"sluice/gateway/redpacket/script"
)

// CertifyLedger is what certifying needs of the ledger.
type CertifyLedger interface {
	ledger.RedPackets
	ledger.Settler
	ledger.Reader
	ledger.Certifier
}

// CertifierConfig is what a Certifier is made of.
type CertifierConfig struct {
	House  *House        // required
	Ledger CertifyLedger // required
	Who    string        // stands in the certificates; required
	// Trusted says that nobody is told of a win before the ledger has it (the embedded
	// house): then nothing can be lost beyond the ledger, and nothing is quarantined.
	Trusted bool
	// Evidence tells the highest sequence number of a bucket that anybody outside Redis has
	// seen: readers of the change log. A Redis that is behind it has forgotten something. May be nil.
	Evidence func(ctx context.Context, bucket int) (seq uint64, err error)
	Every    time.Duration // how often the buckets are probed; 0 means 200 ms
	// Lease is how long a certifier that died keeps others away, 0 means 5 s. A living one renews
	// it. It only spares work: what two at once would do to each other, the epoch prevents.
	Lease time.Duration
	Log   *slog.Logger // nil means slog.Default
	// Certified is told of every certification; may be nil.
	Certified func(r CertifyReport)
}

// CertifyReport tells what a certification found.
type CertifyReport struct {
	Epoch   uint64
	Buckets []BucketReport
}

// BucketReport is one bucket's part.
type BucketReport struct {
	Bucket      int
	Posted      int  // events of the tail posted into the ledger
	Stale       int  // events of an epoch given up before, dropped
	Lost        bool // Redis had forgotten something
	Why         string
	Restored    int // red packets written again
	Quarantined []ledger.Held
}

// Certifier is the door through which a Redis comes back into service: it compares each
// bucket with the ledger, posts the tail of its win stream, quarantines what may have been
// won beyond what is known, writes again what Redis lost, raises the epoch and loads the
// scripts of the new one. Until it has, every draw answers NOSCRIPT or FENCED.
//
// The order matters, so that a certifier may die at any point and another begin again:
//
//	mark    {b}:mend if Redis lost something, as the next step hides the traces
//	raise   the epoch in Redis: from here no script of anybody runs
//	post    the tail of the win stream, under the old epoch
//	restore red packets, under the new epoch
//	certify in the ledger: new epoch and quarantine in one transaction
//	chain   the win stream to the ledger's position; unmark
//	load    the scripts: the bucket is open
type Certifier struct {
	CertifierConfig
	h *House
}

// NewCertifier checks its parts.
func NewCertifier(cfg CertifierConfig) (*Certifier, error) {
	if cfg.House == nil || cfg.Ledger == nil || cfg.Who == "" {
		return nil, fmt.Errorf("redpacket: a Certifier needs House, Ledger and Who")
	}
	if cfg.Every <= 0 {
		cfg.Every = 200 * time.Millisecond
	}
	if cfg.Lease <= 0 {
		cfg.Lease = 5 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Certifier{CertifierConfig: cfg, h: cfg.House}, nil
}

// maxCertifyWait is the longest rest after a certification that failed.
const maxCertifyWait = 8 * time.Second

// Run certifies whatever needs it until the context ends. A bucket that the ledger froze is
// fenced and left to an operator: see Certify.
func (c *Certifier) Run(ctx context.Context) error {
	wait := time.Second
	for ctx.Err() == nil {
		if err := c.Step(ctx); err != nil && ctx.Err() == nil {
			c.Log.Error("certify", "err", err, "retry_in", wait)
			c.h.sleep(ctx, wait)
			wait = min(2*wait, maxCertifyWait) // each try may cost one of 4,095 epochs
			continue
		}
		wait = time.Second
		c.h.sleep(ctx, c.Every)
	}
	return ctx.Err()
}

// Step probes all buckets once and certifies those that are not of the ledger's epoch.
func (c *Certifier) Step(ctx context.Context) error {
	known, err := c.Ledger.Positions(ctx, int(c.h.home))
	if err != nil {
		return fmt.Errorf("reading positions: %w", err)
	}
	bad, err := c.probe(ctx, known)
	if err != nil || len(bad) == 0 {
		return err
	}
	_, err = c.Certify(ctx, bad)
	return err
}

// probe finds the buckets that are not certified, and fences those that are frozen.
func (c *Certifier) probe(ctx context.Context, known map[int]ledger.Bucket) (bad []int, err error) {
	pipe := c.h.control.Pipeline()
	var cmds [Buckets]*redis.Cmd
	for _, b := range c.h.buckets {
		if e := known[b].Epoch; e != 0 {
			k := &c.h.keys[b]
			cmds[b] = pipe.EvalSha(ctx, c.h.book.At(e).SHA(script.Probe), k.base())
		}
	}
	if pipe.Len() > 0 {
		pipe.Exec(ctx)
	}
	for _, b := range c.h.buckets {
		cmd, frozen := cmds[b], known[b].Frozen != nil
		switch {
		case cmd == nil:
			bad = append(bad, b)
			continue
		case cmd.Err() == nil && frozen:
			if err := c.fence(ctx, b, known); err != nil {
				return nil, err
			}
			continue
		case cmd.Err() == nil || frozen:
			continue
		}
		if err := scriptError(cmd.Err()); !isFenced(err) {
			return nil, fmt.Errorf("probing bucket %d: %w", b, err)
		}
		bad = append(bad, b)
	}
	return bad, nil
}

// fence closes a frozen bucket to every script, until it is certified by command.
func (c *Certifier) fence(ctx context.Context, b int, known map[int]ledger.Bucket) error {
	epoch, err := c.next(ctx, known)
	if err != nil {
		return err
	}
	c.Log.Error("fencing a frozen bucket", "bucket", b, "why", known[b].Frozen)
	_, err = changelog.Raise(ctx, c.h.control, b, epoch, known[b].Position.Seq)
	return err
}

// next is an epoch that no bucket of this home ever had.
func (c *Certifier) next(ctx context.Context, known map[int]ledger.Bucket) (uint64, error) {
	var top uint64
	pipe := c.h.control.Pipeline()
	var cmds [Buckets]*redis.StringCmd
	for _, b := range c.h.buckets {
		cmds[b] = pipe.HGet(ctx, c.h.keys[b].meta, "epoch")
		top = max(top, known[b].Epoch, known[b].Position.Epoch)
	}
	pipe.Exec(ctx)
	for _, b := range c.h.buckets {
		e, err := cmds[b].Uint64()
		if err != nil && !errors.Is(err, redis.Nil) {
			return 0, fmt.Errorf("reading epochs: %w", err)
		}
		top = max(top, e)
	}
	return top + 1, nil
}

// Certify certifies the buckets given, frozen ones too; nil means all. It is what Run does by
// itself and `sluice redpacket certify` by command.
func (c *Certifier) Certify(ctx context.Context, buckets []int) (CertifyReport, error) {
	if buckets == nil {
		buckets = c.h.buckets
	}
	lease := fmt.Sprintf("sluice:certifier:%d", c.h.home)
	ok, err := c.h.control.SetNX(ctx, lease, c.Who, c.Lease).Result()
	if err != nil {
		return CertifyReport{}, fmt.Errorf("taking the certifier's lease: %w", scriptError(err))
	}
	if !ok {
		return CertifyReport{}, fmt.Errorf("redpacket: another certifier is at work (key %s); it ends by itself within %v", lease, c.Lease)
	}
	defer c.h.control.Del(context.WithoutCancel(ctx), lease)
	defer c.renew(ctx, lease)()
	known, err := c.Ledger.Positions(ctx, int(c.h.home))
	if err != nil {
		return CertifyReport{}, fmt.Errorf("reading positions: %w", err)
	}
	epoch, err := c.next(ctx, known)
	if err != nil {
		return CertifyReport{}, err
	}
	report := CertifyReport{Epoch: epoch}
	set := c.h.book.At(epoch)
	for _, b := range buckets {
		r, err := c.bucket(ctx, b, known[b], set)
		if err != nil {
			return report, fmt.Errorf("bucket %d: %w", b, err)
		}
		report.Buckets = append(report.Buckets, r)
		if r.Lost || r.Posted > 0 {
			c.Log.Warn("certified a bucket", "bucket", b, "epoch", epoch, "posted", r.Posted, "lost", r.Lost, "why", r.Why,
				"restored", r.Restored, "quarantined", len(r.Quarantined))
		}
	}
	// The probe comes last, when all others are there: it is what tells that the bucket is open.
	if err := c.load(ctx, set, func(n script.Name) bool { return n != script.Probe }); err != nil {
		return report, err
	}
	if err := c.load(ctx, set, func(n script.Name) bool { return n == script.Probe }); err != nil {
		return report, err
	}
	for _, b := range buckets {
		c.h.sets[b].Store(set)
	}
	c.Log.Info("certified", "home", c.h.home, "buckets", len(buckets), "epoch", epoch)
	if c.Certified != nil {
		c.Certified(report)
	}
	return report, nil
}

// renew keeps the lease until the function it returns is called.
func (c *Certifier) renew(ctx context.Context, lease string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(c.Lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.h.control.PExpire(ctx, lease, c.Lease)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// Restored certifies a Redis of which somebody knows that it was put back to an older state,
// though nothing shows it: what the ledger does not know as won is quarantined. It is
// `sluice redpacket certify --restored`. nil means all buckets.
func (c *Certifier) Restored(ctx context.Context, buckets []int, why string) (CertifyReport, error) {
	if buckets == nil {
		buckets = c.h.buckets
	}
	for _, b := range buckets {
		if err := c.h.control.Set(ctx, c.h.keys[b].tag+":mend", "restored by command: "+why, 0).Err(); err != nil {
			return CertifyReport{}, scriptError(err)
		}
	}
	return c.Certify(ctx, buckets)
}

// load loads scripts on every node.
func (c *Certifier) load(ctx context.Context, set *script.Set, which func(script.Name) bool) error {
	one := func(ctx context.Context, client redis.Cmdable) error {
		pipe := client.Pipeline()
		for _, n := range script.All() {
			if which(n) {
				pipe.ScriptLoad(ctx, set.Text(n))
			}
		}
		_, err := pipe.Exec(ctx)
		return err
	}
	var err error
	if cluster, ok := c.h.control.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, client *redis.Client) error { return one(ctx, client) })
	} else {
		err = one(ctx, c.h.control)
	}
	if err != nil {
		return fmt.Errorf("loading the scripts of epoch %d: %w", set.Epoch, err)
	}
	return nil
}

// bucket certifies one bucket up to, but not including, the loading of the scripts.
func (c *Certifier) bucket(ctx context.Context, b int, l ledger.Bucket, set *script.Set) (BucketReport, error) {
	r := BucketReport{Bucket: b}
	k := &c.h.keys[b]
	why, atLeast, err := c.lost(ctx, b, l)
	if err != nil {
		return r, err
	}
	if r.Why, r.Lost = why, why != ""; r.Lost {
		if err := c.h.control.Set(ctx, k.tag+":mend", why, 0).Err(); err != nil {
			return r, err
		}
	}
	if _, err := changelog.Raise(ctx, c.h.control, b, set.Epoch, atLeast); err != nil {
		return r, err
	}
	if l, err = c.tail(ctx, b, l, &r); err != nil {
		return r, err
	}
	if r.Lost {
		if err := c.load(ctx, set, script.Name.Mending); err != nil {
			return r, err
		}
		if err := c.restore(ctx, b, set, &r); err != nil {
			return r, err
		}
	}
	err = c.Ledger.Certify(ctx, ledger.Certificate{Home: int(c.h.home), Bucket: b, Who: c.Who,
		At: c.h.now().UTC().Truncate(time.Millisecond), FromEpoch: l.Epoch, ToEpoch: set.Epoch, Position: l.Position,
		Posted: r.Posted, Quarantined: r.Quarantined, Note: why})
	if err != nil {
		return r, err
	}
	if r.Lost {
		err = c.call(ctx, set, script.Rechain, k.base(k.tag+":mend"), strconv.FormatUint(l.Position.Seq, 10))
	}
	return r, err
}

// lost finds out whether Redis has forgotten something, and up to which seq it had counted.
func (c *Certifier) lost(ctx context.Context, b int, l ledger.Bucket) (why string, atLeast uint64, err error) {
	k := &c.h.keys[b]
	vals, err := c.h.control.HMGet(ctx, k.meta, "epoch", "seq", "win").Result()
	if err != nil {
		return "", 0, scriptError(err)
	}
	num := func(i int) uint64 {
		s, _ := vals[i].(string)
		n, _ := strconv.ParseUint(s, 10, 64)
		return n
	}
	atLeast = l.Position.Seq
	if c.Evidence != nil {
		seen, err := c.Evidence(ctx, b)
		if err != nil {
			return "", 0, fmt.Errorf("asking for evidence: %w", err)
		}
		if atLeast = max(atLeast, seen); seen > num(1) {
			why = fmt.Sprintf("others have seen seq %d, Redis has %d", seen, num(1))
		}
	}
	mend, err := c.h.control.Get(ctx, k.tag+":mend").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", 0, scriptError(err)
	}
	switch {
	case mend != "":
		why = mend
	case vals[0] == nil && l.Epoch != 0:
		why = "Redis is empty"
	case vals[0] == nil:
		// A bucket that never was: unless the ledger knows of red packets in it.
		err := c.Ledger.EachRedPacket(ctx, ledger.Filter{Homes: []int{int(c.h.home)}, Buckets: []int{b}},
			func(ledger.RedPacket) error { why = "Redis is empty"; return ledger.Stop })
		if err != nil {
			return "", 0, err
		}
	case num(0) < l.Epoch:
		why = fmt.Sprintf("Redis is of epoch %d, the ledger certified %d", num(0), l.Epoch)
	case num(2) < l.Position.Seq:
		why = fmt.Sprintf("Redis knows wins up to seq %d, the ledger up to %d", num(2), l.Position.Seq)
	}
	if why != "" {
		return why, atLeast, nil
	}
	why, err = c.absent(ctx, b)
	return why, atLeast, err
}

// absent looks for a red packet that the ledger knows as alive and Redis does not know.
func (c *Certifier) absent(ctx context.Context, b int) (why string, err error) {
	pipe := c.h.control.Pipeline()
	var ids []string
	var cmds []*redis.IntCmd
	err = c.Ledger.EachRedPacket(ctx, ledger.Filter{Homes: []int{int(c.h.home)}, Buckets: []int{b},
		States: []string{ledger.Unpaid, ledger.Funded}}, func(row ledger.RedPacket) error {
		ids = append(ids, row.ID)
		cmds = append(cmds, pipe.Exists(ctx, c.h.keys[b].rp(row.ID)))
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("reading red packets: %w", err)
	}
	if len(ids) == 0 {
		return "", nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return "", scriptError(err)
	}
	for i, cmd := range cmds {
		if cmd.Val() == 0 {
			return fmt.Sprintf("Redis does not know red packet %s", ids[i]), nil
		}
	}
	return "", nil
}

// tail posts what stands in the win stream behind the ledger's position.
func (c *Certifier) tail(ctx context.Context, b int, l ledger.Bucket, r *BucketReport) (ledger.Bucket, error) {
	if err := c.stale(ctx, b, l, r); err != nil {
		return l, err
	}
	s := Settler{SettlerConfig: SettlerConfig{House: c.h, Ledger: c.Ledger}, h: c.h}
	for {
		messages, err := c.h.control.XRangeN(ctx, c.h.keys[b].win, "("+l.Position.String(), "+", 5000).Result()
		if err != nil {
			return l, scriptError(err)
		}
		if len(messages) == 0 {
			return l, nil
		}
		s.pos[b] = l.Position
		batches, err := s.batches(b, messages)
		if err != nil {
			return l, err
		}
		if len(batches) == 0 {
			return l, fmt.Errorf("%w: the win stream goes on at %s, the ledger is at %s: events between them are missing; "+
				"reconcile the bucket's red packets, correct the ledger, then trim the stream", ErrFrozen, messages[0].ID, l.Position)
		}
		if err := c.Ledger.Settle(ctx, batches); err != nil {
			return l, fmt.Errorf("posting the tail of the win stream: %w", err)
		}
		for _, batch := range batches {
			r.Posted += len(batch.Wins) + len(batch.Closes)
			l.Position = batch.To
		}
		if l.Epoch == 0 {
			l.Epoch = l.Position.Epoch
		}
	}
}

// stale drops the events of an epoch before the certified one from the win stream: a Redis was
// put back that had been given up. Their shares are quarantined since; what the events say is
// logged, for the operator who releases them.
func (c *Certifier) stale(ctx context.Context, b int, l ledger.Bucket, r *BucketReport) error {
	if l.Epoch == 0 {
		return nil
	}
	stream, first := c.h.keys[b].win, fmt.Sprintf("%d-0", l.Epoch)
	for after := l.Position.String(); ; {
		messages, err := c.h.control.XRangeN(ctx, stream, "("+after, "("+first, 1000).Result()
		if err != nil {
			return scriptError(err)
		}
		if len(messages) == 0 {
			break
		}
		for _, m := range messages {
			after = m.ID
			r.Stale++
			c.Log.Error("certify: a win of a Redis that had been given up; its share is quarantined: release it by hand",
				"bucket", b, "id", m.ID, "event", fmt.Sprint(m.Values))
		}
	}
	if r.Stale == 0 {
		return nil
	}
	return scriptError(c.h.control.XTrimMinID(ctx, stream, first).Err())
}

// call runs a script of the new epoch, while nobody else can.
func (c *Certifier) call(ctx context.Context, set *script.Set, name script.Name, keys []string, args ...string) error {
	_, err := GoRedis{c.h.control}.EvalSHA(ctx, set.SHA(name), keys, args, nil)
	if err != nil {
		return fmt.Errorf("script %s: %w", name, err)
	}
	return nil
}
