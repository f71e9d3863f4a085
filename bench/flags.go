package bench

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sluice/bench/load"
	"sluice/bench/load/arrival"
	"sluice/bench/load/scenario"
	"sluice/bench/load/search"
	"sluice/bench/procs"
)

// flags are those of `sluice bench`, as given.
type flags struct {
	cfg load.Config

	scenario, method, body string
	headers, vars          []string
	statuses               []int
	rate                   float64
	arrivals               string
	part                   string
	startAt                string

	config, data      string
	kid, secretFile   string
	admin, adminToken string
	slo, json, html   string
	findMax           bool
	trial, hold       time.Duration
	baseline          string
	tolerance         float64
	serverPIDs        []int
	rehearsal, own    bool
	rehearsalList     string
	quiet             bool
	labels            map[string]string
	objectives        []search.Objective
	given             func(name string) bool // on the command line
}

func (f *flags) register(cmd *cobra.Command) {
	s := cmd.Flags()
	f.given = s.Changed
	s.StringVar(&f.scenario, "scenario", "", "what users do: a YAML file, or preset:draw, show, enter, night; empty: one request to the URL's path")
	s.StringVar(&f.method, "method", "GET", "method of the one request")
	s.StringVar(&f.body, "body", "", "body of the one request; ${uid}, ${n}, ${seq} are filled in")
	s.StringArrayVarP(&f.headers, "header", "H", nil, "header line of the one request, repeatable")
	s.IntSliceVar(&f.statuses, "expect", nil, "statuses that are no error; empty: 2xx")
	s.StringArrayVar(&f.vars, "var", nil, "NAME=VALUE[,VALUE...] for the scenario, repeatable")
	s.Float64Var(&f.rate, "rate", 0, "arrivals a second, short for --arrivals constant:rate=N")
	s.StringVar(&f.arrivals, "arrivals", "", "curve: constant, step, ramp, sine, herd or surge, as in herd:users=100000,at=5s,reaction=600ms")
	s.BoolVar(&f.cfg.Poisson, "poisson", false, "independent users: exponential steps between arrivals")
	s.BoolVar(&f.cfg.Closed, "closed", false, "closed loop: as fast as --connections allow (hides stalls)")
	s.Uint64Var(&f.cfg.Seed, "seed", 1, "of everything random")
	s.DurationVarP(&f.cfg.Duration, "duration", "d", 10*time.Second, "of the measured part")
	s.DurationVar(&f.cfg.RunUp, "run-up", 0, "before the measured part, not counted")
	s.IntVar(&f.cfg.Connections, "connections", 64, "opened before the start")
	s.IntVar(&f.cfg.MaxConnections, "max-connections", 0, "opened when all are busy; 0 means the larger of --connections and 4096")
	s.BoolVar(&f.cfg.NewConnections, "new-connections", false, "a connection for each request")
	s.DurationVar(&f.cfg.Timeout, "timeout", 10*time.Second, "of a request, from when it was taken up")
	s.IntVar(&f.cfg.Loops, "loops", 1, "threads")
	s.DurationVar(&f.cfg.Spin, "spin", 0, "burn CPU instead of sleeping when an arrival is that near; for machines of their own")
	s.IntVar(&f.cfg.MaxUsers, "max-users", 0, "in flight at once; 0 means 200000")
	s.DurationVar(&f.cfg.MaxLag, "max-lag", 10*time.Millisecond, "a run whose own lag has a p99 above this is invalid")
	s.StringVar(&f.part, "part", "", "this worker's part of the arrivals, as 1/4")
	s.StringVar(&f.startAt, "start-at", "", "common start of several workers, RFC 3339")
	s.StringVarP(&f.config, "config", "c", "", "sluice.yaml to take the token key and the admin address from")
	s.StringVar(&f.data, "data", "", "data folder of `sluice run`, in place of -c")
	s.StringVar(&f.kid, "token-kid", "", "key id of the minted tokens")
	s.StringVar(&f.secretFile, "token-secret-file", "", "file of the HS256 secret; else SLUICE_BENCH_SECRET")
	s.StringVar(&f.admin, "admin", "", "admin listener, http://host:port, to close a rehearsal's red packets")
	s.StringVar(&f.slo, "slo", "", "objectives, as 'p99<50ms,errors<0.1%'")
	s.BoolVar(&f.findMax, "find-max", false, "search the highest rate that holds --slo")
	s.DurationVar(&f.trial, "trial", 5*time.Second, "length of a trial of --find-max")
	s.DurationVar(&f.hold, "hold", 0, "length of its hold run; 0 means four trials")
	s.StringVar(&f.json, "json", "", "write the result here")
	s.StringVar(&f.html, "html", "", "write the page here")
	s.StringVar(&f.baseline, "baseline", "", "result to compare with")
	s.Float64Var(&f.tolerance, "tolerance", 0.10, "share by which a run may be worse than its baseline")
	s.IntSliceVar(&f.serverPIDs, "server-pid", nil, "local server processes, to measure their CPU")
	s.BoolVar(&f.rehearsal, "rehearsal", false, "mark users, red packets and money, and close afterwards what was funded")
	s.StringVar(&f.rehearsalList, "rehearsal-list", "", "file of what the rehearsal funded; empty: rehearsal-TIME-PID.ids")
	s.BoolVar(&f.own, "i-own-this-target", false, "say so, for a target that is not this machine")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "no live view")
	s.StringToStringVar(&f.labels, "label", nil, "NAME=VALUE kept in the result, such as machine=8c16g")
}

