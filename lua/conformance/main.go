package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

type options struct {
	corpus, target, family, name string
	verbose, noNginx             bool
	jobs                         int
	verdicts                     string
}

func main() {
	var o options
	flag.StringVar(&o.corpus, "corpus", "", "file of test blocks, one JSON object a line")
	flag.StringVar(&o.target, "target", "sluice", "sluice: compare us with nginx; nginx: run nginx alone")
	flag.StringVar(&o.family, "family", "", "only blocks of files that contain this")
	flag.StringVar(&o.name, "name", "", "only blocks whose name contains this")
	flag.BoolVar(&o.verbose, "v", false, "print each failure's reason")
	flag.BoolVar(&o.noNginx, "no-nginx", false, "do not run nginx: every block counts that we should pass")
	flag.IntVar(&o.jobs, "jobs", 4, "blocks run at once")
	flag.StringVar(&o.verdicts, "nginx-verdicts", "", "file that keeps nginx's verdicts between runs; zero value runs nginx each time")
	flag.Parse()
	os.Exit(run(o, os.Stdout))
}

// result of one block.
type result struct {
	b       *Block
	verdict string // "passed", "failed", "skipped"
	reason  string
}

func run(o options, out io.Writer) int {
	if o.corpus == "" {
		fmt.Fprintln(out, "conformance: -corpus FILE is missing")
		return 2
	}
	blocks, err := readCorpus(o.corpus)
	if err != nil {
		fmt.Fprintln(out, "conformance:", err)
		return 2
	}
	if !o.noNginx {
		if err := checkNginx(); err != nil {
			fmt.Fprintln(out, "conformance:", err)
			return 2
		}
	}
	var sel []*Block
	for _, b := range blocks {
		if strings.Contains(b.File, o.family) && strings.Contains(b.Name, o.name) {
			sel = append(sel, b)
		}
	}
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		fmt.Fprintln(out, "conformance:", err)
		return 2
	}
	defer func() { _ = os.RemoveAll(dir) }()
	env, err := startBackends(dir)
	if err != nil {
		fmt.Fprintln(out, "conformance:", err)
		var m *missing
		if errors.As(err, &m) {
			return 2
		}
		return 1
	}
	defer env.stop()

	r := &runner{o: o, dir: dir, env: env, known: readVerdicts(o.verdicts)}
	results := r.all(sel)
	writeVerdicts(o.verdicts, r.known)
	return report(out, o, results)
}

type runner struct {
	o     options
	dir   string
	env   *backends
	mu    sync.Mutex
	known map[string]string // nginx's verdicts: "" is a pass
}

func (r *runner) all(sel []*Block) []result {
	results := make([]result, len(sel))
	var wg sync.WaitGroup
	sem := make(chan struct{}, max(1, r.o.jobs))
	for i, b := range sel {
		wg.Add(1)
		sem <- struct{}{}
		go func() {
			defer func() { <-sem; wg.Done() }()
			results[i] = r.one(i, b)
		}()
	}
	wg.Wait()
	return results
}

func (r *runner) one(i int, b *Block) result {
	res := result{b: b}
	skip := func(why string) result {
		res.verdict, res.reason = "skipped", why
		return res
	}
	if why := versionSkip(b); why != "" {
		return skip(why)
	}
	if why := declared(b); why != "" {
		return skip(why)
	}
	if !r.o.noNginx {
		key := b.File + "\x00" + b.Name
		r.mu.Lock()
		why, ok := r.known[key]
		r.mu.Unlock()
		if !ok {
			if err := r.try(fmt.Sprintf("n%d", i), b, &nginxTarget{}); err != nil {
				why = err.Error()
			}
			r.mu.Lock()
			r.known[key] = why
			r.mu.Unlock()
		}
		if r.o.target == "nginx" {
			if why != "" {
				res.verdict, res.reason = "failed", why
			} else {
				res.verdict = "passed"
			}
			return res
		}
		if why != "" {
			return skip("nginx fails too: " + why)
		}
	}
	err := r.try(fmt.Sprintf("s%d", i), b, &sluiceTarget{})
	switch {
	case err == nil:
		res.verdict = "passed"
	default:
		res.verdict, res.reason = "failed", err.Error()
	}
	return res
}

