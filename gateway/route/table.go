package route

import (
	"fmt"
	"slices"
	"strings"
)

// MaxParams is how many parameters a path may have.
const MaxParams = 4

// Values are the path parameters of one request, in the order of Route.Params.
type Values [MaxParams]string

// Verdict is what Find has to say.
type Verdict int

const (
	Found      Verdict = iota
	NotFound           // no such path: 404
	NotAllowed         // the path has other methods: 405
	BadParam           // a parameter with characters that are not allowed: 400
)

// Table holds the routes as a tree of path segments.
type Table struct {
	Globals
	Routes []*Route
	root   node
}

type node struct {
	fixed   map[string]*node
	param   *node
	methods []*Route
}

func (t *Table) add(r *Route) error {
	n := &t.root
	for _, segment := range strings.Split(r.Path[1:], "/") {
		if m := paramPattern.FindStringSubmatch(segment); m != nil {
			if slices.Contains(r.Params, m[1]) || len(r.Params) == MaxParams {
				return fmt.Errorf("path %q has a parameter twice, or more than %d", r.Path, MaxParams)
			}
			r.Params = append(r.Params, m[1])
			if n.param == nil {
				n.param = &node{}
			}
			n = n.param
			continue
		}
		if !fixedPattern.MatchString(segment) {
			return fmt.Errorf("path %q: segment %q is neither plain nor {name}", r.Path, segment)
		}
		if n.fixed == nil {
			n.fixed = map[string]*node{}
		}
		if n.fixed[segment] == nil {
			n.fixed[segment] = &node{}
		}
		n = n.fixed[segment]
	}
	for _, other := range n.methods {
		if other.Method == r.Method {
			return fmt.Errorf("%s %s is also route %q", r.Method, r.Path, other.Name)
		}
	}
	n.methods = append(n.methods, r)
	return nil
}

// Find returns the route of a request and fills values with its parameters.
// path is as it was sent, still escaped.
func (t *Table) Find(method, path string, values *Values) (*Route, Verdict) {
	n, count, bad := &t.root, 0, false
	if path == "" || path[0] != '/' {
		return nil, NotFound
	}
	for rest, more := path[1:], true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if next := n.fixed[segment]; next != nil {
			n = next
			continue
		}
		if n.param == nil {
			return nil, NotFound
		}
		bad = bad || !validParam(segment)
		values[count] = segment
		count++
		n = n.param
	}
	if len(n.methods) == 0 {
		return nil, NotFound
	}
	if bad {
		return nil, BadParam
	}
	if method == "HEAD" {
		method = "GET"
	}
	for _, r := range n.methods {
		if r.Method == method {
			return r, Found
		}
	}
	return n.methods[0], NotAllowed
}

// Allow lists the methods of the path that r is on, for a 405.
func (t *Table) Allow(r *Route) string {
	var all []string
	for _, other := range t.Routes {
		if other.Path == r.Path {
			all = append(all, other.Method)
		}
	}
	return strings.Join(all, ", ")
}

func validParam(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c-'a' > 25 && c-'A' > 25 && c-'0' > 9 && c != '_' && c != '-' && c != '.' && c != '~' {
			return false
		}
	}
	return true
}
