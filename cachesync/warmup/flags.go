package warmup

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// flags are all of `sluice warm`, as typed.
type flags struct {
	set, stateDir                                  string
	regions, memcached                             []string
	format, comma                                  string
	driver, dsn, table, keyColumn, orderBy, where  string
	columns                                        []string
	pageSize                                       int
	sinceColumn, since                             string
	url, httpItems, httpNext, httpParam            string
	httpHeaders                                    []string
	httpRate                                       float64
	synthetic                                      int64
	syntheticBytes                                 int
	key, version, filter, lua                      string
	fields                                         []string
	epoch                                          uint64
	activeFirst                                    string
	bands                                          int
	before, lead, lastHour                         string
	keep, spread                                   time.Duration
	goOn, noFit, restart, json, quiet              bool
	rate, sourceRate, maxBad, coverage             float64
	expect                                         int64
	sample                                         int
	rejects                                        string
	waitNode, stay                                 time.Duration
	pressureURL, pressureMetric, alarmURL, metrics string
	pressureMax                                    time.Duration
}

// common flags of `warm` and `warm tonight`.
func (f *flags) common(cmd *cobra.Command) {
	p := cmd.Flags()
	p.StringVar(&f.set, "set", f.set, "name of the set: position, lease and metrics carry it")
	p.StringSliceVar(&f.regions, "region", nil, "regions to write, by name (default all of the configuration)")
	p.StringSliceVar(&f.memcached, "memcached", nil, "memcached nodes to write instead of configured regions: host:port,...")
	p.StringVar(&f.before, "before", "", "deadline: 20:00, 20:00+08:00 or RFC 3339")
	p.StringVar(&f.lead, "lead", "", "deadline: so long before the next full hour, such as 10m")
	p.BoolVar(&f.goOn, "go-on", false, "do not stop at the deadline")
	p.StringVar(&f.lastHour, "last-hour", "", "hour of the last wave; records last one hour beyond it, at the least (default: that of --before)")
	p.DurationVar(&f.keep, "keep", time.Hour, "how long records last beyond --last-hour")
	p.DurationVar(&f.spread, "spread", 30*time.Minute, "expiry is spread over this window behind it")
	p.Float64Var(&f.rate, "rate", 0, "records a second and region (0 = no limit)")
	p.Float64Var(&f.sourceRate, "source-rate", 0, "rows a second from the source (0 = no limit)")
	p.Float64Var(&f.maxBad, "max-bad", 1, "per cent of bad rows that fails the run")
	p.StringVar(&f.rejects, "reject-file", "", "gets the first 1000 bad rows as JSON lines")
	p.Float64Var(&f.coverage, "coverage", 99, "per cent that must be proved in each region, at 95 % confidence")
	p.IntVar(&f.sample, "sample", 10_000, "keys read back for the proof")
	p.BoolVar(&f.noFit, "no-fit", false, "write although the set does not fit memcached")
	p.BoolVar(&f.restart, "restart", false, "forget the saved position")
	p.DurationVar(&f.waitNode, "wait-node", 30*time.Second, "how long a lost node is waited for at the end")
	p.DurationVar(&f.stay, "stay", 0, "stay so long after the proof, and warm again nodes that lose their data")
	p.StringVar(&f.pressureURL, "pressure-url", "", "a gateway's /metrics; its latency slows the run down (token: SLUICE_WARM_PRESSURE_TOKEN)")
	p.StringVar(&f.pressureMetric, "pressure-metric", "sluice_request_seconds", "the histogram there")
	p.DurationVar(&f.pressureMax, "pressure-max", 20*time.Millisecond, "mean latency above which the rate is halved")
	p.StringVar(&f.alarmURL, "alarm-url", "", "webhook for alarms (or SLUICE_WARM_ALARM_URL)")
	p.StringVar(&f.metrics, "metrics-file", "", "Prometheus text file, for node_exporter")
	p.StringVar(&f.stateDir, "state-dir", f.stateDir, "folder of the positions")
	p.BoolVar(&f.json, "json", false, "the last line is JSON")
	p.BoolVar(&f.quiet, "quiet", false, "only the last line, and warnings")
}

