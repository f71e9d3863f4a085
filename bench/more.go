package bench

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/bench/load"
	"sluice/bench/load/record"
	"sluice/bench/load/rehearsal"
	"sluice/bench/load/report"
	"sluice/bench/load/search"
)

// files wants least to most of them, and says how when it is otherwise.
func files(least, most int, how string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usagef("%s: %s", cmd.Name(), how)
		}
		return nil
	}
}

func mergeCommand() *cobra.Command {
	var json, html, slo string
	cmd := &cobra.Command{
		Use:   "merge RESULT.json...",
		Short: "Sum the results of several workers of one run",
		Args:  files(1, 1<<20, "which results? As in: sluice bench merge 1.json 2.json --json all.json"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []*record.Result
			for _, path := range args {
				r, err := record.Read(path)
				if err != nil {
					return usage(err)
				}
				all = append(all, r)
			}
			objectives, err := search.ParseSLO(slo)
			if err != nil {
				return usage(err)
			}
			sum, err := record.Merge(all)
			if err != nil {
				return usage(err)
			}
			search.Check(sum, objectives)
			report.Text(cmd.OutOrStdout(), sum)
			if err := save(sum, json, html); err != nil {
				return err
			}
			return verdict(sum)
		},
	}
	cmd.Flags().StringVar(&json, "json", "", "write the sum here")
	cmd.Flags().StringVar(&html, "html", "", "write the page here")
	cmd.Flags().StringVar(&slo, "slo", "", "objectives for the sum")
	return cmd
}

func reportCommand() *cobra.Command {
	var html string
	cmd := &cobra.Command{
		Use:   "report RESULT.json [--html FILE]",
		Short: "Show a result again, as text or as a page",
		Args:  files(1, 1, "which result? As in: sluice bench report run.json --html run.html"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := record.Read(args[0])
			if err != nil {
				return usage(err)
			}
			report.Text(cmd.OutOrStdout(), r)
			return save(r, "", html)
		},
	}
	cmd.Flags().StringVar(&html, "html", "", "write the page here")
	return cmd
}

func cleanupCommand() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   "cleanup LIST",
		Short: "Close the red packets that a killed rehearsal left behind",
		Args:  files(1, 1, "which list? As in: sluice bench cleanup rehearsal-20270205T120000-4711.ids -c sluice.yaml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := rehearsal.ReadList(args[0])
			if err != nil {
				return usage(err)
			}
			if _, err := f.secrets(time.Now()); err != nil {
				return err
			}
			if f.admin == "" || f.adminToken == "" {
				return usagef("where is the admin listener? Give -c sluice.yaml or --data DIR, or --admin URL with SLUICE_ADMIN_TOKEN")
			}
			if _, err := load.Origin(f.admin); err != nil {
				return usage(err)
			}
			c := &rehearsal.Client{Admin: f.admin, AdminToken: f.adminToken, Now: time.Now}
			closed, left, err := c.Close(cmd.Context(), ids)
			fmt.Fprintf(cmd.OutOrStdout(), "%d of %d red packets closed\n", closed, len(ids))
			for _, id := range left {
				fmt.Fprintf(cmd.OutOrStdout(), "not closed: %s\n", id)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "sluice.yaml to take the admin address and token from")
	cmd.Flags().StringVar(&f.data, "data", "", "data folder of `sluice run`, in place of -c")
	cmd.Flags().StringVar(&f.admin, "admin", "", "admin listener, http://host:port")
	return cmd
}
