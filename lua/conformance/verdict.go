package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
)

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
		{"jit.v\"", "jit"}, {"ngx.req.socket(true)", "ngx.req.socket(true)"}, {"balancer_by_lua", "balancer_by_lua"}, {"ssl_certificate_by_lua", "ssl_*_by_lua"},
		{"lua_check_client_abort on", "ngx.on_abort"}, {"ndk.set_var", "ndk.set_var"}, {"in pairs(ndk)", "ndk.set_var"}, {"setclientcert", "TLS client certificates"}, {"\x1bLJ", "string.dump"}, {"\x1bLua", "string.dump"}, {" -bg ", "string.dump"},
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