// users adds the flags that describe a source of rows.
func (f *flags) users(cmd *cobra.Command) {
	p := cmd.Flags()
	p.StringVar(&f.format, "format", "", "csv or jsonl (default: by the file's name)")
	p.StringVar(&f.comma, "comma", "", "separator of CSV (default , and for .tsv a tab)")
	p.StringVar(&f.driver, "sql", "", "read a table: postgres, mysql or sqlite")
	p.StringVar(&f.dsn, "dsn", "", "of the database (or SLUICE_WARM_DSN)")
	p.StringVar(&f.table, "table", "", "table or view")
	p.StringSliceVar(&f.columns, "columns", nil, "columns to read (default all)")
	p.StringVar(&f.keyColumn, "key-column", "uid", "unique column to page by")
	p.StringVar(&f.orderBy, "order-by", "", "column of activity: greatest first")
	p.StringVar(&f.where, "where", "", "further SQL condition")
	p.IntVar(&f.pageSize, "page-size", 5000, "rows of a page")
	p.StringVar(&f.sinceColumn, "since-column", "", "column that tells when a row changed")
	p.StringVar(&f.since, "since", "", "only rows changed since: a time, a duration back (90m), or last (begin of the last run done)")
	p.StringVar(&f.url, "url", "", "read JSON pages with a cursor")
	p.StringArrayVar(&f.httpHeaders, "http-header", nil, "\"Name: value\"; $NAME is taken from the environment")
	p.StringVar(&f.httpItems, "http-items", "items", "field of the rows")
	p.StringVar(&f.httpNext, "http-next", "next", "field of the next cursor")
	p.StringVar(&f.httpParam, "http-param", "cursor", "query parameter of the cursor")
	p.Float64Var(&f.httpRate, "http-rate", 5, "pages a second")
	p.Int64Var(&f.synthetic, "synthetic", 0, "make up so many users")
	p.IntVar(&f.syntheticBytes, "synthetic-bytes", 176, "of each one's JSON")
	p.StringVar(&f.key, "key", "u:{uid}", "key template")
	p.StringSliceVar(&f.fields, "fields", nil, "fields of the payload: name, name=column, name=column:number (default all)")
	p.StringVar(&f.version, "version-column", "", "column that tells when a row changed (default: rows are as old as the run)")
	p.Uint64Var(&f.epoch, "epoch", 0, "epoch of the source")
	p.StringVar(&f.filter, "filter", "", "which rows, such as: int(level) > 10 && country == \"CN\"")
	p.StringVar(&f.lua, "lua", "", "Lua file that transforms each record")
	p.StringVar(&f.activeFirst, "active-first", "", "column of activity: files are read in several passes, most active rows first")
	p.IntVar(&f.bands, "bands", 4, "passes of --active-first")
	p.Int64Var(&f.expect, "expect", 0, "fewer rows than this is a source that ended early")
}

var setName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// config makes what both commands have in common.
func (f *flags) config(d Deps, regions []Region, now time.Time) (Config, error) {
	cfg := Config{
		Set: f.set, StatePath: filepath.Join(f.stateDir, f.set+".state"), Restart: f.restart,
		GoOn: f.goOn, Rate: f.rate, SourceRate: f.sourceRate, Expect: f.expect,
		MaxBad: f.maxBad / 100, Coverage: f.coverage / 100, Sample: f.sample, NoFit: f.noFit,
		WaitNode: f.waitNode, Stay: f.stay, Clock: d.Clock, Regions: regions,
		PressureURL: f.pressureURL, PressureMetric: f.pressureMetric, PressureMax: f.pressureMax,
		PressureToken: d.Getenv("SLUICE_WARM_PRESSURE_TOKEN"),
	}
	if cfg.MaxBad == 0 {
		cfg.MaxBad = -1
	}
	if !setName.MatchString(f.set) {
		return cfg, fmt.Errorf("--set %q: 1 to 64 letters, digits, _ . or -", f.set)
	}
	if f.before != "" && f.lead != "" {
		return cfg, fmt.Errorf("--before and --lead are two ways to say the deadline; give one")
	}
	var err error
	if f.before != "" {
		if cfg.Before, err = Clock(f.before, now); err != nil {
			return cfg, fmt.Errorf("--before: %w", err)
		}
	}
	if f.lead != "" {
		lead, err := time.ParseDuration(f.lead)
		if err != nil || lead < 0 || lead >= time.Hour {
			return cfg, fmt.Errorf("--lead %q: a duration under an hour, such as 10m", f.lead)
		}
		if cfg.Before = NextHour(now).Add(-lead); !cfg.Before.After(now) {
			cfg.Before = cfg.Before.Add(time.Hour)
		}
	}
	for _, c := range []struct {
		name string
		v    float64
	}{{"max-bad", f.maxBad}, {"coverage", f.coverage}} {
		if c.v < 0 || c.v > 100 {
			return cfg, fmt.Errorf("--%s %g: per cent, 0 to 100", c.name, c.v)
		}
	}
	return cfg, nil
}

// keepUntil is when the first record may expire.
func (f *flags) keepUntil(before, now time.Time) (time.Time, error) {
	last := before
	if f.lastHour != "" {
		var err error
		if last, err = Clock(f.lastHour, now); err != nil {
			return last, fmt.Errorf("--last-hour: %w", err)
		}
		// "23:00" beside "--before 20:00" of tomorrow is tomorrow's.
		for last.Before(before) {
			last = last.AddDate(0, 0, 1)
		}
	}
	if last.IsZero() {
		last = NextHour(now)
	}
	if f.keep <= 0 || f.spread < 0 {
		return last, fmt.Errorf("--keep must be above zero, --spread not below")
	}
	return last.Add(f.keep), nil
}

func (f *flags) header(getenv func(string) string) (http.Header, error) {
	h := http.Header{}
	for _, line := range f.httpHeaders {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("--http-header %q: want \"Name: value\"", line)
		}
		h.Add(strings.TrimSpace(name), os.Expand(strings.TrimSpace(value), getenv))
	}
	return h, nil
}
