package payout

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"sluice/gateway/ledger"
)

// Stuck prints dead letters and failing pay-outs, dead ones first, and tells
// how many there are: `sluice redpacket payouts --stuck`.
func Stuck(ctx context.Context, l ledger.Outbox, out io.Writer, limit int) (int, error) {
	list, err := l.Stuck(ctx, limit)
	if err != nil {
		return 0, err
	}
	b, err := l.Backlog(ctx)
	if err != nil {
		return 0, err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tKIND\tUID\tFEN\tSTATE\tTRIES\tNEXT\tERROR")
	for _, p := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s\n", p.Key, p.Kind, p.UID, p.Amount, p.State, p.Tries, p.Due.Format(time.RFC3339), p.LastError)
	}
	if err := t.Flush(); err != nil {
		return 0, err
	}
	_, err = fmt.Fprintf(out, "%d shown; queued %d, claimed %d, waiting %d, dead %d\n", len(list), b.Queued, b.Claimed, b.Waiting, b.Dead)
	return len(list), err
}

// Retry gives dead letters another round now, those named or all, and says how
// many: `sluice redpacket payouts --retry [KEY...]`.
func Retry(ctx context.Context, l ledger.Outbox, out io.Writer, keys ...string) (int, error) {
	n, err := l.Retry(ctx, keys...)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprintf(out, "%d dead letters are tried again\n", n)
	return n, err
}
