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
	var winner, why string
	var refund bool
	cmd := &cobra.Command{
		Use: "release ID SHARE --to UID | --refund", Short: "End the quarantine of a share: it was won by UID, or goes back to the sender after close", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			share, err := strconv.Atoi(args[1])
			switch {
			case err != nil || share < 0:
				return &exitError{2, fmt.Errorf("%.40q is not the number of a share", args[1])}
			case refund == (winner != ""):
				return &exitError{2, errors.New("say --to UID or --refund")}
			case winner != "" && !token.ValidUID(winner):
				return &exitError{2, fmt.Errorf("--to %.80q is not a uid", winner)}
			}
			c, store, err := openWithLedger(cmd.Context(), open)
			if err != nil {
				return err
			}
			defer c.close()
			held, err := store.Quarantined(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			for _, h := range held {
				if h.Share != share {
					continue
				}
				r := ledger.Release{RedPacket: args[0], Share: share, Who: "operator " + processName(), Why: why, At: time.Now().UTC().Truncate(time.Millisecond)}
				if winner != "" {
					r.Win = &ledger.Win{RedPacket: args[0], Share: share, UID: winner, N: "1", Amount: h.Amount, At: h.At, Epoch: h.Epoch}
				}
				return store.Release(cmd.Context(), []ledger.Release{r})
			}
			return fmt.Errorf("share %d of %s is not quarantined", share, args[0])
		},
	}
	cmd.Flags().StringVar(&winner, "to", "", "the uid that won it")
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
