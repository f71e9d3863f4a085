package changelog

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// ReadersKey is the hash in which every reading region says how far it has applied: field
// <region>, value "<counter> <positions>". The counter only makes the value change.
const ReadersKey = "sluice:readers"

// Trimmer removes from a home's change logs what all active readers have applied, and what
// goes beyond the memory cap: who falls behind the cap joins again.
type Trimmer struct {
	RDB     redis.Cmdable
	Buckets []int
	// Parse reads the positions that readers write (apply.ParsePositions).
	Parse func(text string) map[int]ID
	// Lease is how long a reader that says nothing counts as active; zero value means 30 s.
	Lease time.Duration
	// CapBytes bounds all logs of these buckets together; zero value means 512 MB.
	CapBytes int64
	// Spare is how many applied entries stay, for a look by hand; zero value means none.
	Spare uint64
	Now   func() time.Time // nil means time.Now
	Log   *slog.Logger     // nil means slog.Default

	seen  map[string]reader
	Stats TrimStats
}

type reader struct {
	text  string
	since time.Time // when its text last changed, by this process' clock
}

// TrimStats counts what a Trimmer did; read it from the goroutine that calls Trim.
type TrimStats struct {
	Trimmed int64 // entries removed behind the slowest reader
	Capped  int64 // entries removed by the cap: somebody will have to join again
	Entries int64 // in the logs at the last look
	Bytes   int64
	Readers int
}

// Trim looks once; call it about every second.
func (t *Trimmer) Trim(ctx context.Context) error {
	if t.Lease <= 0 {
		t.Lease = 30 * time.Second
	}
	if t.CapBytes <= 0 {
		t.CapBytes = 512 << 20
	}
	if t.Now == nil {
		t.Now = time.Now
	}
	if t.Log == nil {
		t.Log = slog.Default()
	}
	slowest, err := t.slowest(ctx)
	if err != nil {
		return err
	}
	if err := t.behind(ctx, slowest); err != nil {
		return err
	}
	return t.cap(ctx)
}

// slowest finds per bucket the lowest position of the active readers. A bucket that an
// active reader does not mention (it is being repaired) is not trimmed.
func (t *Trimmer) slowest(ctx context.Context) (map[int]ID, error) {
	all, err := t.RDB.HGetAll(ctx, ReadersKey).Result()
	if err != nil {
		return nil, fmt.Errorf("changelog: readers of the log: %w", err)
	}
	now := t.Now()
	if t.seen == nil {
		t.seen = map[string]reader{}
	}
	var active []map[int]ID
	for name, text := range all {
		r, ok := t.seen[name]
		if !ok || r.text != text {
			r = reader{text, now}
			t.seen[name] = r
		}
		if now.Sub(r.since) < t.Lease {
			active = append(active, t.Parse(text))
		} else if now.Sub(r.since) > 10*t.Lease {
			t.RDB.HDel(ctx, ReadersKey, name)
			delete(t.seen, name)
		}
	}
	t.Stats.Readers = len(active)
	out := map[int]ID{}
	for _, b := range t.Buckets {
		for i, at := range active {
			id, ok := at[b]
			if !ok {
				delete(out, b)
				break
			}
			if low, have := out[b]; i == 0 || have && low.After(id) {
				out[b] = id
			}
		}
	}
	return out, nil
}

func (t *Trimmer) behind(ctx context.Context, slowest map[int]ID) error {
	p := t.RDB.Pipeline()
	var cmds []*redis.IntCmd
	for b, id := range slowest {
		if id.Seq <= t.Spare {
			continue
		}
		id.Seq -= t.Spare
		cmds = append(cmds, p.XTrimMinID(ctx, LogKey(b), id.String()))
	}
	if len(cmds) == 0 {
		return nil
	}
	if _, err := p.Exec(ctx); err != nil {
		return fmt.Errorf("changelog: trim: %w", err)
	}
	for _, c := range cmds {
		t.Stats.Trimmed += c.Val()
	}
	return nil
}

// bytesPerEntry is a guess for a Redis that cannot tell (miniredis).
const bytesPerEntry = 300

func (t *Trimmer) cap(ctx context.Context) error {
	p := t.RDB.Pipeline()
	lens := make([]*redis.IntCmd, len(t.Buckets))
	mems := make([]*redis.IntCmd, len(t.Buckets))
	for i, b := range t.Buckets {
		lens[i] = p.XLen(ctx, LogKey(b))
		mems[i] = p.MemoryUsage(ctx, LogKey(b))
	}
	p.Exec(ctx) // each command has its own error; MEMORY is unknown to miniredis
	t.Stats.Entries, t.Stats.Bytes = 0, 0
	limit := t.CapBytes / int64(len(t.Buckets))
	for i, b := range t.Buckets {
		n, err := lens[i].Result()
		if err != nil {
			return fmt.Errorf("changelog: length of bucket %d: %w", b, err)
		}
		bytes := n * bytesPerEntry
		if m, err := mems[i].Result(); err == nil {
			bytes = m
		}
		t.Stats.Entries += n
		t.Stats.Bytes += bytes
		if bytes <= limit || n < 2 {
			continue
		}
		keep := max(1, int64(float64(n)*float64(limit)/float64(bytes)*0.9))
		gone, err := t.RDB.XTrimMaxLen(ctx, LogKey(b), keep).Result()
		if err != nil {
			return fmt.Errorf("changelog: cap bucket %d: %w", b, err)
		}
		t.Stats.Capped += gone
		t.Log.Error("change log is over its memory cap: the slowest regions will have to join again",
			"bucket", b, "bytes", bytes, "cap", limit, "removed", gone)
	}
	return nil
}

// Ack says how far a region has applied.
func Ack(ctx context.Context, rdb redis.Cmdable, region string, counter uint64, positions string) error {
	err := rdb.HSet(ctx, ReadersKey, region, strconv.FormatUint(counter, 10)+" "+positions).Err()
	if err != nil {
		return fmt.Errorf("changelog: acknowledge: %w", err)
	}
	return nil
}

// Leave takes a region out of the readers: nobody waits for it any more.
func Leave(ctx context.Context, rdb redis.Cmdable, region string) error {
	return rdb.HDel(ctx, ReadersKey, region).Err()
}
