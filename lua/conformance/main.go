package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
