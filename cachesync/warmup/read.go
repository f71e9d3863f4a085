package warmup

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"golang.org/x/time/rate"

	"sluice/cachesync/warmup/source"
	"sluice/cachesync/warmup/state"
)

// read sends everything behind pos to all regions and waits until it is in.
func (r *run) read(ctx context.Context, pos source.Position, only map[*nodeState]bool) error {
	in, err := r.cfg.Feed.Open(ctx, pos, r.st.OpenedAt)
	if err != nil {
		return sourceFailure(err)
	}
	defer in.Close()
	if only == nil {
		// What an earlier run read does not count as this one's speed.
		r.units.Store(in.Done())
		r.speedMu.Lock()
		r.speed.units = in.Done()
		r.speedMu.Unlock()
	}
	var workers sync.WaitGroup
	for _, t := range r.targets {
		t.in = make(chan *batch)
		for range r.cfg.Workers {
			workers.Go(func() { t.work(ctx, r.ledger.done) })
		}
	}
	r.ledger.next = 0
	err = r.feed(ctx, in, only)
	for _, t := range r.targets {
		close(t.in)
	}
	workers.Wait()
	r.refill()
	if cerr := r.cause(ctx); cerr != nil {
		err = cerr
	}
	if err != nil {
		return r.saved(context.WithoutCancel(ctx), err)
	}
	return r.saved(ctx, nil)
}

// refill puts back the batches that a canceled pass left uncommitted.
func (r *run) refill() {
	l := r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.waiting)
	for len(l.free) < cap(l.free) {
		l.free <- &batch{}
	}
}

// feed reads batches until the source ends.
func (r *run) feed(ctx context.Context, in FeedReader, only map[*nodeState]bool) error {
	limit := rate.NewLimiter(rate.Inf, r.cfg.Batch)
	if r.cfg.SourceRate > 0 {
		limit.SetLimit(rate.Limit(r.cfg.SourceRate))
	}
	for seq := int64(0); ; seq++ {
		var b *batch
		select {
		case b = <-r.ledger.free:
		case <-ctx.Done():
			return nil
		}
		b.seq, b.only, b.counts = seq, only, state.Counts{}
		clear(b.items)
		b.items, b.buf = b.items[:0], b.buf[:0]
		b.pending.Store(int32(len(r.targets)))
		end, err := r.fillBatch(in, b)
		if err != nil {
			r.ledger.free <- b
			return err
		}
		if only == nil {
			r.units.Store(in.Done())
			r.readRows += b.counts.Rows
			r.readBad += b.counts.Bad
		}
		if limit.WaitN(ctx, min(int(b.counts.Rows), r.cfg.Batch)) != nil {
			return nil
		}
		for _, t := range r.targets {
			select {
			case t.in <- b:
			case <-ctx.Done():
				return nil
			}
		}
		if end {
			return nil
		}
	}
}

// batchBytes ends a batch of large records early, so that memory stays constant.
const batchBytes = 256 << 10

func (r *run) fillBatch(in FeedReader, b *batch) (end bool, err error) {
	for int(b.counts.Rows) < r.cfg.Batch && len(b.buf) < batchBytes {
		item, buf, err := in.Next(b.buf)
		b.buf = buf
		if err == io.EOF {
			end = true
			break
		}
		bad, filtered := skipped(err)
		switch {
		case err == nil:
			b.items = append(b.items, item)
			b.counts.Bytes += int64(len(item.Value))
		case bad != nil:
			b.counts.Bad++
			if b.only == nil {
				if err := r.reject(bad, b); err != nil {
					return false, err
				}
				if bad.Cut {
					return false, sourceFailure(&source.Error{File: bad.File, Line: bad.Line, Err: errors.New("the file ends within this row: " + bad.Reason), Hint: "was the export or the copy cut off?"})
				}
			}
		case filtered:
			b.counts.Filtered++
		default:
			return false, sourceFailure(err)
		}
		b.counts.Rows++
	}
	b.pos = in.Position()
	return end, nil
}

// reject notes a bad row, and fails the run when there are too many of them.
func (r *run) reject(bad *source.BadRow, b *batch) error {
	r.rejected++
	r.lastBad = bad.Error()
	if r.rejected <= 5 {
		r.cfg.Log.Warn("warm: bad row", "where", bad.Error())
		r.result.FirstBad = append(r.result.FirstBad, bad.Error())
	}
	if r.cfg.Rejects != nil && r.rejected <= r.cfg.MaxKept {
		line, _ := json.Marshal(struct {
			File   string `json:"file"`
			Line   int64  `json:"line"`
			Reason string `json:"reason"`
			Row    string `json:"row"`
		}{bad.File, bad.Line, bad.Reason, string(bad.Row)})
		r.cfg.Rejects.Write(append(line, '\n'))
	}
	rows, n := r.readRows+b.counts.Rows+1, r.readBad+b.counts.Bad
	// On the way the fraction means something from a few rows on; at the end always.
	if rows >= 100 || r.cfg.MaxBad < 0 {
		return r.tooManyBad(n, rows, bad.Error())
	}
	return nil
}

// tooManyBad judges n bad rows of rows.
func (r *run) tooManyBad(n, rows int64, last string) error {
	most := max(r.cfg.MaxBad, 0)
	if float64(n) <= most*float64(rows) {
		return nil
	}
	return fail(ExitSource, "%d of %d rows are bad, more than %.2f %%; the last: %s", n, rows, 100*most, last)
}

func sourceFailure(err error) error {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return fail(ExitSource, "%w", err)
}
