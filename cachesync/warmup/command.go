package warmup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sluice/cachesync/warmup/plan"
	"sluice/cachesync/warmup/source"
	"sluice/cachesync/warmup/state"
)

// Deps is what the command takes from the rest of the house. Zero values: no
// configuration, no homes, no Lua, and the process' own streams.
type Deps struct {
	Flags     func(cmd *cobra.Command)                                               // adds the flags that name the configuration
	Regions   func(ctx context.Context) ([]Region, error)                            // of the configuration
	Homes     func(ctx context.Context) (homes []Home, closeAll func(), err error)   // for `tonight`
	Transform func(ctx context.Context, path string) (plan.Transform, func(), error) // compiles --lua
	StateDir  string                                                                 // zero value means ./data/warm
	Stdin     io.Reader
	Stdout    io.Writer
	Stderr    *os.File
	Getenv    func(string) string
	Clock     func() time.Time
}

func (d Deps) withDefaults() Deps {
	if d.Stdin == nil {
		d.Stdin = os.Stdin
	}
	if d.Stdout == nil {
		d.Stdout = os.Stdout
	}
	if d.Stderr == nil {
		d.Stderr = os.Stderr
	}
	if d.Getenv == nil {
		d.Getenv = os.Getenv
	}
	if d.Clock == nil {
		d.Clock = time.Now
	}
	if d.StateDir == "" {
		d.StateDir = filepath.Join("data", "warm")
	}
	return d
}

// told ends the command with a code when everything was said already.
type told Exit

func (told) Error() string   { return "" }
func (t told) ExitCode() int { return int(t) }

func usage(err error) error { return &Failure{Exit: ExitUsage, Err: err} }

const help = `Loads records into the memcached of regions before the hour, and proves that they are there.

  sluice warm users-*.csv.gz --version-column updated_at --before 20:00+08:00
  sluice warm --sql postgres --table users --order-by last_active --since-column updated_at --since last
  sluice warm --url https://users.example/active --http-header 'Authorization: Bearer $TOKEN'
  zcat dump.gz | sluice warm --format jsonl -
  sluice warm --synthetic 10000000 --memcached 127.0.0.1:11211
  sluice warm tonight --hour 20:00

Records are added if newer: a live change is never overwritten by an older row. A killed run goes on where it
was; a second run of the same set is refused meanwhile.

Exit codes: 0 done and proved, 2 usage or refused, 3 late, 4 coverage too low, 5 source failed, 6 target failed.`

// Command is `sluice warm`.
func Command(d Deps) *cobra.Command {
	d = d.withDefaults()
	f := &flags{set: "users", stateDir: d.StateDir}
	cmd := &cobra.Command{
		Use:   "warm [FILE...]",
		Short: "Load users, red packets and rooms into memcached before the hour, with proof",
		Long:  help,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), d, func(cfg *Config, now time.Time) (Feed, func(), error) {
				return f.rows(cmd.Context(), d, cfg, args, now)
			})
		},
	}
	if d.Flags != nil {
		d.Flags(cmd)
	}
	f.common(cmd)
	f.users(cmd)
	cmd.AddCommand(tonight(d))
	return cmd
}

func tonight(d Deps) *cobra.Command {
	f := &flags{set: "tonight", stateDir: d.StateDir}
	var hour string
	cmd := &cobra.Command{
		Use:   "tonight",
		Short: "Load the red packets, prize tables and rooms of an hour from their homes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), d, func(cfg *Config, now time.Time) (Feed, func(), error) {
				return f.homes(cmd.Context(), d, cfg, hour, now)
			})
		},
	}
	f.common(cmd)
	cmd.Flags().StringVar(&hour, "hour", "", "the hour, such as 20:00 (default: the next one)")
	return cmd
}

