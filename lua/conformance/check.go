package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// match tries a regular expression of the corpus: "(?^s:...)" is Perl's way
// to write its flags.
func match(re, s string, opt regexp2.RegexOptions) (bool, error) {
	m, err := find(re, s, opt)
	return m != nil, err
}

func compile(re string, opt regexp2.RegexOptions) (*regexp2.Regexp, error) {
	for strings.Contains(re, "(?^") {
		re = strings.Replace(re, "(?^", "(?", 1)
	}
	re = strings.ReplaceAll(re, "(?u:", "(?:")
	re = strings.ReplaceAll(re, "(?us:", "(?s:")
	x, err := regexp2.Compile(re, opt)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", re, err)
	}
	x.MatchTimeout = 5 * time.Second
	return x, nil
}

func find(re, s string, opt regexp2.RegexOptions) (*regexp2.Match, error) {
	x, err := compile(re, opt)
	if err != nil {
		return nil, err
	}
	return x.FindStringMatch(runes(s))
}

// check compares one run of a block with what it expects; run is 0 or 1.
func (s *site) check(replies []reply, log string, run int) error {
	b := s.b
	ignore := b.has("ignore_response")
	for i := range replies {
		r := &replies[i]
		if ignore {
			continue
		}
		if err := s.checkStatus(r, i); err != nil {
			return err
		}
		if err := s.checkHeaders(r, i); err != nil {
			return err
		}
		if err := s.checkBody(r, i); err != nil {
			return err
		}
	}
	return s.checkLog(log, run)
}

func (s *site) checkStatus(r *reply, i int) error {
	b := s.b
	if v := b.section("error_code_like").at(i); v.set {
		got := ""
		if r.err == nil {
			got = strconv.Itoa(r.status)
		}
		ok, err := match(pattern(v), got, regexp2.Singleline)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("request %d: status %s, want like %s", i, got, pattern(v))
		}
		return nil
	}
	want := strings.TrimSpace(b.section("error_code").at(i).text)
	if want == "" && b.has("error_code") {
		if r.err == nil {
			return fmt.Errorf("request %d: status %d, want no answer", i, r.status)
		}
		return nil
	}
	if want == "" {
		want = "200"
	}
	if r.err != nil {
		return fmt.Errorf("request %d: %w", i, r.err)
	}
	if strconv.Itoa(r.status) != want {
		return fmt.Errorf("request %d: status %d, want %s; body %.300q", i, r.status, want, r.body)
	}
	return nil
}

func pattern(v value) string {
	if v.re != "" {
		return v.re
	}
	return strings.TrimSuffix(v.text, "\n")
}

func (s *site) checkHeaders(r *reply, i int) error {
	b := s.b
	for l := range strings.SplitSeq(latin1(s.expand(b.section("response_headers").at(i).text)), "\n") {
		l = strings.TrimSpace(l)
		if l == "" {
			continue
		}
		if name, ok := strings.CutPrefix(l, "!"); ok {
			if v, has := r.header(strings.TrimSpace(name)); has {
				return fmt.Errorf("request %d: header %s: %q is there, want none", i, strings.TrimSpace(name), v)
			}
			continue
		}
		k, v, _ := strings.Cut(l, ":")
		if got, _ := r.header(strings.TrimSpace(k)); got != strings.TrimSpace(v) {
			return fmt.Errorf("request %d: header %s: %q, want %q", i, k, got, strings.TrimSpace(v))
		}
	}
	for l := range strings.SplitSeq(s.expand(b.section("response_headers_like").at(i).text), "\n") {
		k, v, ok := strings.Cut(l, ":")
		if !ok {
			continue
		}
		got, _ := r.header(strings.TrimSpace(k))
		if ok, err := match("^"+strings.TrimSpace(v)+"$", got, 0); err != nil || !ok {
			return fmt.Errorf("request %d: header %s: %q, want like %q %v", i, k, got, v, err)
		}
	}
	if v := b.section("raw_response_headers_like").at(i); v.set {
		if ok, err := match(s.expand(pattern(v)), r.raw, regexp2.Singleline); err != nil || !ok {
			return fmt.Errorf("request %d: header %q, want like %q %v", i, r.raw, pattern(v), err)
		}
	}
	if v := b.section("raw_response_headers_unlike").at(i); v.set {
		if ok, err := match(s.expand(pattern(v)), r.raw, regexp2.Singleline); err != nil || ok {
			return fmt.Errorf("request %d: header %q, want unlike %q %v", i, r.raw, pattern(v), err)
		}
	}
	return nil
}

