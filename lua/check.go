package lua

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sluice/lua/vm"
)

// Finding is one thing that `sluice script check` says about a script.
type Finding struct {
	File     string
	Line     int
	Severity string // "error": it will not run; "warning": it may not do what was meant
	Message  string
}

func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Severity, f.Message)
}

// Check looks at scripts without running a request: syntax, modules that
// cannot be loaded, globals nobody defines, fields of ngx that do not exist,
// handlers that cannot end.
func (r *Runtime) Check(files map[string]string) []Finding {
	var out []Finding
	known := r.known()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, ".lua") {
			continue
		}
		proto, err := vm.Compile("@"+name, files[name])
		if err != nil {
			out = append(out, fromError(name, err))
			continue
		}
		out = append(out, inspect(name, proto, known)...)
	}
	if len(out) > 0 && slices.ContainsFunc(out, func(f Finding) bool { return f.Severity == "error" }) {
		return out
	}
	var entry []Script
	for name := range files {
		if strings.HasSuffix(name, ".lua") && !strings.HasPrefix(name, "lib/") {
			entry = append(entry, Script{Path: name, Phase: "content"})
		}
	}
	slices.SortFunc(entry, func(a, b Script) int { return strings.Compare(a.Path, b.Path) })
	b, err := r.Load(files, entry)
	if err != nil {
		return append(out, fromError("", err))
	}
	b.Close()
	return out
}

// ends are the functions that end a handler, or let another thread go on.
var ends = map[string]bool{"error": true, "assert": true, "exit": true, "exec": true, "redirect": true, "yield": true}

// inspect looks for names that nobody defines, globals that were meant to be local, and loops that
// nothing leaves.
func inspect(file string, proto *vm.Proto, known names) (out []Finding) {
	told := map[string]bool{}
	warn := func(line int, format string, name string) {
		if text := fmt.Sprintf(format, name); !told[text] {
			told[text] = true
			out = append(out, Finding{File: file, Line: line, Severity: "warning", Message: text})
		}
	}
	uses := proto.Uses()
	own := map[string]bool{}
	for _, u := range uses {
		if u.Set && !strings.Contains(u.Name, ".") {
			own[u.Name] = true
			warn(u.Line, "writes the global '%s', which ends with the request; was 'local' meant?", u.Name)
		}
	}
	for _, u := range uses {
		global, _, _ := strings.Cut(u.Name, ".")
		switch missing := known.missing(u); {
		case own[global]:
		case !known[global]:
			warn(u.Line, "global '%s' is defined nowhere", global)
		case missing != "":
			warn(u.Line, "'%s' does not exist here", missing)
		}
	}
	for _, line := range proto.Endless(ends) {
		out = append(out, Finding{File: file, Line: line, Severity: "warning", Message: "this loop cannot end: nothing leaves it"})
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return a.Line - b.Line })
	return out
}

// missing is the first part of a dotted name that does not exist though all of its kind are known;
// what is assigned need not.
func (n names) missing(u vm.Use) string {
	for at := 0; ; {
		dot := strings.IndexByte(u.Name[at:], '.')
		if dot < 0 {
			return ""
		}
		table := u.Name[:at+dot]
		at += dot + 1
		field, _, more := strings.Cut(u.Name[at:], ".")
		switch full := table + "." + field; {
		case !slices.Contains(complete, table), u.Set && !more:
			return ""
		case !n[full]:
			return full
		}
	}
}

// complete are the tables whose fields are all known.
var complete = []string{"ngx", "ngx.req", "ngx.resp", "ngx.location", "ngx.timer", "ngx.thread", "ngx.worker", "ngx.config", "ngx.re", "ngx.shared",
	"string", "table", "math", "os", "coroutine", "bit"}

var position = regexp.MustCompile(`^(?:@|\.\.\.)?([^\n:]+):(\d+): (.*)`)

// fromError makes a finding of a message "file:line: what".
func fromError(name string, err error) Finding {
	msg := err.Error()
	var le *LoadError
	if errors.As(err, &le) && name == "" {
		name = le.File
	}
	if first, _, ok := strings.Cut(msg, "\nstack traceback"); ok {
		msg = first
	}
	if m := position.FindStringSubmatch(msg); m != nil {
		n, _ := strconv.Atoi(m[2])
		return Finding{File: m[1], Line: n, Severity: "error", Message: strings.TrimSuffix(m[3], ":")}
	}
	return Finding{File: name, Line: 1, Severity: "error", Message: msg}
}

// names are what scripts may use without defining it: globals, and the fields
// of ngx and of the libraries, as "ngx.say" and "string.format".
type names map[string]bool

func (r *Runtime) known() names {
	known := make(names)
	b := &Bundle{rt: r, files: map[string]string{}, retired: make(chan struct{})}
	b.host = r.host(b.retired)
	v, err := b.newVM()
	if err != nil {
		return known
	}
	add := func(prefix string, t *vm.Table) {
		k := vm.Nil
		for {
			key, _, more, err := t.Next(k)
			if err != nil || !more {
				return
			}
			k = key
			if s, ok := key.AsString(); ok {
				known[prefix+s] = true
			}
		}
	}
	g := v.State.Globals()
	add("", g)
	for _, name := range complete {
		t := g
		for field := range strings.SplitSeq(name, ".") {
			if t != nil {
				t = t.GetStr(field).AsTable()
			}
		}
		if t != nil {
			add(name+".", t)
		}
	}
	for _, k := range []string{"ngx.ctx", "ngx.status", "ngx.headers_sent", "ngx.is_subrequest", "ngx.req.get_query_args", "_G", "arg"} {
		known[k] = true
	}
	return known
}
