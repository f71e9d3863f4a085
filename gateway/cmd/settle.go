package cmd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sluice/cachesync"
	"sluice/cachesync/apply"
	"sluice/cachesync/memcache"
	"sluice/gateway/admin"
	"sluice/gateway/config"
	"sluice/gateway/ledger"
	"sluice/gateway/ledger/remote"
	"sluice/gateway/redpacket"
)

// Settle is `sluice settle`: everything that happens where the ledger is.
func Settle() *cobra.Command {
	var file, level, addr string
	var alsoSync bool
	cmd := &cobra.Command{
		Use: "settle -c sluice.yaml", Short: "Pay, split and open red packets; post wins to the ledger; pay out; certify", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := openRole(file, level, config.RoleSettle)
			if err != nil {
				return err
			}
			defer p.close()
			if err := p.openHouse(false); err != nil {
				return err
			}
			store, err := p.openLedger(cmd.Context())
			if err != nil {
				return err
			}
			if addr == "" {
				addr = p.cfg.Admin.Listen
			}
			server, err := admin.New(addr, p.cfg.Admin.Token, p.registry, p.log)
			if err != nil {
				return err
			}
			server.Ready("redis", redisReady(p.control, p.cfg.Redis))
			var client *memcache.Client
			if len(p.cfg.Memcached.Servers) > 0 {
				if client, err = p.openMemcached(true); err != nil {
					return err
				}
			}
			remote.Serve(server, store)
			keeper, err := p.newKeeper(store, server, client, false)
			if err != nil {
				return err
			}
			if alsoSync && client != nil {
				syncer, err := p.newSyncer(cachesync.Deps{Store: client})
				if err != nil {
					return err
				}
				keeper.workers = append(keeper.workers, syncer.Run)
			}
			p.log.Info("settle runs", "admin", server.Addr(), "sync", alsoSync)
			return serve(cmd.Context(), keeper.Run, server.Run)
		},
	}
	roleFlags(cmd, &file, &level)
	cmd.Flags().BoolVar(&alsoSync, "sync", true, "also keep the region's memcached equal to the home; false where `sluice sync` runs")
	cmd.Flags().StringVar(&addr, "admin", "", "admin address, when another role on this machine has admin.listen")
	return cmd
}

// keeper holds the workers that live where the ledger is. Several keepers may
// run at once: the ledger admits each event once.
type keeper struct {
	settler  *redpacket.Settler
	splitter *redpacket.SplitWorker
	closer   *redpacket.Closer
	workers  []func(context.Context) error
}

// newKeeper builds the workers. client, if not nil, is the region's memcached,
// whose saved positions tell a Redis that has forgotten something. trusted says that no answer goes out before the
// ledger has it: the embedded house.
func (p *parts) newKeeper(store ledger.Store, server *admin.Server, client *memcache.Client, trusted bool) (*keeper, error) {
	m := newSettleMetrics(p.registry, store)
	blocking := newRedis(p.cfg.Redis, time.Second)
	p.onClose(blocking.Close)
	k := &keeper{}
	provider, err := p.paymentProvider(store, server)
	if err != nil {
		return nil, err
	}
	if k.settler, err = redpacket.NewSettler(redpacket.SettlerConfig{
		House: p.house, Ledger: store, Freeze: store.Freeze, Blocking: blocking, Log: p.log,
		Hooks: redpacket.SettlerHooks{Settled: m.onSettled, Frozen: m.onFrozen, Failed: m.onFailed},
	}); err != nil {
		return nil, err
	}
	if k.splitter, err = redpacket.NewSplitWorker(redpacket.SplitWorkerConfig{
		House: p.house, Ledger: store, Blocking: blocking, Provider: provider, PayWithin: p.cfg.Payment.Within, Log: p.log, Opened: m.onOpened,
	}); err != nil {
		return nil, err
	}
	certifier, err := redpacket.NewCertifier(redpacket.CertifierConfig{
		House: p.house, Ledger: store, Who: processName(), Trusted: trusted, Evidence: p.evidence(client), Log: p.log,
		Certified: m.onCertified, Frozen: m.onFrozen,
	})
	if err != nil {
		return nil, err
	}
	if k.closer, err = redpacket.NewCloser(redpacket.CloserConfig{House: p.house, Ledger: store, Log: p.log}); err != nil {
		return nil, err
	}
	payouts, err := p.newPayouts(store)
	if err != nil {
		return nil, err
	}
	loader, err := p.newScriptLoader()
	if err != nil {
		return nil, err
	}
	k.workers = []func(context.Context) error{certifier.Run, k.settler.Run, k.splitter.Run, k.closer.Run, payouts, loader.Run, m.run}
	return k, nil
}

// evidence reads how far the region's applier has come: a Redis that is behind
// it was put back to an older state. A memcached that is down is no evidence, nor is one that
// does not follow the home.
func (p *parts) evidence(client *memcache.Client) func(ctx context.Context, bucket int) (uint64, error) {
	if client == nil {
		return nil
	}
	homes, name := p.cfg.Syncing().Homes, p.cfg.HomeName()
	i := slices.IndexFunc(homes, func(h cachesync.Home) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	positions := &apply.CachePositions{Store: client}
	return func(ctx context.Context, bucket int) (uint64, error) {
		seen, _, err := positions.Look(ctx, homes[i].PositionName(bucket))
		if err != nil {
			p.log.Warn("certifying without the appliers' positions", "err", err)
		}
		return seen[bucket].Seq, nil
	}
}

// Run runs all workers until ctx ends.
func (k *keeper) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range k.workers {
		group.Go(func() error { return run(ctx) })
	}
	return group.Wait()
}

// processName tells keepers apart in certificates and leases.
func processName() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}
