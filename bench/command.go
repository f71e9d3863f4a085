package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/bench/load"
	"sluice/bench/load/arrival"
	"sluice/bench/load/record"
	"sluice/bench/load/rehearsal"
	"sluice/bench/load/report"
	"sluice/bench/load/search"
	"sluice/bench/procs"
)

// Command is `sluice bench`.
func Command() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   "bench URL...",
		Short: "Send open-loop load and measure latency from the intended moment",
		Long: "Send open-loop load and measure latency from the intended moment.\n\n" +
			"Exit codes: 0 ok, 1 could not be run, 2 usage, 3 objective missed, 4 run invalid, 5 worse than baseline.",
		Example: "  sluice bench http://127.0.0.1:8080 --data ./data --scenario preset:draw --rate 2000 --duration 30s --slo 'p99<50ms,errors<0.1%' --html run.html\n" +
			"  sluice bench http://127.0.0.1:8080 --data ./data --scenario preset:night --var room=r1 --arrivals herd:users=20000,at=3s --rehearsal",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("bench: which URL? As in: sluice bench http://127.0.0.1:8080/hello --rate 1000")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.resolve(args); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	cmd.AddCommand(mergeCommand(), reportCommand(), cleanupCommand())
	return cmd
}

// run does everything between flags and exit code.
func (f *flags) run(ctx context.Context, out, errOut io.Writer) (err error) {
	var base *record.Result
	if f.baseline != "" {
		if base, err = f.readBaseline(); err != nil {
			return err
		}
	}
	now := time.Now()
	if f.cfg.Minter, err = f.secrets(now); err != nil {
		return err
	}
	crew, err := f.muster(now)
	if err != nil {
		return err
	}
	res, err := f.drive(ctx, crew, errOut)
	if errors.Is(err, search.ErrNoRate) {
		code := exitMissed
		if res.FindMax.Limit == search.Generator {
			code = exitInvalid
		}
		err = &exitError{code, err}
	}
	if closing := crew.disband(res, errOut); closing != nil && err == nil {
		err = closing
	}
	if err != nil && res == nil {
		return err
	}
	res.Labels = f.labels
	if base != nil {
		res.Baseline = search.Compare(res, base, f.baseline, f.tolerance)
	}
	report.Text(out, res)
	if saved := save(res, f.json, f.html); saved != nil {
		return saved
	}
	if err != nil {
		return err
	}
	return verdict(res)
}

// readBaseline refuses one that says nothing about this run.
func (f *flags) readBaseline() (*record.Result, error) {
	base, err := record.Read(f.baseline)
	switch {
	case err != nil:
		return nil, usage(err)
	case !base.Valid:
		return nil, usagef("--baseline %s is of an invalid run, which proves nothing: %s", f.baseline, strings.Join(base.Invalid, "; "))
	case base.Scenario != f.cfg.Program.Name:
		return nil, usagef("--baseline %s is of %q, this run of %q", f.baseline, base.Scenario, f.cfg.Program.Name)
	}
	return base, nil
}

func (f *flags) drive(ctx context.Context, crew *crew, errOut io.Writer) (*record.Result, error) {
	if !f.findMax {
		if err := crew.prepare(ctx); err != nil {
			return nil, err
		}
		return f.once(ctx, f.cfg, errOut)
	}
	plan := search.Plan{Start: f.rate, Trial: f.trial, Hold: f.hold, Rest: time.Second, SLO: f.objectives, Tell: func(t record.Trial) {
		fmt.Fprintf(errOut, "%-9s %9.0f/s  p99 %-8s errors %.3f %%  %s\n", t.Phase, t.Rate, report.Span(t.P99), t.Errors*100, map[bool]string{true: "held", false: t.Why}[t.Held])
	}}
	// Each trial has users and red packets of its own: the second draw of a user, or one from what the
	// trial before sold out, would be another and cheaper request.
	prog, round := *f.cfg.Program, uint64(0)
	return search.FindMax(ctx, plan, func(ctx context.Context, rate float64, d time.Duration) (*record.Result, error) {
		if err := crew.prepare(ctx); err != nil {
			return nil, err
		}
		cfg := f.cfg
		cfg.Program, cfg.Curve, cfg.Duration, cfg.Seed = &prog, arrival.Constant{Rate: rate}, d, f.cfg.Seed+round
		res, err := f.once(ctx, cfg, errOut)
		if round++; err == nil && prog.Users.Count == 0 {
			prog.Users.First += uint64(res.UsersArrived)
		}
		return res, err
	})
}