// try runs a block twice against one server.
func (r *runner) try(name string, b *Block, t target) (err error) {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	s := &site{b: b, dir: filepath.Join(r.dir, name), port: ports[0], rand: ports[1:], env: r.env}
	if err := s.write(); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(s.dir) }()
	peer, err := s.listen()
	if err != nil {
		return err
	}
	defer peer.close()
	if err := t.start(s); err != nil {
		t.stop()
		return fmt.Errorf("start: %w", err)
	}
	defer t.stop()
	timeout := 3 * time.Second
	if v, err := strconv.ParseFloat(strings.TrimSpace(b.text("timeout")), 64); err == nil {
		timeout = time.Duration(v * float64(time.Second))
	}
	for n := range 2 {
		before := 0
		if n > 0 {
			before = len(t.log())
		}
		var replies []reply
		for _, conn := range s.packets() {
			replies = append(replies, talk("127.0.0.1:"+strconv.Itoa(s.port), conn, timeout)...)
		}
		time.Sleep(3 * time.Millisecond)
		if w, err := strconv.ParseFloat(strings.TrimSpace(b.text("wait")), 64); err == nil {
			time.Sleep(time.Duration(w * float64(time.Second)))
		}
		var err error
		for tries := range 6 { // what a log phase or a timer writes may come a moment later
			log := t.log()
			if err = s.check(replies, log[min(before, len(log)):], n); err == nil || tries == 5 || !strings.Contains(err.Error(), "log") {
				break
			}
			time.Sleep(15 * time.Millisecond)
		}
		if err == nil {
			err = peer.check(b)
		}
		if err != nil {
			return fmt.Errorf("run %d: %w", n+1, err)
		}
	}
	return nil
}

// peer is the tcp_listen server of a block.
type peer struct {
	l   net.Listener
	mu  sync.Mutex
	got string
}

func (s *site) listen() (*peer, error) {
	p := &peer{}
	addr := strings.TrimSpace(s.expand(s.b.text("tcp_listen")))
	if addr == "" {
		return p, nil
	}
	network := "tcp"
	if strings.HasPrefix(addr, "/") || strings.HasSuffix(addr, ".sock") {
		network = "unix"
	} else if !strings.Contains(addr, ":") {
		addr = "127.0.0.1:" + addr
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	p.l = l
	want, _ := strconv.Atoi(strings.TrimSpace(s.b.text("tcp_query_len")))
	answer := latin1(s.expand(s.b.text("tcp_reply")))
	shut := s.b.text("tcp_shutdown")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c, want, answer, shut)
		}
	}()
	return p, nil
}

func (p *peer) serve(c net.Conn, want int, answer, shut string) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(4 * time.Second))
	if strings.TrimSpace(shut) == "1" {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.CloseWrite()
		}
	}
	buf := make([]byte, 64<<10)
	var got []byte
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil || want > 0 && len(got) >= want || want == 0 && n > 0 {
			break
		}
	}
	p.mu.Lock()
	p.got = string(got)
	p.mu.Unlock()
	_, _ = io.WriteString(c, answer)
}

func (p *peer) check(b *Block) error {
	if p.l == nil || !b.has("tcp_query") {
		return nil
	}
	time.Sleep(20 * time.Millisecond)
	p.mu.Lock()
	defer p.mu.Unlock()
	if want := latin1(b.text("tcp_query")); p.got != strings.TrimSuffix(want, "\n") && p.got != want {
		return fmt.Errorf("the peer got %q, want %q", p.got, want)
	}
	return nil
}

func (p *peer) close() {
	if p.l != nil {
		_ = p.l.Close()
	}
}

// versionSkip evaluates skip_nginx for the version that Debian has.
func versionSkip(b *Block) string {
	spec := strings.TrimSpace(b.text("skip_nginx"))
	_, cond, ok := strings.Cut(spec, ":")
	if !ok {
		return ""
	}
	cond = strings.TrimSpace(cond)
	op := strings.TrimRight(cond, "0123456789. ")
	want := versionNumber(strings.TrimSpace(cond[len(op):]))
	const have = 1022001
	var hit bool
	switch strings.TrimSpace(op) {
	case "<":
		hit = have < want
	case "<=":
		hit = have <= want
	case ">":
		hit = have > want
	case ">=":
		hit = have >= want
	}
	if hit {
		return "skip_nginx: " + cond
	}
	return ""
}

