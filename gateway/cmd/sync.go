package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"sluice/cachesync"
	"sluice/cachesync/memcache"
	"sluice/gateway/admin"
	"sluice/gateway/config"
)

// Sync is `sluice sync`: keeps this region's memcached equal to the homes.
func Sync() *cobra.Command {
	var file, level, addr string
	cmd := &cobra.Command{
		Use: "sync -c sluice.yaml", Short: "Keep this region's memcached equal to the homes, within milliseconds", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := openRole(file, level, config.RoleSync)
			if err != nil {
				return err
			}
			defer p.close()
			if err := p.openHouse(false); err != nil {
				return err
			}
			if addr == "" {
				addr = p.cfg.Admin.Listen
			}
			server, err := admin.New(addr, p.cfg.Admin.Token, p.registry, p.log)
			if err != nil {
				return err
			}
			client, err := p.openMemcached(true)
			if err != nil {
				return err
			}
			syncer, err := p.newSyncer(client)
			if err != nil {
				return err
			}
			server.Ready("memcached", memcachedReady(client))
			server.Ready("sync", func(context.Context) error { return syncer.Ready() })
			p.log.Info("sync runs", "admin", server.Addr())
			return serve(cmd.Context(), syncer.Run, server.Run)
		},
	}
	roleFlags(cmd, &file, &level)
	cmd.AddCommand(syncVerify(&file))
	cmd.Flags().StringVar(&addr, "admin", "", "admin address, when another role on this machine has admin.listen")
	return cmd
}

// newSyncer builds the region's syncer; caches are those of this process.
func (p *parts) newSyncer(client *memcache.Client, caches ...*cachesync.Cache) (*cachesync.Syncer, error) {
	syncer, err := cachesync.NewSyncer(p.cfg.Syncing(), cachesync.Deps{
		Store: client, Caches: caches, Snapshots: []cachesync.Snapshotter{p.newInventory(), p.users}, Log: p.log,
	})
	if err != nil {
		return nil, err
	}
	p.onClose(syncer.Close)
	p.registry.MustRegister(syncCollector{syncer})
	return syncer, nil
}
