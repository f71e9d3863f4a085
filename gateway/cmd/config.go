package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"sluice/gateway/config"
)

// Config is `sluice config`: checks and prints the configuration.
func Config() *cobra.Command {
	var at place
	cmd := &cobra.Command{Use: "config", Short: "Check or print the configuration"}
	at.flags(cmd)
	var role string
	check := &cobra.Command{
		Use: "check", Short: "Say what is wrong with sluice.yaml, with file and line", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := at.load()
			if err != nil {
				return err
			}
			if role != "" {
				if err := cfg.Need(config.Role(role)); err != nil {
					return err
				}
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return nil
		},
	}
	check.Flags().StringVar(&role, "role", "", "also what this role needs: gateway, settle or sync")
	print := &cobra.Command{
		Use: "print", Short: "Print the configuration with all defaults, secrets left out", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := config.Default()
			if loaded, err := at.load(); err == nil {
				cfg = loaded
			} else if at.file != "" || !errors.Is(err, errNoFile) {
				return err
			}
			out, err := cfg.Print()
			if err != nil {
				return err
			}
			cmd.OutOrStdout().Write(out)
			return nil
		},
	}
	cmd.AddCommand(check, print)
	return cmd
}
