package redpacket

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/goredis"
	"sluice/cachesync/pipeline"
	"sluice/cachesync/resp"
)

// Relays is the way to a far home: a Backend through the relays of this region, of which one
// that answers is used. Gateways begin at a random one, so that they spread.
//
// A call that certainly did not run goes to the next relay; one whose fate is unknown does not:
// whoever asks again gets the same outcome. A relay that hangs costs those in flight their time,
// and is passed over from then on, until it answers again.
type Relays struct {
	home    uint8
	control redis.UniversalClient
	all     []viaRelay
	first   int
}

// MaxRelays is the most relays of one region.
const MaxRelays = 64

type viaRelay struct {
	addr   string
	client *resp.Client
	door   *Pipelined
}

// RelaysConfig is what Relays are made of; all fields are required.
type RelaysConfig struct {
	Home    uint8
	Addrs   []string
	Secret  string
	Timeout time.Duration // of a call
}

// NewRelays makes the way to a home; connections are opened in the background. Close must follow.
func NewRelays(cfg RelaysConfig) (*Relays, error) {
	if len(cfg.Addrs) == 0 || len(cfg.Addrs) > MaxRelays || cfg.Secret == "" || cfg.Timeout <= 0 {
		return nil, fmt.Errorf("redpacket: Relays need 1 to %d addresses, the secret and a timeout", MaxRelays)
	}
	r := &Relays{home: cfg.Home, first: rand.IntN(len(cfg.Addrs))}
	for _, addr := range cfg.Addrs {
		client, err := resp.New(resp.Config{Addrs: []string{addr}, Password: cfg.Secret, DB: int(cfg.Home),
			Timeout: cfg.Timeout, DialTimeout: cfg.Timeout / 2})
		if err != nil {
			r.Close()
			return nil, err
		}
		r.all = append(r.all, viaRelay{addr, client, NewPipelined(client)})
	}
	r.control = goredis.New(&redis.UniversalOptions{
		Addrs: cfg.Addrs[:1], Dialer: r.dial, Password: cfg.Secret, DB: int(cfg.Home), Protocol: 2, DisableIdentity: true,
		PoolSize: 2, DialTimeout: cfg.Timeout / 2, DialerRetries: 1, ReadTimeout: cfg.Timeout, WriteTimeout: cfg.Timeout, PoolTimeout: cfg.Timeout,
		ContextTimeoutEnabled: true,
	})
	return r, nil
}

// each calls f with one relay after the other until it is done with them; those that are up
// come before the others.
func (r *Relays) each(f func(v *viaRelay) (done bool)) {
	var tried uint64
	for _, any := range []bool{false, true} {
		for i := range r.all {
			at := (r.first + i) % len(r.all)
			v := &r.all[at]
			if tried&(1<<at) != 0 || !any && !v.client.Up() {
				continue
			}
			if tried |= 1 << at; f(v) {
				return
			}
		}
	}
}

// EvalSHA implements Backend.
func (r *Relays) EvalSHA(ctx context.Context, sha string, keys, args []string, dst []byte) (out []byte, err error) {
	r.each(func(v *viaRelay) bool {
		out, err = v.door.EvalSHA(ctx, sha, keys, args, dst)
		return err == nil || !notSent(err)
	})
	return out, err
}

// notSent says of an error that the script certainly did not run for want of a way to it.
func notSent(err error) bool {
	var refused resp.ReplyError
	return errors.Is(err, resp.ErrNotSent) || errors.As(err, &refused) && refused.Code() == "NOTSENT"
}

// dial is the control client's way to a relay that is up.
func (r *Relays) dial(ctx context.Context, network, _ string) (nc net.Conn, err error) {
	r.each(func(v *viaRelay) bool {
		nc, err = (&net.Dialer{}).DialContext(ctx, network, v.addr)
		return err == nil
	})
	return nc, err
}

// Control is a client for reads, through the same relays.
func (r *Relays) Control() redis.UniversalClient { return r.control }

// Client is the pipelined client of one relay, for scripts' own questions to the home.
func (r *Relays) Client() *resp.Client { return r.all[r.first].client }

// Ready says whether a relay answers; the home behind it may not.
func (r *Relays) Ready(context.Context) error {
	for _, v := range r.all {
		if v.client.Up() {
			return nil
		}
	}
	return fmt.Errorf("redpacket: none of %d relays answers; does `sluice sync` run in this region, with relay.listen?", len(r.all))
}

// Stats of the pipelined connections.
func (r *Relays) Stats() (all []pipeline.Stats) {
	for _, v := range r.all {
		all = append(all, v.client.Stats()...)
	}
	return all
}

// Close ends all connections.
func (r *Relays) Close() error {
	for _, v := range r.all {
		v.client.Close()
	}
	if r.control == nil {
		return nil
	}
	return r.control.Close()
}
