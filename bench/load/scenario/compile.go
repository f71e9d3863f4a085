package scenario

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

type compiler struct {
	p      *Program
	names  map[string]int // lists
	locals map[string]int
	used   map[string]bool // names that a template has
	funded map[string]bool // names of red packets that setup or a step funds
}

func compile(f *file) (*Program, error) {
	if len(f.Steps) == 0 {
		return nil, fmt.Errorf("steps is empty: what should a user do?")
	}
	u := f.Users
	if u.Prefix == "" {
		u.Prefix = "b-"
	}
	if u.Order != "" && u.Order != "each" && u.Order != "random" {
		return nil, fmt.Errorf("users.order is %q, not each or random", u.Order)
	}
	if len(u.Prefix) > 40 || !plain(u.Prefix) || u.Width < 0 || u.Width > 20 {
		return nil, fmt.Errorf("users: prefix must be at most 40 of [A-Za-z0-9_-], width 0 to 20")
	}
	p := &Program{Name: f.Name, Users: Users{Count: u.Count, Prefix: u.Prefix, First: u.First, Width: u.Width, Random: u.Order == "random"}}
	c := &compiler{p: p, names: map[string]int{}, locals: map[string]int{}, used: map[string]bool{}, funded: map[string]bool{}}
	for _, name := range sorted(f.Vars) {
		if slices.ContainsFunc(f.Vars[name], unprintable) {
			return nil, fmt.Errorf("vars: a value of %s holds a line end or another control character", name)
		}
		c.list(name, f.Vars[name])
	}
	for i, s := range f.Setup {
		if s.Fund == nil {
			return nil, fmt.Errorf("setup[%d]: only fund can be done before the start", i)
		}
		if s.Fund.As == "" {
			s.Fund.As = "rp"
		}
		if len(f.Vars[s.Fund.As]) > 0 {
			continue // the caller gave ids by --var: nothing to fund
		}
		c.funded[s.Fund.As] = true
		p.Funds = append(p.Funds, Fund{List: c.list(s.Fund.As, nil), Times: max(s.Fund.Times, 1), OpensIn: s.Fund.OpensIn, Body: s.Fund.body(), Fen: s.Fund.Amount})
	}
	if err := c.steps(f.Steps, 0); err != nil {
		return nil, err
	}
	if len(p.Requests) == 0 {
		return nil, fmt.Errorf("steps hold no request")
	}
	for _, name := range f.given {
		if !c.used[name] {
			return nil, fmt.Errorf("--var %s is given, but nothing in the scenario says ${%s}", name, name)
		}
	}
	return p, nil
}

func (c *compiler) list(name string, values []string) int {
	if i, ok := c.names[name]; ok {
		return i
	}
	c.p.Lists = append(c.p.Lists, values)
	c.names[name] = len(c.p.Lists) - 1
	return c.names[name]
}

func (c *compiler) steps(steps []step, depth int) error {
	for i := range steps {
		if err := c.step(&steps[i], depth); err != nil {
			return fmt.Errorf("steps[%d]: %w", i, err)
		}
	}
	return nil
}

func (c *compiler) step(s *step, depth int) error {
	n := 0
	for _, set := range []bool{s.Fund != nil, s.Enter != nil, s.Show != nil, s.Draw != nil, s.Request != nil, s.Think != "", s.Repeat != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("a step is exactly one of fund, enter, show, draw, request, think and repeat; this has %d", n)
	}
	switch {
	case s.Think != "":
		return c.think(s.Think)
	case s.Repeat != nil:
		return c.repeat(s.Repeat, depth)
	}
	r, funds, fen, err := c.plain(s)
	if err != nil {
		return err
	}
	return c.request(r, funds, fen)
}

// plain turns the named steps into the general request.
func (c *compiler) plain(s *step) (r *request, funds bool, fen int64, err error) {
	need := func(v, key string) {
		if v == "" && err == nil {
			err = fmt.Errorf("%s is missing", key)
		}
	}
	switch {
	case s.Fund != nil:
		if s.Fund.Times > 1 || s.Fund.OpensIn > 0 {
			return nil, false, 0, fmt.Errorf("fund: times and opens_in are for setup")
		}
		as := s.Fund.As
		if as == "" {
			as = "rp"
		}
		c.funded[as] = true
		body, _ := json.Marshal(s.Fund.body()) // strings and numbers always marshal
		return &request{Name: "fund", Method: "POST", Path: "/v1/redpackets", Body: string(body), Scope: "fund", Expect: s.Fund.Expect,
			Headers: map[string]string{"Idempotency-Key": "${run}-${uid}-${seq}"}, Extract: map[string]string{as: "id"}}, true, s.Fund.Amount, nil
	case s.Enter != nil:
		need(s.Enter.Room, "enter.room")
		r = &request{Name: "enter", Method: "POST", Path: "/v1/rooms/" + s.Enter.Room + "/enter", Expect: s.Enter.Expect}
	case s.Show != nil:
		need(s.Show.RedPacket, "show.redpacket")
		r = &request{Name: "show", Method: "GET", Path: "/v1/redpackets/" + s.Show.RedPacket, Expect: s.Show.Expect, Extract: s.Show.Extract}
	case s.Draw != nil:
		need(s.Draw.RedPacket, "draw.redpacket")
		r = &request{Name: "draw", Method: "POST", Path: "/v1/redpackets/" + s.Draw.RedPacket + "/draw", Expect: s.Draw.Expect, Extract: s.Draw.Extract}
		if s.Draw.Password != "" {
			body, _ := json.Marshal(map[string]string{"password": s.Draw.Password})
			r.Body = string(body)
		}
	default:
		r = s.Request
		need(r.Path, "request.path")
	}
	return r, false, 0, err
}

