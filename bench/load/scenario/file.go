package scenario

import (
	"errors"
	"fmt"
	"time"

	"github.com/goccy/go-yaml"
)

// ErrInvalid is wrapped by every error about a scenario's text.
var ErrInvalid = errors.New("scenario is not valid")

type file struct {
	Name  string              `yaml:"name"`
	Users users               `yaml:"users"`
	Vars  map[string][]string `yaml:"vars"`
	Setup []setup             `yaml:"setup"`
	Steps []step              `yaml:"steps"`

	given []string // names of Vars that the caller gave: each must be of use
}

type users struct {
	Count  uint64 `yaml:"count"`
	Prefix string `yaml:"prefix"`
	First  uint64 `yaml:"first"`
	Width  int    `yaml:"width"` // digits, filled with zeros
	Order  string `yaml:"order"`
}

type setup struct {
	Fund *fund `yaml:"fund"`
}

type step struct {
	Fund    *fund    `yaml:"fund"`
	Enter   *enter   `yaml:"enter"`
	Show    *show    `yaml:"show"`
	Draw    *draw    `yaml:"draw"`
	Request *request `yaml:"request"`
	Think   string   `yaml:"think"`
	Repeat  *repeat  `yaml:"repeat"`
}

type expect struct {
	Status   []int    `yaml:"status"`
	Outcomes []string `yaml:"outcomes"`
}

type fund struct {
	As       string        `yaml:"as"`
	Times    int           `yaml:"times"` // setup only
	Amount   int64         `yaml:"amount"`
	Count    int           `yaml:"count"`
	Mode     string        `yaml:"mode"`
	OpensIn  time.Duration `yaml:"opens_in"` // setup only
	Password string        `yaml:"password"`
	Expect   *expect       `yaml:"expect"`
}

type enter struct {
	Room   string  `yaml:"room"`
	Expect *expect `yaml:"expect"`
}

type show struct {
	RedPacket string            `yaml:"redpacket"`
	Expect    *expect           `yaml:"expect"`
	Extract   map[string]string `yaml:"extract"`
}

type draw struct {
	RedPacket string            `yaml:"redpacket"`
	Password  string            `yaml:"password"`
	Expect    *expect           `yaml:"expect"`
	Extract   map[string]string `yaml:"extract"`
}

type request struct {
	Name    string            `yaml:"name"`
	Method  string            `yaml:"method"`
	Path    string            `yaml:"path"`
	Headers map[string]string `yaml:"headers"`
	Body    string            `yaml:"body"`
	Scope   string            `yaml:"scope"`
	NoToken bool              `yaml:"no_token"`
	Expect  *expect           `yaml:"expect"`
	Extract map[string]string `yaml:"extract"`
}

type repeat struct {
	Times int      `yaml:"times"`
	Until []string `yaml:"until"`
	Steps []step   `yaml:"steps"`
}

// Parse compiles the YAML text of a scenario; vars adds to its vars, and wins.
func Parse(text []byte, vars map[string][]string) (*Program, error) {
	var f file
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict(), yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrInvalid, yaml.FormatError(err, false, true))
	}
	if f.Vars == nil {
		f.Vars = map[string][]string{}
	}
	for k, v := range vars {
		f.Vars[k] = v
	}
	f.given = sorted(vars)
	p, err := compile(&f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return p, nil
}

// Single is the scenario of one request for every arriving user.
func Single(method, path, body string, headers map[string]string, statuses []int, vars map[string][]string) (*Program, error) {
	r := &request{Name: path, Method: method, Path: path, Body: body, Headers: headers}
	if len(statuses) > 0 {
		r.Expect = &expect{Status: statuses}
	}
	p, err := compile(&file{Name: method + " " + path, Vars: vars, Steps: []step{{Request: r}}, given: sorted(vars)})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return p, nil
}
