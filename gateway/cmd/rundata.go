package cmd

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/goccy/go-yaml"

	"sluice/gateway/config"
)

// runSecrets are what `sluice run` makes at its first start.
type runSecrets struct{ id, token, admin string }

// loadSecrets takes the secrets of the file of the last run, or makes new ones.
func loadSecrets(dir string) (runSecrets, error) {
	old, err := config.Load(filepath.Join(dir, runFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return runSecrets{random(), random(), random()}, nil
	case err != nil:
		return runSecrets{}, fmt.Errorf("%w; it was written by `sluice run`: mend it, ids of red packets depend on its secret", err)
	case len(old.Tokens.Keys) == 0:
		return runSecrets{}, fmt.Errorf("%s has no token key; it was written by `sluice run`: mend it", filepath.Join(dir, runFile))
	}
	return runSecrets{old.Secret, old.Tokens.Keys[0].Secret, old.Admin.Token}, nil
}

func random() string {
	var b [24]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// writeRunFile writes the sluice.yaml of this run, whole or not at all, and
// returns what it says.
func writeRunFile(f runFlags, s *stores, secrets runSecrets) (config.Config, error) {
	abs := func(path string) string {
		if full, err := filepath.Abs(path); err == nil {
			return full
		}
		return path
	}
	cfg := config.Default()
	cfg.Listen, cfg.Admin.Listen, cfg.Admin.Token = f.listen, f.admin, secrets.admin
	cfg.Data, cfg.Scripts = abs(f.data), abs(f.scripts)
	cfg.Secret = secrets.id
	cfg.Tokens.Keys = []config.Key{{ID: "run", Algorithm: "HS256", Secret: secrets.token}}
	cfg.Memcached.Servers = []string{s.cacheAddr}
	cfg.Redis.Addrs, cfg.Redis.UnsafeDurability = []string{s.redis.Addr()}, true
	cfg.Ledger.DSN = "sqlite:" + filepath.Join(cfg.Data, "ledger.db")
	text, err := yaml.Marshal(cfg)
	if err != nil {
		return cfg, fmt.Errorf("%s: %w", runFile, err)
	}
	text = append([]byte("# Written by `sluice run` at each start; the secrets are kept.\n"), text...)
	file := filepath.Join(cfg.Data, runFile)
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return cfg, err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return cfg, err
	}
	return config.Load(file)
}

// flock takes an exclusive lock that ends with the process.
func flock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another `sluice run` uses this data folder (%s): %w", path, err)
	}
	return func() { file.Close() }, nil
}
