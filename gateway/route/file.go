package route

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

// FileName is where a bundle keeps its routes.
const FileName = "routes.yaml"

// Route is one line of the table; its fields are the keys of routes.yaml.
type Route struct {
	// Name is shown in metrics and logs.
	Name string `yaml:"name"`
	// Method is GET, POST, PUT or DELETE. HEAD is answered by GET's route.
	Method string `yaml:"method"`
	// Path is matched segment by segment; {name} takes one segment.
	Path string `yaml:"path"`
	// Enabled is the kill switch; left out means true.
	Enabled *bool `yaml:"enabled"`
	// The scripts of each phase; all but Content may be left out.
	Rewrite      []string `yaml:"rewrite"`
	Access       []string `yaml:"access"`
	Content      string   `yaml:"content"`
	HeaderFilter []string `yaml:"header_filter"`
	BodyFilter   []string `yaml:"body_filter"`
	Log          []string `yaml:"log"`
	// Budget overrides the defaults of sluice.yaml; zero fields keep them.
	Budget Budget `yaml:"budget"`
	// BodyBytes is the most that a body may take, at least limits.body_bytes; zero value means that.
	BodyBytes int `yaml:"body_bytes"`

	// Params are the names in Path, in order.
	Params []string `yaml:"-"`
	// Line is where the route begins in routes.yaml.
	Line int `yaml:"-"`
	// Index is the route's place in Table.Routes.
	Index int `yaml:"-"`
}

// Globals is what the file says beside routes.
type Globals struct {
	// Shared are the dictionaries of ngx.shared, in bytes. One lives, and keeps
	// its size, until the process ends.
	Shared map[string]int64 `yaml:"shared"`
	// Init scripts run in each new VM, before any request.
	Init []string `yaml:"init"`
	// InitWorker scripts run once when the bundle goes live; their timers stay
	// until it is replaced.
	InitWorker []string `yaml:"init_worker"`
}

// A dictionary takes its memory as it fills.
const minShared, maxShared = 12 << 10, 1 << 30

func (g *Globals) check(exists func(string) bool) error {
	total := int64(0)
	for name, size := range g.Shared {
		if size < minShared || size > maxShared {
			return fmt.Errorf("shared: %s: %d bytes; it must be from %d to %d", name, size, minShared, maxShared)
		}
		total += size
	}
	if total > maxShared {
		return fmt.Errorf("shared: %d bytes in all; at most %d", total, maxShared)
	}
	for _, script := range slices.Concat(g.Init, g.InitWorker) {
		if !exists(script) {
			return fmt.Errorf("script %q is not among the scripts", script)
		}
	}
	return nil
}

// Budget is what one run of the route's scripts may use.
type Budget struct {
	Instructions int64         `yaml:"instructions"`
	WallTime     time.Duration `yaml:"wall_time"`
	MemoryBytes  int64         `yaml:"memory_bytes"`
	OutputBytes  int64         `yaml:"output_bytes"`
	Calls        int           `yaml:"calls"`
	Subrequests  int           `yaml:"subrequests"`
	Timers       int           `yaml:"timers"`
}

func (b *Budget) negative() bool {
	return min(b.Instructions, int64(b.WallTime), b.MemoryBytes, b.OutputBytes, int64(b.Calls), int64(b.Subrequests), int64(b.Timers)) < 0
}

// maxBody bounds BodyBytes: a body stands in memory whole.
const maxBody = 64 << 20

// On says whether the kill switch lets requests through.
func (r *Route) On() bool { return r.Enabled == nil || *r.Enabled }

// Scripts are all the scripts of the route, each once.
func (r *Route) Scripts() []string {
	all := slices.Concat(r.Rewrite, r.Access, []string{r.Content}, r.HeaderFilter, r.BodyFilter, r.Log)
	slices.Sort(all)
	return slices.Compact(all)
}

var (
	namePattern  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	paramPattern = regexp.MustCompile(`^\{([a-z][a-z0-9_]{0,31})\}$`)
	fixedPattern = regexp.MustCompile(`^[A-Za-z0-9_.~-]+$`)
)

// Parse reads routes.yaml. exists says whether a script is in the bundle; every
// error names the line.
func Parse(text string, exists func(script string) bool) (*Table, error) {
	var file struct {
		Globals `yaml:",inline"`
		Routes  []*Route `yaml:"routes"`
	}
	if err := yaml.UnmarshalWithOptions([]byte(text), &file, yaml.Strict()); err != nil {
		var ye yaml.Error
		if errors.As(err, &ye) && ye.GetToken() != nil {
			return nil, fmt.Errorf("%s:%d: %s", FileName, ye.GetToken().Position.Line, ye.GetMessage())
		}
		return nil, fmt.Errorf("%s: %w", FileName, err)
	}
	t := &Table{Globals: file.Globals, Routes: file.Routes}
	if err := t.check(exists); err != nil {
		return nil, fmt.Errorf("%s: %w", FileName, err)
	}
	names := map[string]bool{}
	for i, r := range file.Routes {
		if r == nil {
			return nil, fmt.Errorf("%s: routes[%d] is empty", FileName, i)
		}
		r.Line, r.Index = lineOf(text, i), i
		if err := r.check(exists); err != nil {
			return nil, fmt.Errorf("%s:%d: route %q: %w", FileName, r.Line, r.Name, err)
		}
		if names[r.Name] {
			return nil, fmt.Errorf("%s:%d: route %q: the name is used twice", FileName, r.Line, r.Name)
		}
		names[r.Name] = true
		if err := t.add(r); err != nil {
			return nil, fmt.Errorf("%s:%d: route %q: %w", FileName, r.Line, r.Name, err)
		}
	}
	return t, nil
}

func (r *Route) check(exists func(string) bool) error {
	switch {
	case !namePattern.MatchString(r.Name):
		return errors.New("name must be a-z, 0-9 and _, at most 32 characters")
	case !slices.Contains([]string{"GET", "POST", "PUT", "DELETE"}, r.Method):
		return fmt.Errorf("method %q is not GET, POST, PUT or DELETE", r.Method)
	case !strings.HasPrefix(r.Path, "/"):
		return fmt.Errorf("path %q must begin with /", r.Path)
	case r.Content == "":
		return errors.New("content names no script")
	case r.Budget.negative():
		return errors.New("budget is below zero")
	case r.BodyBytes < 0 || r.BodyBytes > maxBody:
		return fmt.Errorf("body_bytes is %d; it must be from 0 to %d", r.BodyBytes, maxBody)
	}
	for _, script := range r.Scripts() {
		if !exists(script) {
			return fmt.Errorf("script %q is not among the scripts", script)
		}
	}
	return nil
}

// lineOf is where the i-th route begins.
func lineOf(text string, i int) int {
	tree, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		return 1
	}
	path, err := yaml.PathString(fmt.Sprintf("$.routes[%d].name", i))
	if err != nil {
		return 1
	}
	node, err := path.FilterFile(tree)
	if err != nil || node == nil {
		return 1
	}
	return node.GetToken().Position.Line
}
