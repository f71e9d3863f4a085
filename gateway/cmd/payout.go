package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sluice/gateway/ledger"
	"sluice/gateway/ledger/payout"
	"sluice/gateway/ledger/statement"
)

// newPayouts is the worker that empties the ledger's outbox.
func (p *parts) newPayouts(store ledger.Outbox) (run func(context.Context) error, err error) {
	var provider payout.Provider = payout.Auto{}
	if p.cfg.Payout.Provider == "webhook" {
		provider = &payout.Webhook{URL: p.cfg.Payout.URL, Secret: []byte(p.cfg.Payout.Secret)}
	}
	worker, err := payout.New(payout.Config{
		Ledger: store, Providers: payout.All(payout.Rehearsal{Next: provider}), Tries: p.cfg.Payout.Tries,
		Metrics: payout.NewMetrics(p.registry), Logger: p.log,
	})
	if err != nil {
		return nil, err
	}
	return worker.Run, nil
}

// maxStuck is the most that are listed at once.
const maxStuck = 100_000

func redpacketPayouts(open openCounter) *cobra.Command {
	var stuck, retry bool
	var limit int
	cmd := &cobra.Command{
		Use: "payouts --stuck | --retry [KEY...]", Short: "List pay-outs that failed, or give dead letters another round now",
		RunE: func(cmd *cobra.Command, keys []string) error {
			if stuck == retry {
				return &exitError{2, errors.New("say --stuck or --retry")}
			}
			if stuck && len(keys) > 0 {
				return &exitError{2, errors.New("--stuck lists all; keys go with --retry")}
			}
			if limit < 1 || limit > maxStuck {
				return &exitError{2, fmt.Errorf("--limit: must be from 1 to %d", maxStuck)}
			}
			c, store, err := openWithLedger(cmd.Context(), open)
			if err != nil {
				return err
			}
			defer c.close()
			if retry {
				_, err = payout.Retry(cmd.Context(), store, cmd.OutOrStdout(), keys...)
			} else {
				_, err = payout.Stuck(cmd.Context(), store, cmd.OutOrStdout(), limit)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&stuck, "stuck", false, "list dead letters and pay-outs that failed at least once")
	cmd.Flags().BoolVar(&retry, "retry", false, "retry the dead letters named, or all")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many to list")
	return cmd
}

func redpacketStatement(open openCounter) *cobra.Command {
	var from, to string
	var payments bool
	cmd := &cobra.Command{
		Use: "statement FILE.csv --from DAY --to DAY", Short: "Hold a provider's statement against the ledger; exit 1 on a difference", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var o statement.Options
			var err error
			if o.From, err = parseDay(from); err != nil {
				return &exitError{2, fmt.Errorf("--from: %w", err)}
			}
			if o.To, err = parseDay(to); err != nil {
				return &exitError{2, fmt.Errorf("--to: %w", err)}
			}
			if !o.To.After(o.From) {
				return &exitError{2, errors.New("--to: must be later than --from")}
			}
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			c, store, err := openWithLedger(cmd.Context(), open)
			if err != nil {
				return err
			}
			defer c.close()
			compare := statement.Payouts
			if payments {
				compare = statement.Payments
			}
			out := cmd.OutOrStdout()
			r, err := compare(cmd.Context(), store, o, file, func(d statement.Difference) { fmt.Fprintln(out, d) })
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%d lines, %d matched, statement %d fen, ledger %d fen\n", r.Lines, r.Matched, r.Statement, r.Ledger)
			if !r.Clean() {
				return fmt.Errorf("differences: %v", r.Difference)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "begin of the window: 2027-02-05 or RFC 3339")
	cmd.Flags().StringVar(&to, "to", "", "end of the window, not included")
	cmd.Flags().BoolVar(&payments, "payments", false, "the payment provider's statement, not the wallet's")
	cmd.MarkFlagRequired("from")
	cmd.MarkFlagRequired("to")
	return cmd
}

func parseDay(text string) (time.Time, error) {
	if day, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return day, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%.40q is neither 2027-02-05 nor RFC 3339", text)
	}
	return at, nil
}

// openWithLedger opens the counter and the ledger behind it.
func openWithLedger(ctx context.Context, open openCounter) (*counter, ledger.Store, error) {
	c, err := open()
	if err != nil {
		return nil, nil, err
	}
	store, err := c.openLedger(ctx)
	if err != nil {
		c.close()
		return nil, nil, err
	}
	return c, store, nil
}