// once is one run, with live view and the server's CPU.
func (f *flags) once(ctx context.Context, cfg load.Config, errOut io.Writer) (*record.Result, error) {
	var live *report.Live
	if file, ok := errOut.(*os.File); ok && !f.quiet && terminal(file) {
		live = report.NewLive(errOut, cfg.RunUp+cfg.Duration)
		cfg.View = live.Show
	}
	var used time.Duration
	var failed error
	if len(f.serverPIDs) > 0 {
		cfg.Measure = func(begin bool) {
			d, err := procs.Sum(f.serverPIDs)
			if failed = errors.Join(failed, err); begin {
				used = -d
			} else {
				used += d
			}
		}
	}
	res, err := load.Run(ctx, cfg)
	if live != nil {
		live.End()
	}
	if err = errors.Join(err, failed); err != nil {
		if errors.Is(err, load.ErrConfig) {
			return nil, usage(err)
		}
		return nil, err
	}
	if len(f.serverPIDs) > 0 && res.Requests > 0 && used > 0 {
		n := float64(res.Requests)
		res.Server = &record.ServerUse{CPUSeconds: used.Seconds(), CPUMicrosReq: used.Seconds() * 1e6 / n, ReqPerCPUSec: n / used.Seconds()}
	}
	search.Check(res, f.objectives)
	return res, nil
}

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// saveable finds out before a run what could not be saved after it.
func saveable(flag, path string) error {
	if path == "" {
		return nil
	}
	_, missing := os.Stat(path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return usagef("%s: %w", flag, err)
	}
	if missing != nil {
		_ = os.Remove(path) // it was not there before
	}
	return f.Close()
}

func save(res *record.Result, json, html string) error {
	if json != "" {
		if err := res.Write(json); err != nil {
			return err
		}
	}
	if html != "" {
		return report.HTML(res).Save(html)
	}
	return nil
}

// verdict turns a result into the exit code of the package's doc.
func verdict(res *record.Result) error {
	if !res.Valid {
		return &exitError{exitInvalid, fmt.Errorf("bench: the run is invalid: %s", strings.Join(res.Invalid, "; "))}
	}
	for _, o := range res.Objectives {
		if !o.Held {
			return &exitError{exitMissed, fmt.Errorf("bench: objective %s was missed", o.Text)}
		}
	}
	if res.Baseline != nil && res.Baseline.Worse {
		return &exitError{exitWorse, fmt.Errorf("bench: worse than %s", res.Baseline.File)}
	}
	return nil
}

// crew is what a run has besides load: setup, and a rehearsal's list and cleanup.
type crew struct {
	f      *flags
	list   *rehearsal.List
	client *rehearsal.Client
}

func (f *flags) muster(now time.Time) (*crew, error) {
	path, mark := "", ""
	if f.rehearsal {
		if f.admin == "" || f.adminToken == "" {
			return nil, usagef("--rehearsal must close what it funds: give -c sluice.yaml or --data DIR, or --admin URL with SLUICE_ADMIN_TOKEN")
		}
		if _, err := load.Origin(f.admin); err != nil {
			return nil, usagef("--admin: %w", err)
		}
		mark = now.UTC().Format("20060102T150405")
		if path = f.rehearsalList; path == "" {
			path = fmt.Sprintf("rehearsal-%s-%d.ids", mark, os.Getpid()) // workers of one run share the second
		}
		f.cfg.Program.Users.Prefix = rehearsal.Prefix + f.cfg.Program.Users.Prefix
		f.cfg.Headers = rehearsal.Header + ": " + mark + "\r\n"
	}
	list, err := rehearsal.NewList(path)
	if err != nil {
		return nil, usage(err)
	}
	f.cfg.OnFund = list.Note
	return &crew{f, list, &rehearsal.Client{Target: f.cfg.Targets[0], Admin: f.admin, AdminToken: f.adminToken, Minter: f.cfg.Minter, Mark: mark,
		Now: time.Now, Tell: list.Note}}, nil
}

// prepare funds what the scenario's setup asks for.
func (c *crew) prepare(ctx context.Context) error {
	if c.f.rehearsal {
		if err := c.client.CanClose(ctx); err != nil {
			return err
		}
	}
	p := c.f.cfg.Program
	c.client.Run = fmt.Sprintf("bench-%d", time.Now().UnixNano())
	for i := range p.Funds {
		ids, err := c.client.Fund(ctx, &p.Funds[i], p.Users.Prefix+"sender")
		if err != nil {
			return err
		}
		p.Lists[p.Funds[i].List] = ids
	}
	return nil
}

// disband closes what a rehearsal funded, even after Ctrl-C, and notes it in the result.
func (c *crew) disband(res *record.Result, errOut io.Writer) error {
	ids, fen, err := c.list.All()
	if !c.f.rehearsal {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // not the run's: it may be cancelled
	defer cancel()
	closed, left, closing := c.client.Close(ctx, ids)
	if res != nil {
		res.Rehearsal = &record.Rehearsal{Prefix: c.f.cfg.Program.Users.Prefix, Funded: len(ids), FundedID: ids, Fen: fen, Closed: closed, Left: left}
	}
	if closing != nil {
		fmt.Fprintf(errOut, "bench: %d of %d red packets could not be closed; their list is kept: sluice bench cleanup %s\n", len(left), len(ids), c.list.Path())
	}
	return errors.Join(err, closing, c.list.Close(len(left) == 0))
}