// resolve checks what was given and completes cfg, but for tokens and setup.
func (f *flags) resolve(urls []string) (err error) {
	if err := f.targets(urls); err != nil {
		return err
	}
	if err := f.ranges(); err != nil {
		return err
	}
	switch {
	case f.findMax && (f.cfg.Closed || f.arrivals != "" || f.part != "" || f.given("duration")):
		return usagef("--find-max chooses rate and length, and searches alone: leave --closed, --arrivals, --part and --duration away")
	case f.cfg.Closed && (f.arrivals != "" || f.rate > 0):
		return usagef("--closed has no arrivals: leave --rate and --arrivals away")
	case f.arrivals != "" && f.rate > 0:
		return usagef("--rate and --arrivals exclude each other")
	case f.given("rate") && f.rate <= 0:
		return usagef("--rate must be above 0")
	case f.arrivals == "" && f.rate == 0:
		f.rate = 100
	}
	if f.arrivals == "" {
		f.arrivals = fmt.Sprintf("constant:rate=%g", f.rate)
	}
	if !f.cfg.Closed {
		if f.cfg.Curve, err = arrival.Parse(f.arrivals); err != nil {
			return usage(err)
		}
		if err := arrival.Whole(f.cfg.Curve, f.cfg.RunUp+f.cfg.Duration); err != nil {
			return usage(err)
		}
	}
	if f.objectives, err = search.ParseSLO(f.slo); err != nil {
		return usage(err)
	}
	if f.findMax && len(f.objectives) == 0 {
		return usagef("--find-max needs --slo")
	}
	if f.part != "" {
		part, of, _ := strings.Cut(f.part, "/")
		n, bad := strconv.Atoi(part)
		parts, bad2 := strconv.Atoi(of)
		if bad != nil || bad2 != nil || n < 1 || n > parts {
			return usagef("--part %q is not such as 1/4", f.part)
		}
		f.cfg.Part, f.cfg.Parts = n-1, parts
	}
	if f.startAt != "" {
		if f.cfg.StartAt, err = time.Parse(time.RFC3339, f.startAt); err != nil {
			return usagef("--start-at: %w", err)
		}
		if time.Until(f.cfg.StartAt) < 0 {
			return usagef("--start-at %s is over: the other workers would be ahead", f.startAt)
		}
	}
	if err := saveable("--json", f.json); err != nil {
		return err
	}
	if err := saveable("--html", f.html); err != nil {
		return err
	}
	if _, err := procs.Sum(f.serverPIDs); err != nil {
		return usagef("--server-pid: %w", err)
	}
	if err := f.program(urls); err != nil {
		return err
	}
	if h, ok := f.cfg.Curve.(*arrival.Herd); ok {
		f.cfg.Program.Users.Herd = h.People()
	}
	if foreign := f.cfg.Program.Foreign; f.rehearsal && len(foreign) > 0 {
		return usagef("--rehearsal must not draw real money, and %s is of a red packet that the scenario does not fund: let setup fund it, and leave its --var away", foreign[0])
	}
	return nil
}