// run does what both commands have in common.
func (f *flags) run(ctx context.Context, d Deps, open func(*Config, time.Time) (Feed, func(), error)) error {
	log := slog.New(slog.NewTextHandler(d.Stderr, nil))
	if f.alarmURL == "" {
		f.alarmURL = d.Getenv("SLUICE_WARM_ALARM_URL")
	}
	hook := &Webhook{URL: f.alarmURL, Log: log}
	defer hook.Close()
	cfg, closeAll, err := f.prepare(ctx, d, open)
	if err != nil {
		res := Result{Set: f.set, Exit: ExitOf(err), Outcome: ExitOf(err).String(), Reason: reason(err)}
		host, _ := os.Hostname()
		hook.Raise(Alarm{Set: f.set, Kind: kindOf(res.Exit), Message: err.Error(), At: d.Clock(), Host: host})
		if f.metrics != "" {
			(&MetricsFile{Path: f.metrics, Log: log}).Watch(Progress{Set: f.set, End: &res})
		}
		if f.json {
			res.print(d.Stdout)
			return told(res.Exit)
		}
		return err
	}
	defer closeAll()
	cfg.Log, cfg.Alarm = log, hook.Raise
	var watchers Watchers
	switch {
	case f.quiet:
	case IsTerminal(d.Stderr):
		watchers = append(watchers, &Bars{Out: d.Stderr})
	default:
		watchers = append(watchers, &Lines{Out: d.Stderr})
	}
	if f.metrics != "" {
		watchers = append(watchers, &MetricsFile{Path: f.metrics, Log: cfg.Log})
	}
	cfg.Watcher = watchers

	res, err := Run(ctx, cfg)
	if f.json {
		res.print(d.Stdout)
	} else if f.quiet {
		fmt.Fprintln(d.Stdout, res.Line())
	} else {
		fmt.Fprint(d.Stdout, res.Report())
	}
	if err != nil {
		return told(ExitOf(err))
	}
	return nil
}

// prepare makes the configuration of the run, or tells why there is none.
func (f *flags) prepare(ctx context.Context, d Deps, open func(*Config, time.Time) (Feed, func(), error)) (Config, func(), error) {
	now := d.Clock()
	regions, err := f.targets(ctx, d)
	if err != nil {
		return Config{}, nil, usage(err)
	}
	cfg, err := f.config(d, regions, now)
	if err != nil {
		return cfg, nil, usage(err)
	}
	feed, closeFeed, err := open(&cfg, now)
	var src *source.Error
	switch {
	case errors.As(err, &src):
		return cfg, nil, &Failure{Exit: ExitSource, Err: err}
	case err != nil:
		return cfg, nil, usage(err)
	}
	cfg.Feed = feed
	if f.rejects == "" {
		return cfg, closeFeed, nil
	}
	file, err := os.Create(f.rejects)
	if err != nil {
		closeFeed()
		return cfg, nil, usage(fmt.Errorf("--reject-file: %w", err))
	}
	cfg.Rejects = file
	return cfg, func() { closeFeed(); file.Close() }, nil
}

