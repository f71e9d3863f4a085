package apply

import (
	"context"
	"errors"
	"slices"
	"time"

	"sluice/cachesync/changelog"
)

// keepBehind is how far the saved position stays behind what is written. A fill that was on
// its way while a newer change was written and lost again (flush_all, restart) may still
// come, up to half a second later; repeating the last changes puts it right.
const keepBehind = 3 * time.Second

type past struct {
	at  time.Time
	pos []changelog.ID
}

// remember notes what is written by now; the caller holds mu.
func (a *Applier) remember(now time.Time) {
	a.history = append(a.history, past{now, slices.Clone(a.applied)})
	for len(a.history) > 1 && now.Sub(a.history[1].at) >= keepBehind {
		a.history = a.history[1:]
	}
}

// behind is where the position stands that may be saved; the caller holds mu.
func (a *Applier) behind() []changelog.ID {
	if a.parkedFrom != nil {
		return a.parkedFrom
	}
	if a.hold || len(a.history) == 0 || a.cfg.Now().Sub(a.history[0].at) < keepBehind {
		return a.starts
	}
	return a.history[0].pos
}

// saveAll saves positions and tells them to the source, apart from writing, so that neither
// store can hold it up.
func (a *Applier) saveAll(ctx context.Context) {
	saved := time.NewTicker(a.cfg.SaveEvery)
	acked := time.NewTicker(a.cfg.AckEvery)
	defer saved.Stop()
	defer acked.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-saved.C:
			a.save(ctx)
		case <-acked.C:
			if a.cfg.Ack == nil {
				continue
			}
			if err := a.cfg.Ack(ctx, a.Applied()); err != nil && ctx.Err() == nil {
				a.stats.ackErrors.Add(1)
			}
		}
	}
}

func (a *Applier) save(ctx context.Context) {
	a.mu.Lock()
	a.remember(a.cfg.Now())
	a.mu.Unlock()
	err := a.cfg.Positions.Save(ctx, a.cfg.Source, a.Applied())
	if errors.Is(err, ErrFenced) {
		a.fence(err)
	}
	if err != nil && ctx.Err() == nil {
		if a.stats.saveErrors.Add(1) == 1 {
			a.cfg.Log.Warn("position cannot be saved", "source", a.cfg.Source, "err", err)
		}
	}
}

// Written is how far each bucket is written.
func (a *Applier) Written() map[int]changelog.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[int]changelog.ID, len(a.applied))
	for i, b := range a.cfg.Buckets {
		out[b] = a.applied[i]
	}
	return out
}

// Applied is how far each bucket is written for good and may be forgotten by the source; it
// stays keepBehind behind Written.
func (a *Applier) Applied() map[int]changelog.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[int]changelog.ID, len(a.applied))
	if a.starts == nil {
		return out
	}
	at := a.behind()
	for i, b := range a.cfg.Buckets {
		switch {
		case a.holding[i]:
		case at[i] != (changelog.ID{}):
			out[b] = at[i]
		}
	}
	return out
}
