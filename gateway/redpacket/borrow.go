package redpacket

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sluice/gateway/redpacket/script"
)

// errDry: the part has nothing left, others may. It never leaves this package.
var errDry = errors.New("redpacket: this part is dry")

// borrowWithin is how long a draw waits for a range from another part; then it is "later".
const borrowWithin = 700 * time.Millisecond

// flights lets one draw borrow for all that wait for the same part.
type flights struct {
	mu sync.Mutex
	m  map[flightKey]*flight
}

type flightKey struct {
	id   ID
	part int
}

type flight struct {
	done chan struct{}
	sold bool
	err  error
}

// borrow returns when the part has shares again, or with sold when no part has any left.
func (d *Home) borrow(ctx context.Context, id ID, parts, part int) (sold bool, err error) {
	key := flightKey{id, part}
	d.borrows.mu.Lock()
	f := d.borrows.m[key]
	if f != nil {
		d.borrows.mu.Unlock()
		select {
		case <-f.done:
			return f.sold, f.err
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	f = &flight{done: make(chan struct{}), err: errors.New("redpacket: the borrower was stopped")}
	if d.borrows.m == nil {
		d.borrows.m = map[flightKey]*flight{}
	}
	d.borrows.m[key] = f
	d.borrows.mu.Unlock()
	defer func() {
		d.borrows.mu.Lock()
		delete(d.borrows.m, key)
		d.borrows.mu.Unlock()
		close(f.done)
	}()
	// Others wait for this too: it does not end with one client's request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*borrowWithin)
	defer cancel()
	f.sold, f.err = d.h.refill(ctx, id, parts, part)
	return f.sold, f.err
}

// refill asks the richest part to give, and waits until the part has the range. That all parts
// are dry counts only when two readings of all parts, one after the other, find nothing
// left, nothing on its way and nothing moved in between: then there was a moment between them at
// which no part had anything.
func (h *House) refill(ctx context.Context, id ID, parts, part int) (sold bool, err error) {
	until := h.now().Add(borrowWithin)
	var before []piece
	pause := 2 * time.Millisecond
	for {
		list := h.pieces(ctx, id, parts, part)
		if me := &list[part]; me.err != nil {
			return false, me.err
		} else if me.k < me.n || me.state != "o" {
			return false, nil
		}
		if dry(list) {
			if before != nil && unmoved(before, list) {
				h.seal(ctx, id, list)
				return true, nil
			}
			before = list
			continue
		}
		before = nil
		if err = h.beg(ctx, id, list, part); err != nil && !errors.Is(err, errDry) {
			return false, err
		}
		if !h.now().Before(until) {
			if err = broken(list); err == nil {
				err = errDry
			}
			return false, Later(300*time.Millisecond, fmt.Errorf("waiting for a range of %s: %w", id, err))
		}
		if err := h.sleep(ctx, pause); err != nil {
			return false, err
		}
		pause = min(2*pause, 40*time.Millisecond)
	}
}

// beg makes the richest part give, unless a range is on its way already.
func (h *House) beg(ctx context.Context, id ID, list []piece, part int) error {
	rich := -1
	for i := range list {
		p := &list[i]
		if p.err == nil && p.open != "" {
			return nil
		}
		if p.err == nil && p.state == "o" && p.n > p.k && (rich < 0 || p.n-p.k > list[rich].n-list[rich].k) {
			rich = i
		}
	}
	if rich < 0 {
		return errDry
	}
	reply, err := h.atPart(ctx, id, rich, script.Give, func(k *keys, text string) []string { return []string{k.sh(text), k.notes(text)} },
		text64(int64(part)), text64(int64(id.PartBucket(part))), text64(mostMoved))
	if word, _, _ := strings.Cut(reply, "|"); err != nil || word == "done" || word == "again" {
		return err
	}
	return errDry // it has sold, closed or given all meanwhile
}

// dry reports whether no part has anything left or on its way.
func dry(list []piece) bool {
	for i := range list {
		if p := &list[i]; p.err != nil || p.n > p.k || p.notes > 0 || p.state != "o" && p.state != "x" {
			return false
		}
	}
	return true
}

// unmoved reports whether nothing came or went between two readings.
func unmoved(a, b []piece) bool {
	for i := range a {
		if a[i].moved != b[i].moved || a[i].k != b[i].k || a[i].n != b[i].n {
			return false
		}
	}
	return true
}

// seal lets each part say soldout by itself from now on. It only spares work: who does not find
// the seal proves it again.
func (h *House) seal(ctx context.Context, id ID, list []piece) {
	_, _, quarantined := total(list)
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].state == "o" && list[i].q == 0 && (i > 0 || quarantined == 0) {
			h.atPart(ctx, id, i, script.Fence, nil, append([]string{"x", "", ""}, totalArgs(list)...)...)
		}
	}
}