// targets are the regions to write.
func (f *flags) targets(ctx context.Context, d Deps) ([]Region, error) {
	if len(f.memcached) > 0 {
		if len(f.regions) > 1 {
			return nil, errors.New("--memcached names the nodes of one region; give one --region or none")
		}
		name := "local"
		if len(f.regions) == 1 {
			name = f.regions[0]
		}
		return []Region{{Name: name, Servers: f.memcached}}, nil
	}
	if d.Regions == nil {
		return nil, errors.New("no configuration: name the nodes with --memcached")
	}
	all, err := d.Regions(ctx)
	if err != nil {
		return nil, err
	}
	if len(f.regions) == 0 {
		return all, nil
	}
	var chosen []Region
	for _, name := range f.regions {
		i := slices.IndexFunc(all, func(r Region) bool { return r.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("--region %s: the configuration knows no such region", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func (f *flags) homes(ctx context.Context, d Deps, cfg *Config, hour string, now time.Time) (Feed, func(), error) {
	if d.Homes == nil {
		return nil, nil, errors.New("tonight needs a configuration that names the homes (-c)")
	}
	from := NextHour(now)
	if hour != "" {
		var err error
		if from, err = Clock(hour, now); err != nil {
			return nil, nil, fmt.Errorf("--hour: %w", err)
		}
	}
	if cfg.Before.IsZero() {
		cfg.Before = from
	}
	until, err := f.keepUntil(from, now)
	if err != nil {
		return nil, nil, err
	}
	homes, closeAll, err := d.Homes(ctx)
	if err != nil {
		return nil, nil, err
	}
	return Tonight{Homes: homes, From: from, To: from.Add(time.Hour), KeepUntil: until, Spread: f.spread}, closeAll, nil
}

// rows makes the Feed of `sluice warm`.
func (f *flags) rows(ctx context.Context, d Deps, cfg *Config, files []string, now time.Time) (Feed, func(), error) {
	var closers []func()
	closeAll := func() {
		for _, c := range slices.Backward(closers) {
			c()
		}
	}
	src, closeSource, err := f.source(d, cfg, files, now)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, closeSource)
	if f.activeFirst != "" {
		if _, ok := src.(*source.Files); !ok {
			closeAll()
			return nil, nil, errors.New("--active-first is for files; tables are sorted with --order-by")
		}
		if f.bands < 2 || f.bands > 64 {
			closeAll()
			return nil, nil, fmt.Errorf("--bands %d: 2 to 64", f.bands)
		}
		src = &source.Bands{Source: src, Column: f.activeFirst, N: f.bands}
	}
	until, err := f.keepUntil(cfg.Before, now)
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	p := plan.Config{Key: f.key, Fields: f.fields, VersionColumn: f.version, Epoch: f.epoch, Filter: f.filter, KeepUntil: until, Spread: f.spread}
	if f.lua != "" {
		if d.Transform == nil {
			closeAll()
			return nil, nil, errors.New("--lua is not available here")
		}
		transform, closeLua, err := d.Transform(ctx, f.lua)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("--lua: %w", err)
		}
		closers = append(closers, closeLua)
		p.Transform = transform
	}
	p.OpenedAt = now
	if _, err := plan.Compile(p); err != nil {
		closeAll()
		return nil, nil, err
	}
	return Rows{Source: src, Plan: p}, closeAll, nil
}

func (f *flags) source(d Deps, cfg *Config, files []string, now time.Time) (source.Source, func(), error) {
	ways := 0
	for _, used := range []bool{len(files) > 0, f.driver != "", f.url != "", f.synthetic > 0} {
		if used {
			ways++
		}
	}
	if ways != 1 {
		return nil, nil, errors.New("name one source: files (or -), --sql, --url or --synthetic")
	}
	nothing := func() {}
	switch {
	case f.synthetic > 0:
		return &source.Synthetic{N: f.synthetic, Bytes: f.syntheticBytes}, nothing, nil
	case f.url != "":
		h, err := f.header(d.Getenv)
		return &source.Pages{URL: f.url, Header: h, Items: f.httpItems, Next: f.httpNext, Param: f.httpParam, Rate: f.httpRate}, nothing, err
	case f.driver != "":
		return f.sqlTable(d, cfg, now)
	}
	if f.since != "" {
		return nil, nil, errors.New("--since is for tables; for files use --filter, or a file of the changes")
	}
	src := &source.Files{Patterns: files, Format: f.format, Stdin: d.Stdin}
	if len(f.comma) > 1 {
		return nil, nil, fmt.Errorf("--comma %q: one character", f.comma)
	}
	if f.comma != "" {
		src.Comma = f.comma[0]
	}
	if f.format != "" && f.format != "csv" && f.format != "jsonl" {
		return nil, nil, fmt.Errorf("--format %q: csv or jsonl", f.format)
	}
	if err := src.Resolve(); err != nil {
		return nil, nil, &source.Error{File: "source", Err: err}
	}
	return src, nothing, nil
}

func (f *flags) sqlTable(d Deps, cfg *Config, now time.Time) (source.Source, func(), error) {
	t := &source.Table{
		Dialect: source.Dialect(f.driver), Table: f.table, Columns: f.columns, Key: f.keyColumn, Order: f.orderBy,
		Where: f.where, Since: f.sinceColumn, PageSize: f.pageSize,
	}
	if f.version != "" && len(t.Columns) > 0 && !slices.Contains(t.Columns, f.version) {
		t.Columns = append(t.Columns, f.version)
	}
	var err error
	if t.SinceAt, err = f.sinceTime(cfg.StatePath, now); err != nil {
		return nil, nil, fmt.Errorf("--since: %w", err)
	}
	if err := t.Check(); err != nil {
		return nil, nil, err
	}
	dsn := f.dsn
	if dsn == "" {
		dsn = d.Getenv("SLUICE_WARM_DSN")
	}
	if dsn == "" {
		return nil, nil, errors.New("--sql needs --dsn or SLUICE_WARM_DSN")
	}
	if t.DB, err = source.OpenDB(t.Dialect, dsn); err != nil {
		return nil, nil, &source.Error{File: t.Name(), Err: err}
	}
	t.DB.SetMaxOpenConns(1) // it must not storm its source
	return t, func() { t.DB.Close() }, nil
}

// sinceOverlap is read twice: a row may be committed a while after the time it
// carries, and clocks differ.
const sinceOverlap = time.Minute

// sinceTime reads a time, a duration back, or "last".
func (f *flags) sinceTime(statePath string, now time.Time) (time.Time, error) {
	switch f.since {
	case "":
		return time.Time{}, nil
	case "last":
		file, err := state.Open(statePath)
		if err != nil {
			return time.Time{}, err
		}
		defer file.Close()
		s, ok, err := file.Load()
		if err != nil || !ok || s.LastDone.IsZero() {
			return time.Time{}, errors.Join(fmt.Errorf("no run of set %s was ever done; begin with a full one", f.set), err)
		}
		return s.LastDone.Add(-sinceOverlap), nil
	}
	if d, err := time.ParseDuration(f.since); err == nil {
		return now.Add(-d), nil
	}
	return source.ParseTime(f.since)
}
