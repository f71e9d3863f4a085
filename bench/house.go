package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"sluice/bench/load/search"
	"sluice/bench/load/token"
)

// house is what bench reads of a sluice.yaml: how to sign tokens, and where the admin listener is.
// All other keys are the gateway's business, which checks them strictly.
type house struct {
	Admin struct {
		Listen string `yaml:"listen"`
		Token  string `yaml:"token"`
	} `yaml:"admin"`
	Tokens struct {
		Keys []struct {
			ID        string `yaml:"id"`
			Algorithm string `yaml:"algorithm"`
			Secret    string `yaml:"secret"`
		} `yaml:"keys"`
	} `yaml:"tokens"`
}

func readHouse(file, data string) (*house, error) {
	if file == "" && data != "" {
		file = filepath.Join(data, "sluice.yaml")
	}
	h := &house{}
	if file == "" {
		return h, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if err := yaml.Unmarshal(text, h); err != nil {
		return nil, fmt.Errorf("bench: %s: %s", file, yaml.FormatError(err, false, false))
	}
	return h, nil
}

// fromEnv replaces a value of the form ${NAME}, as the gateway does.
func fromEnv(v string) string {
	if name, ok := strings.CutPrefix(v, "${"); ok && strings.HasSuffix(name, "}") {
		return os.Getenv(strings.TrimSuffix(name, "}"))
	}
	return v
}

// secrets completes the admin's address and token, and makes the minter; nil without a secret.
func (f *flags) secrets(now time.Time) (*token.Minter, error) {
	h, err := readHouse(f.config, f.data)
	if err != nil {
		return nil, usage(err)
	}
	if f.admin == "" && h.Admin.Token != "" {
		listen := h.Admin.Listen
		if listen == "" {
			listen = "127.0.0.1:8081"
		}
		f.admin = "http://" + listen
	}
	f.adminToken = fromEnv(h.Admin.Token)
	if v := os.Getenv("SLUICE_ADMIN_TOKEN"); f.adminToken == "" && v != "" {
		f.adminToken = v
	}
	kid, secret := f.kid, []byte(os.Getenv("SLUICE_BENCH_SECRET"))
	if f.secretFile != "" {
		text, err := os.ReadFile(f.secretFile)
		if err != nil {
			return nil, usage(fmt.Errorf("bench: %w", err))
		}
		secret = []byte(strings.TrimSpace(string(text)))
	}
	if len(secret) == 0 {
		for _, k := range h.Tokens.Keys {
			if s := fromEnv(k.Secret); k.Algorithm == "HS256" && s != "" && (kid == "" || kid == k.ID) {
				kid, secret = k.ID, []byte(s)
				break
			}
		}
	}
	if len(secret) == 0 {
		if f.needsTokens() {
			return nil, usage(errors.New("the scenario sends users' tokens: give -c sluice.yaml, --data DIR, or --token-kid with --token-secret-file or SLUICE_BENCH_SECRET"))
		}
		return nil, nil
	}
	if kid == "" {
		return nil, usagef("--token-kid is missing")
	}
	return token.New(kid, secret, now.Add(time.Hour+f.lasts(now))), nil
}

// lasts is how long a run may take at most, from now on.
func (f *flags) lasts(now time.Time) time.Duration {
	wait := max(f.cfg.StartAt.Sub(now), 0)
	if !f.findMax {
		return wait + 2*(f.cfg.RunUp+f.cfg.Duration)
	}
	return wait + search.MaxTrials*2*(f.cfg.RunUp+f.trial+f.cfg.Timeout) + 10*max(f.hold, 4*f.trial)
}

// needsTokens says whether the scenario speaks to the house's own API.
func (f *flags) needsTokens() bool { return f.scenario != "" || f.rehearsal }
