package redpacket

import (
	"context"
	"fmt"
	"time"
)

// Router sends each call to the Desk of the red packet's home. A gateway has one Home for the
// home of its own region, and one for each other home whose House goes through the region's
// relays: Backend and control client of that House are those of Relays. Cached outcomes need no link;
// what must ask a home that cannot be reached is "later".
type Router struct {
	own   Desk
	homes map[uint8]Desk
}

var _ Desk = (*Router)(nil)

// NewRouter makes a Router; own takes the fund requests and answers Look for homes that are
// not known.
func NewRouter(own Desk, homes map[uint8]Desk) (*Router, error) {
	if own == nil {
		return nil, fmt.Errorf("redpacket: a Router needs the Desk of its own home")
	}
	return &Router{own, homes}, nil
}

func (r *Router) of(id ID) (Desk, error) {
	if d := r.homes[id.Home()]; d != nil {
		return d, nil
	}
	return nil, Later(5*time.Second, fmt.Errorf("redpacket: this gateway has no way to home %d", id.Home()))
}

// Fund implements Desk: a red packet belongs to the home where it is funded.
func (r *Router) Fund(ctx context.Context, req FundRequest) (FundResult, error) {
	return r.own.Fund(ctx, req)
}

// Look implements Desk.
func (r *Router) Look(ctx context.Context, id ID, uid string, seen *Seen) error {
	if d := r.homes[id.Home()]; d != nil {
		return d.Look(ctx, id, uid, seen)
	}
	return r.own.Look(ctx, id, uid, seen)
}

// Draw implements Desk.
func (r *Router) Draw(ctx context.Context, req DrawRequest) (Outcome, error) {
	d, err := r.of(req.ID)
	if err != nil {
		if req.Seen != nil {
			if out, ok := req.Seen.Decide(); ok {
				return out, nil
			}
		}
		return Outcome{}, err
	}
	return d.Draw(ctx, req)
}

// Show implements Desk.
func (r *Router) Show(ctx context.Context, id ID) (State, error) {
	d, err := r.of(id)
	if err != nil {
		return State{}, err
	}
	return d.Show(ctx, id)
}

// Winners implements Desk.
func (r *Router) Winners(ctx context.Context, id ID, page string) (WinnersPage, error) {
	d, err := r.of(id)
	if err != nil {
		return WinnersPage{}, err
	}
	return d.Winners(ctx, id, page)
}

// Close implements Desk.
func (r *Router) Close(ctx context.Context, id ID, by string) (State, error) {
	d, err := r.of(id)
	if err != nil {
		return State{}, err
	}
	return d.Close(ctx, id, by)
}
