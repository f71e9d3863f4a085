package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sluice/cachesync/memcache"
	"sluice/gateway/redpacket"
)

// redpacketProofs are the commands that compare Redis with the ledger.
func redpacketProofs(open openCounter) []*cobra.Command {
	return []*cobra.Command{redpacketReconcile(open), redpacketVerify(open), redpacketCertify(open),
		redpacketPayouts(open), redpacketStatement(open), redpacketQuarantined(open), redpacketRelease(open), redpacketTune(open)}
}

func redpacketReconcile(open openCounter) *cobra.Command {
	var proof string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "reconcile ID", Short: "Prove a red packet to the fen; exit 1 on a difference", Args: cobra.ExactArgs(1),
		Long: `Compares the split plan, Redis and the ledger at one position of the win stream:

  funded = paid + payable + unsettled + left + refunding + refunded (+ quarantined)

Each difference is named with its kind (missing, double, wrong amount, orphan,
unbalanced), share and uid.`,
		RunE: withID(open, func(cmd *cobra.Command, c *counter, id redpacket.ID) error {
			store, err := c.openLedger(cmd.Context())
			if err != nil {
				return err
			}
			r, err := redpacket.Reconcile(cmd.Context(), c.house, store, id)
			if err != nil {
				return err
			}
			if proof != "" {
				if err := writeProof(cmd, c, &r, id, proof); err != nil {
					return err
				}
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				err = encoder.Encode(r)
			} else {
				err = printReport(cmd.OutOrStdout(), &r)
			}
			if err == nil && !r.Clean() {
				err = fmt.Errorf("%d differences", len(r.Differences))
			}
			return err
		}),
	}
	cmd.Flags().StringVar(&proof, "proof", "", "write the proof of a closed red packet to this file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func printReport(out io.Writer, r *redpacket.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "red packet %s of %s, %s, at %s; money in fen\n", r.RedPacket, r.Sender, r.State, r.Position)
	sum := int64(0)
	for _, line := range []struct {
		name string
		fen  int64
	}{
		{"paid", r.Paid}, {"payable", r.Payable}, {"unsettled", r.Unsettled}, {"left", r.Left},
		{"refunding", r.Refunding}, {"refunded", r.Refunded}, {"quarantined", r.Quarantined},
	} {
		fmt.Fprintf(&b, "  %-12s %15d\n", line.name, line.fen)
		sum += line.fen
	}
	fmt.Fprintf(&b, "  %-12s %15d\n  %-12s %15d\n", "sum", sum, "funded", r.Funded)
	fmt.Fprintf(&b, "  %-12s %15d\n", "difference", r.Funded-sum)
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "  ! %s\n", d)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// writeProof writes the proof whole or not at all.
func writeProof(cmd *cobra.Command, c *counter, r *redpacket.Report, id redpacket.ID, file string) error {
	store, err := c.openLedger(cmd.Context())
	if err != nil {
		return err
	}
	row, err := store.RedPacket(cmd.Context(), id.String())
	if err != nil {
		return err
	}
	text, err := redpacket.Proof(r, &row)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func redpacketVerify(open openCounter) *cobra.Command {
	return &cobra.Command{
		Use: "verify ID", Short: "Repeat the split of a closed red packet from its revealed seed", Args: cobra.ExactArgs(1),
		Long: `The seed must hash to the commit that was shown before the draw, and every
winner must have what the seed's split gives. A portal is not split in advance:
there every winner must have a prize of its table, with its amount and within
its budget, and no code of a coupon may be given twice.`,
		RunE: withID(open, func(cmd *cobra.Command, c *counter, id redpacket.ID) error {
			store, err := c.openLedger(cmd.Context())
			if err != nil {
				return err
			}
			v, err := redpacket.Verify(cmd.Context(), store, id)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "commit   %s  (shown before the draw)\nseed     %s  (its SHA-256 is the commit)\n", v.Commit, v.Seed)
			if v.Shares == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "prizes   %d winners have what the table gives\n", v.Checked)
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "shares   %d split again, %d winners have what the split gives\n", len(v.Shares), v.Checked)
			}
			return nil
		}),
	}
}

func redpacketCertify(open openCounter) *cobra.Command {
	var buckets []int
	var yes bool
	var restored string
	cmd := &cobra.Command{
		Use: "certify", Short: "Let frozen or restored buckets back into service, after comparing them with the ledger", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return &exitError{2, errors.New("this thaws frozen buckets and raises their epoch; read docs/restore.md, then add --yes")}
			}
			for _, b := range buckets {
				if b < 0 || b >= redpacket.Buckets {
					return &exitError{2, fmt.Errorf("--bucket %d: buckets are 0..%d", b, redpacket.Buckets-1)}
				}
			}
			c, err := open()
			if err != nil {
				return err
			}
			defer c.close()
			store, err := c.openLedger(cmd.Context())
			if err != nil {
				return err
			}
			var client *memcache.Client
			if len(c.cfg.Memcached.Servers) > 0 {
				if client, err = c.openMemcached(false); err != nil {
					return err
				}
			}
			certifier, err := redpacket.NewCertifier(redpacket.CertifierConfig{
				House: c.house, Ledger: store, Who: "operator " + processName(), Evidence: c.evidence(client), Log: c.log,
			})
			if err != nil {
				return err
			}
			var report redpacket.CertifyReport
			if restored != "" {
				report, err = certifier.Restored(cmd.Context(), buckets, restored)
			} else {
				report, err = certifier.Certify(cmd.Context(), buckets)
			}
			if err != nil {
				return err
			}
			for _, b := range report.Buckets {
				fmt.Fprintf(cmd.OutOrStdout(), "bucket %02d  epoch %d  posted %d  restored %d  quarantined %d  %s\n",
					b.Bucket, report.Epoch, b.Posted, b.Restored, len(b.Quarantined), b.Why)
			}
			return nil
		},
	}
	cmd.Flags().IntSliceVar(&buckets, "bucket", nil, "the buckets, such as 3,17; none means all")
	cmd.Flags().BoolVar(&yes, "yes", false, "really do it")
	cmd.Flags().StringVar(&restored, "restored", "", "Redis was put back to an older state, and why: what is not known as won is quarantined")
	return cmd
}