// ranges refuses what load.Config would take for "the default, please".
func (f *flags) ranges() error {
	for _, c := range []struct {
		flag string
		ok   bool
		want string
	}{
		{"duration", f.cfg.Duration > 0, "above 0"}, {"trial", f.trial > 0, "above 0"}, {"timeout", f.cfg.Timeout > 0, "above 0"}, {"max-lag", f.cfg.MaxLag > 0, "above 0"},
		{"connections", f.cfg.Connections > 0, "above 0"}, {"loops", f.cfg.Loops > 0, "above 0"},
		{"run-up", f.cfg.RunUp >= 0, "0 or more"}, {"hold", f.hold >= 0, "0 or more"}, {"spin", f.cfg.Spin >= 0, "0 or more"}, {"tolerance", f.tolerance >= 0, "0 or more"},
		{"max-connections", f.cfg.MaxConnections >= 0, "0 or more"}, {"max-users", f.cfg.MaxUsers >= 0, "0 or more"},
	} {
		if !c.ok {
			return usagef("--%s must be %s", c.flag, c.want)
		}
	}
	if most := f.cfg.MaxConnections; most > 0 && f.cfg.Connections > most {
		return usagef("--connections %d is above --max-connections %d", f.cfg.Connections, most)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return usagef("limit of open files: %w", err)
	}
	if most := max(f.cfg.Connections, f.cfg.MaxConnections); uint64(most) > files.Cur {
		return usagef("%d connections are more than this process may open files (%d): raise ulimit -n, or spread them over workers", most, files.Cur)
	}
	return nil
}

// targets checks the URLs; who aims at another machine must say that it is theirs.
func (f *flags) targets(urls []string) error {
	for _, raw := range urls {
		u, err := load.Origin(raw)
		if err != nil {
			return usage(err)
		}
		if !loopback(u.Hostname()) && !f.own {
			return usagef("%s is not this machine: load can do harm, so add --i-own-this-target when it is yours", u.Host)
		}
		f.cfg.Targets = append(f.cfg.Targets, u.Scheme+"://"+u.Host)
	}
	return nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (f *flags) program(urls []string) (err error) {
	vars := map[string][]string{}
	for _, kv := range f.vars {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" || v == "" {
			return usagef("--var %q is not NAME=VALUE[,VALUE...]", kv)
		}
		vars[k] = strings.Split(v, ",")
	}
	if f.scenario != "" {
		for _, name := range []string{"method", "body", "header", "expect"} {
			if f.given(name) {
				return usagef("--%s is of the one request, and --scenario says what is sent: leave one away", name)
			}
		}
		for _, raw := range urls {
			if u, err := url.Parse(raw); err != nil || strings.Trim(u.Path, "/") != "" {
				return usagef("%s: --scenario has the paths, so give only http://host:port", raw)
			}
		}
		if f.cfg.Program, err = scenario.Load(f.scenario, vars); err != nil {
			return usage(err)
		}
		return nil
	}
	headers := map[string]string{}
	for _, line := range f.headers {
		k, v, ok := strings.Cut(line, ":")
		if !ok {
			return usagef("--header %q is not 'Name: value'", line)
		}
		headers[strings.TrimSpace(k)] = strings.TrimSpace(v)
	}
	path := ""
	for _, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil {
			return usage(err)
		}
		p := u.EscapedPath()
		if p == "" {
			p = "/"
		}
		if path != "" && path != p {
			return usagef("the targets' paths differ: %s and %s; use --scenario", path, p)
		}
		path = p
	}
	if f.cfg.Program, err = scenario.Single(f.method, path, f.body, headers, f.statuses, vars); err != nil {
		return usage(err)
	}
	return nil
}
