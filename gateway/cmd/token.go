package cmd

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/gateway/config"
	"sluice/gateway/token"
)

// Token is `sluice token`: prints a user's token.
func Token() *cobra.Command {
	var at place
	var claims token.Claims
	var life time.Duration
	cmd := &cobra.Command{
		Use:     "token --uid U [--scope fund]",
		Short:   "Print a user's token, made with the first key that can sign",
		Example: "  curl -H \"Authorization: Bearer $(sluice token --uid u1)\" ...",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !token.ValidUID(claims.UID) {
				return &exitError{2, fmt.Errorf("--uid %.80q: a uid is 1-64 characters of [A-Za-z0-9_-]", claims.UID)}
			}
			if life <= 0 {
				return &exitError{2, fmt.Errorf("--life %v: must be above zero", life)}
			}
			cfg, err := at.load()
			if err != nil {
				return err
			}
			ring, err := newRing(cfg)
			if err != nil {
				return err
			}
			text, err := ring.Mint(claims, life)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), text)
			return nil
		},
	}
	at.flags(cmd)
	cmd.Flags().StringVar(&claims.UID, "uid", "", "the user")
	cmd.Flags().StringVar(&claims.Scope, "scope", "", "what else the token allows: fund")
	cmd.Flags().DurationVar(&life, "life", time.Hour, "how long it is valid")
	return cmd
}

func newRing(cfg config.Config) (*token.Ring, error) {
	var keys []token.Key
	for _, k := range cfg.Tokens.Keys {
		keys = append(keys, token.Key{ID: k.ID, Algorithm: k.Algorithm, Secret: k.Secret, Public: k.PublicKey, Private: k.PrivateKey})
	}
	return token.NewRing(keys, cfg.Tokens.Leeway, time.Now)
}
