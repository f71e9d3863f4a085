package cmd

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"sluice/cachesync/memcache"
	"sluice/cachesync/region"
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
			sides := []region.Side{{Name: cfg.Region.Name, Nodes: cfg.Memcached.Servers}}
			for _, r := range cfg.Regions {
				if r.Name == args[0] {
					sides = append(sides, region.Side{Name: r.Name, Nodes: r.Memcached})
				}
			}
			if len(sides) != 2 {
				return &exitError{2, fmt.Errorf("%q is not among the regions of sluice.yaml", args[0])}
			}
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
