package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sluice/cachesync"
	"sluice/cachesync/record"
	"sluice/gateway/admin"
	"sluice/gateway/config"
	"sluice/gateway/redpacket"
)

// Sync is `sluice sync`: keeps this region's memcached equal to the homes.
func Sync() *cobra.Command {
	var file, level, addr, relayAddr string
	var onlyRelay bool
	cmd := &cobra.Command{
		Use: "sync -c sluice.yaml", Short: "Keep this region's memcached equal to the homes, within milliseconds; relay its draws", Args: cobra.NoArgs,
		Long: `Brings the changes of all homes (sync.homes) into this region's memcached. With relay.listen it
is also the relay: gateways of this region (relay.addrs) reach the homes of other regions through it,
over one pipelined connection to each node of a home. A region has one syncer; for a second relay, start
this with --relay-only on another machine and name both in relay.addrs.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			calm()
			p, err := openRole(file, level, config.RoleSync)
			if err != nil {
				return err
			}
			defer p.close()
			if addr == "" {
				addr = p.cfg.Admin.Listen
			}
			server, err := admin.New(addr, p.cfg.Admin.Token, p.registry, p.log)
			if err != nil {
				return err
			}
			if relayAddr != "" {
				p.cfg.Relay.Listen = relayAddr
			}
			relay, err := p.newRelay()
			if err != nil {
				return err
			}
			if onlyRelay {
				if relay == nil {
					return errors.New("--relay-only needs relay.listen in the file, or --relay")
				}
				return serve(cmd.Context(), relay, server.Run)
			}
			if err := p.openHouse(false); err != nil {
				return err
			}
			syncer, err := p.newSyncer(cachesync.Deps{Timeout: p.cfg.Memcached.Timeout})
			if err != nil {
				return err
			}
			p.registry.MustRegister(backendCollector{"memcached", syncer.Client().Stats})
			server.Ready("memcached", memcachedReady(syncer.Client()))
			server.Ready("sync", func(context.Context) error { return syncer.Ready() })
			p.log.Info("sync runs", "admin", server.Addr())
			return serve(cmd.Context(), both(syncer.Run, relay), server.Run)
		},
	}
	roleFlags(cmd, &file, &level)
	cmd.AddCommand(syncVerify(&file))
	cmd.Flags().BoolVar(&onlyRelay, "relay-only", false, "be a further relay, beside the region's syncer")
	cmd.Flags().StringVar(&relayAddr, "relay", "", "the relay's address instead of relay.listen")
	cmd.Flags().StringVar(&addr, "admin", "", "admin address, when another role on this machine has admin.listen")
	return cmd
}

// both runs two at once until ctx ends or one of them fails; the second may be nil.
func both(one, two func(context.Context) error) func(context.Context) error {
	if two == nil {
		return one
	}
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return one(ctx) })
		group.Go(func() error { return two(ctx) })
		return group.Wait()
	}
}

// newSyncer builds the region's syncer; deps say which memcached and which caches it has.
func (p *parts) newSyncer(deps cachesync.Deps) (*cachesync.Syncer, error) {
	deps.Log = p.log
	deps.Snapshots = []cachesync.Snapshotter{p.newInventory(), p.users}
	deps.Truth = map[string]cachesync.Source{
		record.PrefixRedPacket: redpacket.NewSource(p.house), record.PrefixRoom: p.rooms, record.PrefixUser: p.users.Live(),
	}
	syncer, err := cachesync.NewSyncer(p.cfg.Syncing(), deps)
	if err != nil {
		return nil, err
	}
	p.onClose(syncer.Close)
	p.registry.MustRegister(cachesync.NewCollector(syncer))
	return syncer, nil
}
