package cmd

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"sluice/cachesync/region"
	"sluice/gateway/config"
)

// Region is `sluice region`: the list of regions, and their coming and going.
func Region() *cobra.Command {
	var at place
	cmd := &cobra.Command{Use: "region", Short: "List regions, watch them, let them join and drain"}
	at.flags(cmd)
	with := func(f func(cmd *cobra.Command, r *region.Registry, name string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			cfg, err := at.load()
			if err != nil {
				return err
			}
			registry, done, err := newRegistry(cfg)
			if err != nil {
				return err
			}
			defer done()
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			return f(cmd, registry, name)
		}
	}
	var every, wait time.Duration
	await := func(cmd *cobra.Command, r *region.Registry, name string, want region.State) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), wait)
		defer cancel()
		return region.Await(ctx, cmd.OutOrStdout(), r, name, want)
	}
	list := &cobra.Command{
		Use: "list", Short: "Regions with state, lag, modes and probes", Args: cobra.NoArgs,
		RunE: with(func(cmd *cobra.Command, r *region.Registry, _ string) error {
			all, err := r.List(cmd.Context())
			if err == nil {
				region.Table(cmd.OutOrStdout(), all)
			}
			return err
		}),
	}
	top := &cobra.Command{
		Use: "top", Short: "The same, again and again", Args: cobra.NoArgs,
		RunE: with(func(cmd *cobra.Command, r *region.Registry, _ string) error {
			return region.Top(cmd.Context(), cmd.OutOrStdout(), r, every)
		}),
	}
	top.Flags().DurationVar(&every, "every", time.Second, "how often")
	join := &cobra.Command{
		Use: "join NAME", Short: "Wait until a region whose `sluice sync` was started is active, showing each step", Args: cobra.ExactArgs(1),
		RunE: with(func(cmd *cobra.Command, r *region.Registry, name string) error {
			return await(cmd, r, name, region.Active)
		}),
	}
	drain := &cobra.Command{
		Use: "drain NAME", Short: "Take a region out: the others fall back at once, then it leaves", Args: cobra.ExactArgs(1),
		RunE: with(func(cmd *cobra.Command, r *region.Registry, name string) error {
			if err := r.Drain(cmd.Context(), name); err != nil {
				return err
			}
			return await(cmd, r, name, "")
		}),
	}
	for _, c := range []*cobra.Command{join, drain} {
		c.Flags().DurationVar(&wait, "wait", 5*time.Minute, "how long to wait")
	}
	cmd.AddCommand(list, top, join, drain)
	return cmd
}

// newRegistry is the list of regions; done closes it.
func newRegistry(cfg config.Config) (registry *region.Registry, done func() error, err error) {
	sync := cfg.Syncing()
	if len(sync.Control.Addrs) == 0 {
		return nil, nil, errors.New("this region stands alone: set sync.control to the control region's Redis")
	}
	rdb := newRedis(config.Redis{
		Addrs: sync.Control.Addrs, Username: sync.Control.Username, Password: sync.Control.Password,
		Cluster: sync.Control.Cluster, Timeout: cfg.Redis.Timeout,
	}, 0)
	return &region.Registry{RDB: rdb, Lease: sync.Lease, Grace: sync.Grace}, rdb.Close, nil
}
