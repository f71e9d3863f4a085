package cmd

import (
	"context"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync/changelog"
	"sluice/cachesync/pipeline"
	"sluice/cachesync/relay"
	"sluice/cachesync/resp"
	"sluice/gateway/ledger"
	"sluice/gateway/ledger/remote"
	"sluice/gateway/redpacket"
)

// openRelays opens a gateway's ways to the homes of other regions.
func (p *parts) openRelays() error {
	if len(p.cfg.Relay.Addrs) == 0 {
		return nil
	}
	p.relays = map[int]*redpacket.Relays{}
	for _, h := range p.cfg.FarHomes() {
		way, err := redpacket.NewRelays(redpacket.RelaysConfig{
			Home: uint8(h.ID), Addrs: p.cfg.Relay.Addrs, Secret: p.cfg.Relay.Secret, Timeout: p.cfg.Redis.Timeout,
		})
		if err != nil {
			return fmt.Errorf("home %s: %w", h.Name, err)
		}
		p.relays[h.ID] = way
		p.onClose(way.Close)
		p.registry.MustRegister(backendCollector{"relay to " + h.Name, way.Stats})
	}
	return nil
}

// farHouse is the door to the buckets of another region's home.
func (p *parts) farHouse(home int, way *redpacket.Relays) (*redpacket.House, error) {
	return redpacket.NewHouse(redpacket.HouseConfig{Home: uint8(home), IDs: p.ids, Control: way.Control(), Backend: way})
}

// openFar opens the doors to all homes that relays lead to, besides the one this region funds at.
func (p *parts) openFar() (err error) {
	p.houses = map[uint8]*redpacket.House{uint8(p.cfg.HomeID()): p.house}
	for home, way := range p.relays {
		if home != p.cfg.HomeID() {
			if p.houses[uint8(home)], err = p.farHouse(home, way); err != nil {
				return err
			}
		}
	}
	return nil
}

// farCalls are the calls of the draw script under way to a far home for one red packet before draws gather.
const farCalls = 16

// newDesk is the desk of all homes that can be reached; cfg is that of the one this region
// funds at.
func (p *parts) newDesk(cfg redpacket.HomeConfig) (redpacket.Desk, error) {
	var own redpacket.Desk
	desks := map[uint8]redpacket.Desk{}
	for home, house := range p.houses {
		one := cfg
		if one.House = house; house != p.house {
			one.Confirm, one.ConfirmFund, one.ConfirmClose = nil, nil, nil
		}
		if p.relays[int(home)] != nil {
			one.Calls = farCalls
		}
		desk, err := redpacket.NewHome(one)
		if err != nil {
			return nil, err
		}
		if desks[home] = desk; house == p.house {
			own = desk
		}
	}
	return redpacket.NewRouter(own, desks)
}

// archives ask the ledger of a red packet's home.
type archives struct {
	ids   *redpacket.IDs
	homes map[uint8]redpacket.Archive
}

// archives are the ledgers that this region's gateways can ask; own is that of the home this
// region funds at, or nil.
func (p *parts) archives(own remote.Source) redpacket.Archive {
	a := archives{p.ids, map[uint8]redpacket.Archive{}}
	for home, url := range p.cfg.Ledger.Far {
		a.homes[uint8(home)] = remote.NewClient(url, p.cfg.Admin.Token)
	}
	if own != nil {
		a.homes[uint8(p.cfg.HomeID())] = own
	}
	if len(a.homes) == 0 {
		return nil
	}
	return a
}

func (a archives) of(redPacket string) (redpacket.Archive, error) {
	id, err := a.ids.Parse(redPacket)
	if err == nil && a.homes[id.Home()] != nil {
		return a.homes[id.Home()], nil
	}
	return nil, ledger.ErrNotFound
}

// RedPacket implements redpacket.Archive, as the others do.
func (a archives) RedPacket(ctx context.Context, id string) (ledger.RedPacket, error) {
	home, err := a.of(id)
	if err != nil {
		return ledger.RedPacket{}, err
	}
	return home.RedPacket(ctx, id)
}

func (a archives) Award(ctx context.Context, redPacket, uid, n string) (ledger.Award, error) {
	home, err := a.of(redPacket)
	if err != nil {
		return ledger.Award{}, err
	}
	return home.Award(ctx, redPacket, uid, n)
}

func (a archives) Wins(ctx context.Context, redPacket, cursor string, limit int) ([]ledger.Award, string, error) {
	home, err := a.of(redPacket)
	if err != nil {
		return nil, "", err
	}
	return home.Wins(ctx, redPacket, cursor, limit)
}

// newRelay is this region's relay; nil if relay.listen names no address.
func (p *parts) newRelay() (run func(context.Context) error, err error) {
	if p.cfg.Relay.Listen == "" {
		return nil, nil
	}
	cfg := relay.Config{Secret: p.cfg.Relay.Secret, Log: p.log}
	for _, h := range p.cfg.FarHomes() {
		// A gateway waits for redis.timeout: it shall hear why, before.
		timeout := p.cfg.Redis.Timeout * 4 / 5
		home := relay.Home{Name: h.Name, Number: h.ID, Redis: resp.Config{
			Addrs: h.Redis.Addrs, Cluster: h.Redis.Cluster, Username: h.Redis.Username, Password: h.Redis.Password, Timeout: timeout,
		}}
		if h.Redis.Replicas > 0 {
			node, ok := h.Redis.NewRedis(nil).(*redis.Client)
			if !ok {
				return nil, fmt.Errorf("home %s: replicas are waited for on one Redis only, not on a cluster", h.Name)
			}
			p.onClose(node.Close)
			home.Synced = func(ctx context.Context, shas ...string) error {
				return changelog.AwaitReplicas(ctx, node, h.Redis.Replicas, timeout, shas...)
			}
		}
		cfg.Homes = append(cfg.Homes, home)
	}
	server, err := relay.New(cfg)
	if err != nil {
		return nil, err
	}
	p.onClose(server.Close)
	p.registry.MustRegister(relayCollector{server}, backendCollector{"home", func() (all []pipeline.Stats) {
		for _, s := range server.Stats() {
			all = append(all, s.Nodes...)
		}
		return all
	}})
	return func(ctx context.Context) error {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.cfg.Relay.Listen)
		if err != nil {
			return fmt.Errorf("relay.listen: %w", err)
		}
		p.log.Info("relay listens", "addr", ln.Addr(), "homes", len(cfg.Homes))
		return server.Serve(ctx, ln)
	}, nil
}
