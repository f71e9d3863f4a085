package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket"
	"sluice/gateway/token"
)

func redpacketQuarantined(open openCounter) *cobra.Command {
	return &cobra.Command{
		Use: "quarantined [ID]", Short: "List the shares that may have been won before a Redis was restored", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, store, err := openWithLedger(cmd.Context(), open)
			if err != nil {
				return err
			}
			defer c.close()
			held, err := store.Quarantined(cmd.Context(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			for _, h := range held {
				state := h.Released
				if state == "" {
					state = "held"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s share %d  %d fen  %s  since %s: %s\n", h.RedPacket, h.Share, h.Amount, state, h.At.Format(time.RFC3339), h.Reason)
			}
			return nil
		},
	}
}

func redpacketRelease(open openCounter) *cobra.Command {
	var winner, n, why string
	var refund bool
	cmd := &cobra.Command{
		Use: "release ID SHARE|all --to UID | --refund", Short: "End the quarantine of a share: it was won by UID, or goes back to the sender after close", Args: cobra.ExactArgs(2),
		Long: `Ends the quarantine of a share in the ledger, and tells Redis: from then on UID hears
"already" with his win. When the last share is released, everybody else hears
soldout or closed again instead of "later". A share goes back to the sender only
after close; "all" sends back all that are still held.`,
		RunE: withID(open, func(cmd *cobra.Command, c *counter, id redpacket.ID) error {
			share, err := strconv.Atoi(cmd.Flags().Arg(1))
			all := cmd.Flags().Arg(1) == "all"
			switch {
			case !all && (err != nil || share < 0):
				return &exitError{2, fmt.Errorf("%.40q is not the number of a share", cmd.Flags().Arg(1))}
			case refund == (winner != ""):
				return &exitError{2, errors.New("say --to UID or --refund")}
			case all && !refund:
				return &exitError{2, errors.New("all shares go back with --refund; a winner has one")}
			case winner != "" && !token.ValidUID(winner):
				return &exitError{2, fmt.Errorf("--to %.80q is not a uid", winner)}
			case !token.ValidUID(n):
				return &exitError{2, fmt.Errorf("--n %.80q is not the Idempotency-Key of a draw", n)}
			}
			store, err := c.openLedger(cmd.Context())
			if err != nil {
				return err
			}
			held, err := store.Quarantined(cmd.Context(), id.String())
			if err != nil {
				return err
			}
			var list []ledger.Release
			for _, h := range held {
				if !all && h.Share != share || all && h.Released != "" {
					continue
				}
				r := ledger.Release{RedPacket: id.String(), Share: h.Share, Who: "operator " + processName(), Why: why, At: time.Now().UTC().Truncate(time.Millisecond)}
				if winner != "" {
					r.Win = &ledger.Win{RedPacket: id.String(), Share: h.Share, UID: winner, N: n, Amount: h.Amount, At: h.At, Epoch: h.Epoch}
				}
				list = append(list, r)
			}
			if len(list) == 0 {
				return fmt.Errorf("share %s of %s is not quarantined", cmd.Flags().Arg(1), id)
			}
			if err := store.Release(cmd.Context(), list); err != nil {
				return err
			}
			if err := redpacket.Unhold(cmd.Context(), c.house, store, id); err != nil {
				return fmt.Errorf("the ledger has it; settle will tell Redis, which did not take it now: %w", err)
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&winner, "to", "", "the uid that won it")
	cmd.Flags().StringVar(&n, "n", "1", "the Idempotency-Key of the draw, for a portal")
	cmd.Flags().BoolVar(&refund, "refund", false, "back to the sender")
	cmd.Flags().StringVar(&why, "why", "", "stands in the ledger")
	cmd.MarkFlagRequired("why")
	return cmd
}

func redpacketTune(open openCounter) *cobra.Command {
	var version int64
	var chances []string
	cmd := &cobra.Command{
		Use: "tune ID --version N --chance NAME=PPM...", Short: "Change the chances of a portal's prizes; an older version changes nothing", Args: cobra.ExactArgs(1),
		RunE: withID(open, func(cmd *cobra.Command, c *counter, id redpacket.ID) error {
			byName := map[string]int64{}
			for _, one := range chances {
				name, text, _ := strings.Cut(one, "=")
				ppm, err := strconv.ParseInt(text, 10, 64)
				if err != nil || ppm < 0 || ppm > 1_000_000 {
					return &exitError{2, fmt.Errorf("--chance %.80q: write it as name=millionths, 0..1000000", one)}
				}
				byName[name] = ppm
			}
			return c.desk.Tune(cmd.Context(), id, version, byName)
		}),
	}
	cmd.Flags().Int64Var(&version, "version", 0, "must be above the last one")
	cmd.Flags().StringArrayVar(&chances, "chance", nil, "name=millionths, may be repeated")
	cmd.MarkFlagRequired("version")
	cmd.MarkFlagRequired("chance")
	return cmd
}
