package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// Lease times.
const (
	LeaseSeconds = 20
	RenewEvery   = 5 * time.Second
)

// ErrHeld: a run elsewhere has the lease.
var ErrHeld = errors.New("another run of this set holds the lease")

// Store is one region's memcached (*memcache.Client).
type Store interface {
	Do(ctx context.Context, ops []memcache.Op) error
}

// Lease keeps other machines out of one region.
type Lease struct {
	store Store
	key   string
	owner owner
}

type owner struct {
	Name string `json:"owner"` // host and state file
	PID  int    `json:"pid"`
}

// NewLease describes the lease of set for the holder of the state file path.
func NewLease(store Store, set, path string) *Lease {
	host, _ := os.Hostname()
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return &Lease{store: store, key: record.PrefixWarm + set + ":lease", owner: owner{Name: host + ":" + path, PID: os.Getpid()}}
}

// Hold takes or renews the lease. Any error but ErrHeld is the transport's.
func (l *Lease) Hold(ctx context.Context) error {
	mine, _ := json.Marshal(l.owner)
	for range 3 {
		ops := [1]memcache.Op{{Kind: memcache.Gets, Key: l.key}}
		if err := l.store.Do(ctx, ops[:]); err != nil {
			return err
		}
		write := memcache.Op{Kind: memcache.Add, Key: l.key, Value: mine, Expiry: LeaseSeconds}
		if ops[0].Err == nil {
			var other owner
			if json.Unmarshal(ops[0].Value, &other) == nil && other.Name != l.owner.Name {
				return fmt.Errorf("%w: %s, process %d", ErrHeld, other.Name, other.PID)
			}
			write.Kind, write.CAS = memcache.CAS, ops[0].CAS
		}
		ops[0] = write
		if err := l.store.Do(ctx, ops[:]); err != nil {
			return err
		}
		if ops[0].Err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: somebody else is taking it", ErrHeld)
}

// Free gives the lease up, if it is ours.
func (l *Lease) Free(ctx context.Context) {
	ops := [1]memcache.Op{{Kind: memcache.Get, Key: l.key}}
	if l.store.Do(ctx, ops[:]) != nil || ops[0].Err != nil {
		return
	}
	var other owner
	if json.Unmarshal(ops[0].Value, &other) == nil && other == l.owner {
		ops[0] = memcache.Op{Kind: memcache.Delete, Key: l.key}
		l.store.Do(ctx, ops[:])
	}
}
