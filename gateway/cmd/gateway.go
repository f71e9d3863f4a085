package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sluice/cachesync"
	"sluice/cachesync/memcache"
	"sluice/gateway"
	"sluice/gateway/admin"
	"sluice/gateway/config"
	"sluice/gateway/ledger/remote"
	"sluice/gateway/modules"
	"sluice/gateway/redpacket"
	"sluice/gateway/room"
	"sluice/gateway/user"
)

// Gateway is `sluice gateway`: the front tier on real parts.
func Gateway() *cobra.Command {
	var file, level string
	cmd := &cobra.Command{
		Use: "gateway -c sluice.yaml", Short: "Serve clients: HTTP, Lua handlers, draws", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			calm()
			tuneGC()
			p, err := openRole(file, level, config.RoleGateway)
			if err != nil {
				return err
			}
			defer p.close()
			if err := p.openHouse(true); err != nil {
				return err
			}
			client, err := p.openMemcached(false)
			if err != nil {
				return err
			}
			server, err := admin.New(p.cfg.Admin.Listen, p.cfg.Admin.Token, p.registry, p.log)
			if err != nil {
				return err
			}
			if way := p.relays[p.cfg.HomeID()]; way != nil {
				server.Ready("relay", way.Ready)
			} else {
				server.Ready("redis", redisReady(p.control, p.cfg.Redis))
			}
			server.Ready("memcached", memcachedReady(client))
			cache := p.openCache(client)
			front, err := p.newFront(frontParts{cache: cache, store: client, wins: p.archive(), admin: server})
			if err != nil {
				return err
			}
			p.log.Info("gateway listens", "public", front.Addr(), "admin", server.Addr())
			if addr := p.cfg.Syncing().Invalidations; addr != "" {
				listening, stop := context.WithCancel(cmd.Context())
				defer stop()
				go cache.Listen(listening, addr, p.log)
			}
			return serve(cmd.Context(), front.Run, server.Run)
		},
	}
	roleFlags(cmd, &file, &level)
	return cmd
}

// serve runs all of main until ctx ends or one of them fails, and then last,
// the admin listener, which still answers "not ready" while the others end.
func serve(ctx context.Context, main func(context.Context) error, last func(context.Context) error) error {
	lastContext, endLast := context.WithCancel(context.WithoutCancel(ctx))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer endLast()
		return main(ctx)
	})
	group.Go(func() error { return last(lastContext) })
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func roleFlags(cmd *cobra.Command, file, level *string) {
	cmd.PersistentFlags().StringVarP(file, "config", "c", "", "the sluice.yaml (required)")
	cmd.MarkPersistentFlagRequired("config")
	cmd.Flags().StringVar(level, "log", "info", "debug, info, warn or error")
}

// openRole reads the configuration of a role and opens its parts.
func openRole(file, level string, role config.Role) (*parts, error) {
	log, err := newLogger(level)
	if err != nil {
		return nil, err
	}
	cfg, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	if err := cfg.Need(role); err != nil {
		return nil, err
	}
	return openParts(cfg, log.With("role", string(role), "region", cfg.Region.Name), role)
}

// frontParts are what a gateway has besides the shared parts.
type frontParts struct {
	cache *cachesync.Cache
	store *memcache.Client // under cache
	wins  remote.Source    // the ledger, or nil
	admin *admin.Server
	// Of the embedded house: an answer waits until the ledger has it.
	confirm                   func(ctx context.Context, pos redpacket.Position) error
	confirmFund, confirmClose func(ctx context.Context, id redpacket.ID) error
}

// newFront builds the front tier and adds its routes to the admin listener.
func (p *parts) newFront(f frontParts) (*gateway.Gateway, error) {
	homes, err := p.newDesk(redpacket.HomeConfig{
		Cache: f.cache, Confirm: f.confirm, ConfirmFund: f.confirmFund, ConfirmClose: f.confirmClose,
		Filters: redpacket.NewFilters(f.cache), SpreadAbove: p.cfg.RedPackets.SpreadAbove, SpreadParts: p.cfg.RedPackets.Parts,
	})
	if err != nil {
		return nil, err
	}
	desk := redpacket.NewArchived(homes, p.archives(f.wins), p.ids)
	push := p.cfg.Rooms.Push
	if len(push) == 0 {
		push = []string{"ws://" + p.cfg.Listen + "/connection/websocket"}
	}
	fans, err := p.newRelations()
	if err != nil {
		return nil, err
	}
	front, err := gateway.New(p.cfg, gateway.Parts{
		Tokens: p.ring, Registry: p.registry, Logger: p.log,
		Modules: modules.All(modules.Deps{
			Tokens: p.ring, Desk: desk, Fans: fans, IDs: p.ids, Home: uint8(p.cfg.HomeID()), Wins: f.wins,
			Cache: f.store, Redis: p.hot,
			Door: room.NewDoor(f.cache, p.rooms, p.ring, push, p.cfg.Rooms.TokenLife),
			Now:  time.Now, Logger: p.log,
		}),
	})
	if err != nil {
		return nil, err
	}
	loader, err := p.newScriptLoader()
	if err != nil {
		return nil, err
	}
	f.admin.Ready("buckets", p.bucketsReady(loader.Ready))
	f.admin.Scripts(front.Scripts())
	p.rooms.Admin(f.admin)
	user.Admin(f.admin, p.users)
	redpacketAdmin(f.admin, desk, p.ids)
	f.admin.Ready("serving", func(context.Context) error {
		if front.Draining() {
			return fmt.Errorf("draining")
		}
		return nil
	})
	return front, nil
}
