package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

// Load reads the file over the defaults, takes ${NAME} from the environment
// and checks the result. All problems found are in the error, one a line,
// each with file and line.
func Load(file string) (Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	return parse(file, text, os.LookupEnv)
}

func parse(file string, text []byte, env func(string) (string, bool)) (Config, error) {
	c := Default()
	if len(bytes.TrimSpace(text)) > 0 {
		if err := yaml.UnmarshalWithOptions(text, &c, yaml.Strict()); err != nil {
			return Config{}, located(file, err)
		}
	}
	problems := expand(reflect.ValueOf(&c).Elem(), "", env)
	if len(problems) == 0 {
		c.fill()
		problems = c.check()
	}
	var all []error
	for _, p := range problems {
		all = append(all, fmt.Errorf("%s: %s", place(file, text, p.field), p.text))
	}
	return c, errors.Join(all...)
}

// problem is one thing wrong, at a field such as "tokens.keys[0].secret".
type problem struct{ field, text string }

// fill sets what a zero in the file means, where 0 and "not written" are the
// same thing.
func (c *Config) fill() {
	d := Default()
	fillZero(reflect.ValueOf(c).Elem(), reflect.ValueOf(&d).Elem())
	if h := c.home(c.HomeID()); h != nil && !c.IsHome() && len(c.Redis.Addrs) == 0 {
		c.Redis.Addrs, c.Redis.Cluster, c.Redis.Replicas = h.Redis.Addrs, h.Redis.Cluster, h.Redis.Replicas
		c.Redis.Username, c.Redis.Password = h.Redis.Username, h.Redis.Password
	}
}

func fillZero(v, def reflect.Value) {
	for i := range v.NumField() {
		f, d := v.Field(i), def.Field(i)
		switch {
		case f.Kind() == reflect.Struct:
			fillZero(f, d)
		case f.IsZero():
			f.Set(d)
		}
	}
}

var variable = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

// expand replaces every string of the form ${NAME}.
func expand(v reflect.Value, path string, env func(string) (string, bool)) []problem {
	switch v.Kind() {
	case reflect.Struct:
		var all []problem
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			all = append(all, expand(v.Field(i), strings.TrimPrefix(path+"."+name, "."), env)...)
		}
		return all
	case reflect.Slice:
		var all []problem
		for i := range v.Len() {
			all = append(all, expand(v.Index(i), fmt.Sprintf("%s[%d]", path, i), env)...)
		}
		return all
	case reflect.String:
		m := variable.FindStringSubmatch(v.String())
		if m == nil {
			return nil
		}
		value, ok := env(m[1])
		if !ok || value == "" {
			return []problem{{path, fmt.Sprintf("%s: the environment variable %s is not set", path, m[1])}}
		}
		v.SetString(value)
	}
	return nil
}

// place is file:line of a field, or of the nearest parent the file has.
func place(file string, text []byte, field string) string {
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return file
	}
	for field != "" {
		if path, err := yaml.PathString("$." + field); err == nil {
			if node, err := path.FilterFile(tree); err == nil && node != nil {
				return fmt.Sprintf("%s:%d", file, node.GetToken().Position.Line)
			}
		}
		field = field[:max(strings.LastIndexAny(field, ".["), 0)]
	}
	return file
}

// located turns the decoder's error into file:line: message.
func located(file string, err error) error {
	var ye yaml.Error
	if errors.As(err, &ye) {
		line := 1
		if token := ye.GetToken(); token != nil {
			line = token.Position.Line
		}
		return fmt.Errorf("%s:%d: %s; `sluice config print` shows every key there is", file, line, ye.GetMessage())
	}
	return fmt.Errorf("%s: %w", file, err)
}

// Print is the configuration as YAML, secrets left out.
func (c Config) Print() ([]byte, error) {
	masked := c
	masked.Tokens.Keys = slices.Clone(c.Tokens.Keys)
	masked.Sync.Homes = slices.Clone(c.Sync.Homes)
	secrets := []*string{&masked.Secret, &masked.Admin.Token, &masked.Redis.Password, &masked.Payout.Secret, &masked.Payment.Secret, &masked.Relations.Token, &masked.Users.Token, &masked.Relay.Secret, &masked.Sync.Control.Password}
	for i := range masked.Tokens.Keys {
		secrets = append(secrets, &masked.Tokens.Keys[i].Secret, &masked.Tokens.Keys[i].PrivateKey)
	}
	for i := range masked.Sync.Homes {
		secrets = append(secrets, &masked.Sync.Homes[i].Redis.Password)
	}
	for _, s := range secrets {
		if *s != "" {
			*s = "(secret)"
		}
	}
	masked.Ledger.DSN = password.ReplaceAllString(c.Ledger.DSN, "$1(secret)@")
	return yaml.Marshal(masked)
}

var password = regexp.MustCompile(`(://[^:/@]+:)[^@]*@`)