func (s *site) checkBody(r *reply, i int) error {
	b := s.b
	if b.has("ignore_response_body") {
		return nil
	}
	if v := b.section("response_body").at(i); v.set {
		if v.re != "" {
			if ok, err := match(s.expand(v.re), r.body, 0); err != nil || !ok {
				return fmt.Errorf("request %d: body %q, want like %q %v", i, r.body, v.re, err)
			}
		} else if want := latin1(s.expand(v.text)); r.body != want {
			return fmt.Errorf("request %d: body %q, want %q", i, r.body, want)
		}
	}
	if v := b.section("response_body_like").at(i); v.set {
		if ok, err := match(s.expand(pattern(v)), r.body, regexp2.Singleline); err != nil || !ok {
			return fmt.Errorf("request %d: body %q, want like %q %v", i, r.body, pattern(v), err)
		}
	}
	return nil
}

// patterns are the single things to look for in a log.
func (s *site) patterns(v value) []value {
	if v.many {
		var out []value
		for _, x := range v.list {
			if x.re != "" || x.text != "" {
				out = append(out, x)
			}
		}
		return out
	}
	if v.re != "" {
		return []value{v}
	}
	var out []value
	for l := range strings.SplitSeq(v.text, "\n") {
		if l != "" {
			out = append(out, value{set: true, text: l})
		}
	}
	return out
}

func (s *site) inLog(v value, log string) (bool, error) {
	if v.re != "" {
		return match(s.expand(v.re), log, 0)
	}
	return strings.Contains(log, strings.TrimSuffix(latin1(s.expand(v.text)), "\n")), nil
}

func (s *site) checkLog(log string, run int) error {
	b := s.b
	if v := b.section("grep_error_log"); v.set {
		if err := s.grep(v, b.section("grep_error_log_out"), log, run); err != nil {
			return err
		}
	}
	for _, p := range s.patterns(b.section("error_log")) {
		if ok, err := s.inLog(p, log); err != nil || !ok {
			return fmt.Errorf("log has no %q %v; log: %s", p.text+p.re, err, tail(log))
		}
	}
	for _, p := range s.patterns(b.section("no_error_log")) {
		if ok, err := s.inLog(p, log); err != nil || ok {
			return fmt.Errorf("log has %q %v; log: %s", p.text+p.re, err, tail(log))
		}
	}
	return nil
}

func (s *site) grep(pat, want value, log string, run int) error {
	re := pat.re
	if re == "" {
		re = regexp2.Escape(strings.TrimSuffix(pat.text, "\n"))
	}
	x, err := compile(s.expand(re), 0)
	if err != nil {
		return err
	}
	var got strings.Builder
	m, err := x.FindStringMatch(runes(log))
	for m != nil && err == nil {
		got.WriteString(m.String() + "\n")
		m, err = x.FindNextMatch(m)
	}
	if err != nil {
		return err
	}
	if want.many {
		want = want.at(run)
	}
	if want.re != "" {
		if ok, err := match(s.expand(want.re), latin1(got.String()), 0); err != nil || !ok {
			return fmt.Errorf("grep of log %q, want like %q %v", got.String(), want.re, err)
		}
		return nil
	}
	if got.String() != s.expand(want.text) {
		return fmt.Errorf("grep of log %q, want %q; log: %s", got.String(), want.text, tail(log))
	}
	return nil
}

func tail(s string) string {
	if len(s) > 1500 {
		return "..." + s[len(s)-1500:]
	}
	return s
}