func versionNumber(s string) int {
	n := 0
	for i, p := range strings.SplitN(s, ".", 3) {
		v, _ := strconv.Atoi(p)
		n += v * []int{1000000, 1000, 1}[i]
	}
	return n
}

// declared names what a block needs that we say we have not.
func declared(b *Block) string {
	c := b.text("config") + b.text("http_config") + b.text("user_files")
	logs := string(b.Sections["error_log"]) + string(b.Sections["grep_error_log_out"])
	logs += string(b.Sections["grep_error_log"])
	for _, w := range []string{"lua caching unused lua thread", "lua release ngx.ctx", "lua http cleanup reuse", "queue connect operation", "busy bufs", "worker cycle", "pcre JIT compiling", "lua reuse free buf", "lua rewrite handler",
		"lua access handler", "lua content handler", "lua header filter for", "lua log handler", "lua clean up the timer", "lua capture header filter",
		"lua tcp socket read timeout:", "lua tcp socket connect timeout", "lua reuse socket upstream", "lua socket tcp_nodelay", "lua tcp socket calling",
		"lua tcp socket connection pool", "lua tcp socket abort", "lua tcp socket bind", "malloc_trim", "lua_load_resty_core is", "in lua gc", "lua http subrequest"} {
		if strings.Contains(logs, w) {
			return "needs nginx's own debug messages, which we declare not to have"
		}
	}
	for _, d := range []struct{ word, why string }{
		{`require "ffi"`, "ffi"}, {`require("ffi")`, "ffi"}, {"require 'ffi'", "ffi"}, {"string.dump", "string.dump"},
		{"jit.v\"", "jit"}, {"ngx.req.socket", "ngx.req.socket"}, {"balancer_by_lua", "balancer_by_lua"}, {"ssl_certificate_by_lua", "ssl_*_by_lua"},
		{"ngx.socket.udp", "ngx.socket.udp"}, {"lua_check_client_abort on", "ngx.on_abort"}, {"ndk.set_var", "ndk.set_var"}, {"in pairs(ndk)", "ndk.set_var"}, {"setclientcert", "TLS client certificates"}, {"\x1bLJ", "string.dump"}, {"\x1bLua", "string.dump"}, {" -bg ", "string.dump"},
	} {
		if strings.Contains(c, d.word) {
			return "needs " + d.why + ", which we declare not to have"
		}
	}
	return ""
}

func readVerdicts(name string) map[string]string {
	m := make(map[string]string)
	if b, err := os.ReadFile(name); name != "" && err == nil {
		_ = json.Unmarshal(b, &m)
	}
	return m
}

func writeVerdicts(name string, m map[string]string) {
	if name == "" {
		return
	}
	if b, err := json.Marshal(m); err == nil {
		_ = os.WriteFile(name, b, 0o644)
	}
}

func report(out io.Writer, o options, results []result) int {
	type count struct{ p, f, s int }
	fam := make(map[string]*count)
	var total count
	why := make(map[string]int)
	for _, r := range results {
		c := fam[r.b.File]
		if c == nil {
			c = &count{}
			fam[r.b.File] = c
		}
		switch r.verdict {
		case "passed":
			c.p++
			total.p++
		case "failed":
			c.f++
			total.f++
			fmt.Fprintf(out, "FAILED %s %s\n", r.b.File, r.b.Name)
			if o.verbose {
				fmt.Fprintf(out, "    %s\n", r.reason)
			}
		default:
			c.s++
			total.s++
			w, _, _ := strings.Cut(r.reason, ":")
			why[w]++
			if o.verbose {
				fmt.Fprintf(out, "skipped %s %s: %.200s\n", r.b.File, r.b.Name, r.reason)
			}
		}
	}
	names := make([]string, 0, len(fam))
	for n := range fam {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		c := fam[n]
		fmt.Fprintf(out, "%-40s %4d passed %4d failed %4d skipped\n", n, c.p, c.f, c.s)
	}
	for w, n := range why {
		fmt.Fprintf(out, "skipped %d: %s\n", n, w)
	}
	if n := total.p + total.f; n > 0 && o.target != "nginx" {
		fmt.Fprintf(out, "%.1f %% of the blocks that nginx passes\n", 100*float64(total.p)/float64(n))
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped of %d\n", total.p, total.f, total.s, len(results))
	if total.f > 0 {
		return 1
	}
	return 0
}
