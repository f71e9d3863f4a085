package bench

import (
	"time"

	"github.com/spf13/cobra"

	"sluice/bench/load/record"
	"sluice/bench/plan"
)

// PlanCommand is `sluice plan`.
func PlanCommand() *cobra.Command {
	var n plan.Night
	var html string
	cmd := &cobra.Command{
		Use:     "plan RESULT.json --users N",
		Short:   "Say how many machines a night needs, with an error bar and a page to show",
		Example: "  sluice bench http://... --find-max --slo 'p99<50ms,errors<0.1%' --json max.json\n  sluice plan max.json --users 50000000 --first-second 0.05 --first-minute 0.6 --requests 4 --html plan.html",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("plan: which result? As in: sluice plan max.json --users 50000000")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := record.Read(args[0])
			if err != nil {
				return usage(err)
			}
			p, err := plan.Make(r, n)
			if err != nil {
				return usage(err)
			}
			p.Text(cmd.OutOrStdout())
			if html != "" {
				return p.Page().Save(html)
			}
			return nil
		},
	}
	s := cmd.Flags()
	s.Float64Var(&n.Users, "users", 0, "who come that night")
	s.Float64Var(&n.FirstSecond, "first-second", 0.05, "share of them who arrive in the first second")
	s.Float64Var(&n.FirstMinute, "first-minute", 0.6, "share of them who arrive in the first minute")
	s.IntVar(&n.Requests, "requests", 1, "requests of each user in the minute")
	s.DurationVar(&n.Apart, "apart", time.Second, "between a user's requests")
	s.Float64Var(&n.Scale, "machine-scale", 1, "a machine of the night against the measured one: 4 for four times the cores")
	s.Float64Var(&n.Headroom, "headroom", 0.3, "share of each machine kept free")
	s.DurationVar(&n.Wait, "wait", 250*time.Millisecond, "an answer may wait this long at the peak")
	s.IntVar(&n.Regions, "regions", 1, "of which one may be lost; 1: none may")
	s.StringVar(&html, "html", "", "write the page here")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	return cmd
}
