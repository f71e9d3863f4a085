package cmd

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"sluice/cachesync/memcache"
	"sluice/cachesync/region"
	"sluice/gateway/config"
)

// syncVerify is `sluice sync verify`.
func syncVerify(file *string) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "verify REGION", Short: "Compare this region's memcached with another's, wholly; exit 1 on a difference", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at := place{file: *file}
			cfg, err := at.load()
			if err != nil {
				return err
			}
			nodes, err := memcachedOf(cmd.Context(), cfg, args[0])
			if err != nil {
				return err
			}
			sides := [2]region.Side{{Name: cfg.Region.Name, Nodes: cfg.Memcached.Servers}, {Name: args[0], Nodes: nodes}}
			for i := range sides {
				client, err := memcache.New(memcache.Config{Servers: sides[i].Nodes, Timeout: cfg.Memcached.Timeout})
				if err != nil {
					return fmt.Errorf("region %s: %w", sides[i].Name, err)
				}
				defer client.Close()
				sides[i].Store = client
			}
			verdict, err := region.Verify(cmd.Context(), sides[0], sides[1], new(net.Dialer).DialContext, cmd.OutOrStdout(), limit)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), verdict)
			if verdict.Different > 0 {
				return fmt.Errorf("%d keys differ", verdict.Different)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many differences to print")
	return cmd
}

// memcachedOf are the nodes of a region: as sluice.yaml says, else as the region itself has told
// the control region.
func memcachedOf(ctx context.Context, cfg config.Config, name string) ([]string, error) {
	for _, r := range cfg.Regions {
		if r.Name == name {
			return r.Memcached, nil
		}
	}
	registry, done, err := newRegistry(cfg)
	if err != nil {
		return nil, &exitError{2, fmt.Errorf("%q is not among the regions of sluice.yaml, and %w", name, err)}
	}
	defer done()
	list, err := registry.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if r.Name == name && len(r.Memcached) > 0 {
			return r.Memcached, nil
		}
	}
	return nil, &exitError{2, fmt.Errorf("%q is neither among the regions of sluice.yaml nor in `sluice region list`", name)}
}
