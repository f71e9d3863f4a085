package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"sluice/internal/servers"
)

// Stores are one side's memcached and Redis.
type Stores struct{ Memcached, Redis *Proc }

// Stores starts memcached and a Redis as a home needs it (appendfsync always, noeviction).
func (r *Rig) Stores(side string) (*Stores, error) {
	mp, err := servers.Port()
	if err != nil {
		return nil, err
	}
	mc, err := r.Start(side+"-memcached", fmt.Sprintf("127.0.0.1:%d", mp), "memcached", "-l", "127.0.0.1", "-p", strconv.Itoa(mp), "-U", "0", "-u", "root", "-t", "2", "-m", "2048", "-c", "12000")
	if err != nil {
		return nil, err
	}
	rp, err := servers.Port()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(r.Dir, side+"-redis-data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	rd, err := r.Start(side+"-redis", fmt.Sprintf("127.0.0.1:%d", rp), "redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(rp), "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--maxclients", "12000", "--auto-aof-rewrite-percentage", "0")
	return &Stores{mc, rd}, err
}