func (f *fund) body() map[string]any {
	b := map[string]any{"amount": f.Amount, "count": f.Count}
	if f.Mode != "" {
		b["mode"] = f.Mode
	}
	if f.Password != "" {
		b["password"] = f.Password
	}
	return b
}

func (c *compiler) request(r *request, funds bool, fen int64) (err error) {
	out := &Request{Index: len(c.p.Requests), Name: r.Name, Method: strings.ToUpper(r.Method), Scope: r.Scope, NoToken: r.NoToken, Funds: funds, Fen: fen}
	if out.Method == "" {
		out.Method = "GET"
	}
	if out.Name == "" {
		out.Name = r.Path
	}
	if !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, " \r\n") || !plain(out.Method) || r.Scope != "" && !plain(strings.ReplaceAll(r.Scope, " ", "_")) {
		return fmt.Errorf("request %q: method, path and scope must be plain; a path begins with / and has no space", r.Path)
	}
	if out.Path, err = c.template(r.Path); err != nil {
		return err
	}
	for _, p := range out.Path {
		if p.kind == global && strings.Contains(strings.Join(c.p.Lists[p.slot], ""), " ") {
			return fmt.Errorf("request %q: a value that is filled in has a space, which a path cannot have", r.Path)
		}
	}
	if out.Method == "POST" && strings.TrimSuffix(r.Path, "/") == "/v1/redpackets" && !funds { // by hand
		var body struct{ Amount int64 }
		_ = json.Unmarshal([]byte(r.Body), &body) // with a ${} in it, it need not be JSON yet: the sum stays unknown
		out.Funds, out.Fen = true, body.Amount
		for name := range r.Extract {
			c.funded[name] = true
		}
	}
	if strings.HasSuffix(r.Path, "/draw") && !c.ours(r.Path) {
		c.p.Foreign = append(c.p.Foreign, r.Path)
	}
	if out.Body, err = c.template(r.Body); err != nil {
		return err
	}
	lines := ""
	for _, k := range sorted(r.Headers) {
		if !plain(k) || strings.ContainsAny(r.Headers[k], "\r\n") {
			return fmt.Errorf("header %q is not plain", k)
		}
		lines += k + ": " + r.Headers[k] + "\r\n"
	}
	if out.Headers, err = c.template(lines); err != nil {
		return err
	}
	if e := r.Expect; e != nil {
		if len(e.Status) > 0 {
			out.Statuses = map[int]bool{}
			for _, s := range e.Status {
				if s < 100 || s > 599 {
					return fmt.Errorf("expect: no server answers with status %d", s)
				}
				out.Statuses[s] = true
			}
		}
		out.Outcomes = set(e.Outcomes)
	}
	for _, name := range sorted(r.Extract) {
		if _, ok := c.locals[name]; !ok {
			if len(c.locals) == MaxLocals {
				return fmt.Errorf("more than %d names are extracted", MaxLocals)
			}
			c.locals[name] = len(c.locals)
		}
		out.Extract = append(out.Extract, Extract{Local: c.locals[name], Field: r.Extract[name]})
	}
	c.p.Requests = append(c.p.Requests, out)
	c.p.Ops = append(c.p.Ops, Op{Kind: Send, Request: out})
	return nil
}

func (c *compiler) think(text string) error {
	lo, hi, ok := strings.Cut(text, "..")
	if !ok {
		hi = lo
	}
	from, err := time.ParseDuration(strings.TrimSpace(lo))
	to, err2 := time.ParseDuration(strings.TrimSpace(hi))
	if err != nil || err2 != nil || from < 0 || to < from {
		return fmt.Errorf("think: %q is not a duration such as 1s or 200ms..2s", text)
	}
	c.p.Ops = append(c.p.Ops, Op{Kind: Think, Min: from, Max: to})
	return nil
}

func (c *compiler) repeat(r *repeat, depth int) error {
	if r.Times < 1 || r.Times > 1e6 || len(r.Steps) == 0 || depth == MaxNested {
		return fmt.Errorf("repeat needs times from 1 to 1000000 and steps, at most %d deep", MaxNested)
	}
	c.p.Ops = append(c.p.Ops, Op{Kind: Begin, Counter: depth})
	start := len(c.p.Ops)
	if err := c.steps(r.Steps, depth+1); err != nil {
		return err
	}
	c.p.Ops = append(c.p.Ops, Op{Kind: Again, Counter: depth, Times: r.Times, Jump: start, Until: set(r.Until)})
	return nil
}

// ours says that a path is of a red packet that the scenario funds itself.
func (c *compiler) ours(path string) bool {
	for _, m := range placeholder.FindAllStringSubmatch(path, -1) {
		if c.funded[m[1]] {
			return true
		}
	}
	return false
}

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func set(words []string) map[string]bool {
	if len(words) == 0 {
		return nil
	}
	m := map[string]bool{}
	for _, w := range words {
		m[w] = true
	}
	return m
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func plain(s string) bool {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return s != ""
}
