package cachesync

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// Config of a Syncer. It is the `sync:` part of sluice.yaml; its comments are the manual.
type Config struct {
	// Region is this region's name, as others see it: [a-z0-9-], required.
	Region string `yaml:"region"`
	// Class is idc, monthly or burst; zero value means idc.
	Class string `yaml:"class"`
	// Memcached lists the nodes of this region's cache, required unless a Store is given.
	Memcached []string `yaml:"memcached"`
	// Homes lists every home whose changes are brought here, this region's own too, required.
	Homes []Home `yaml:"homes"`
	// Control is the Redis in which regions find each other. Without it this region stands
	// alone: it neither registers nor looks for others.
	Control Redis `yaml:"control"`
	// Lease is how long a region that says nothing is still there; zero value means 10 s.
	Lease time.Duration `yaml:"lease"`
	// Grace is how long after its lease a lost region may come back as if nothing had been;
	// zero value means 30 s.
	Grace time.Duration `yaml:"grace"`
	// LogCapBytes bounds all change logs of this region's own home; who falls behind it joins
	// again. Zero value means 512 MB.
	LogCapBytes int64 `yaml:"log_cap_bytes"`
	// PendingBytes bounds what is read from one home and not yet written; zero value means
	// 256 MB.
	PendingBytes int `yaml:"pending_bytes"`
	// RelayListen is where other regions' Syncers get this region's own change log: host:port.
	// Zero value means no relay: they read from Redis itself.
	RelayListen string `yaml:"relay_listen"`
	// Invalidations is where gateways of this region hear which keys changed: host:port. Zero
	// value means that nobody hears; process-local copies then live for 20 ms at most.
	Invalidations string `yaml:"invalidations"`
	// ProbeEvery is how many written records one is read back of; zero value means 1000.
	ProbeEvery int `yaml:"probe_every"`
	// AgainPerSecond is how many records a second of this region's own home are sent again to
	// all regions, under the versions they have, so that a difference nobody knows of does not
	// last: anti-entropy. Zero value means 200; -1 means none.
	AgainPerSecond int `yaml:"again_per_second"`
}

// Home is the Redis of one home.
type Home struct {
	// Name of the home's region, required.
	Name string `yaml:"name"`
	// ID is the number of the home's region (its region.id), 1..255: draws from this region
	// find the home by it. Zero value means that no draw goes there from here.
	ID int `yaml:"id"`
	// Redis of the home, required.
	Redis Redis `yaml:"redis"`
	// Relay is the host:port at which the home's own Syncer sends its change log (its
	// relay_listen). Over a line with a delay it saves the way of each question. Zero value
	// means that the log is read from Redis itself.
	Relay string `yaml:"relay"`
	// Replicas of this Redis that must have a change before it is shown here, as redis.replicas
	// of the home says. Zero value means none. One Redis only, not a cluster.
	Replicas int `yaml:"replicas"`
}

// Redis says how to reach a Redis.
type Redis struct {
	// Addrs: one host:port, or several nodes of a cluster.
	Addrs    []string `yaml:"addrs"`
	Username string   `yaml:"username"`
	Password string   `yaml:"password"`
	// Cluster says that it is a Redis Cluster: each bucket is then read on its own connection.
	Cluster bool `yaml:"cluster"`
	// Replicas is how many replicas must have a win before the relay tells it; one Redis only,
	// as redis.replicas.
	Replicas int `yaml:"replicas"`
}

// ErrConfig is what every complaint about a Config wraps.
var ErrConfig = errors.New("cachesync: configuration")

// FieldError is one thing wrong with a Config.
type FieldError struct {
	Field string // such as homes[1].redis.addrs[0]
	Text  string
}

func (e *FieldError) Error() string { return ErrConfig.Error() + ": " + e.Field + ": " + e.Text }

// Unwrap makes it an ErrConfig.
func (e *FieldError) Unwrap() error { return ErrConfig }

// Classes of regions.
const (
	ClassIDC     = "idc"
	ClassMonthly = "monthly"
	ClassBurst   = "burst"
)

// Check reports all that cannot work.
func (c Config) Check() error {
	var all []error
	for _, e := range c.Problems() {
		all = append(all, e)
	}
	return errors.Join(all...)
}

// Problems are all that cannot work, each with the field it stands in.
func (c Config) Problems() (all []*FieldError) {
	bad := func(field, format string, args ...any) {
		all = append(all, &FieldError{field, fmt.Sprintf(format, args...)})
	}
	if !legalName(c.Region) {
		bad("region", "%q is not a name of 1-32 characters [a-z0-9-]", c.Region)
	}
	if c.Class != "" && !slices.Contains([]string{ClassIDC, ClassMonthly, ClassBurst}, c.Class) {
		bad("class", "%q is not one of idc, monthly, burst", c.Class)
	}
	if len(c.Homes) == 0 {
		bad("homes", "is empty: there is nothing to bring here")
	}
	seen, ids := map[string]bool{}, map[int]bool{}
	for i, h := range c.Homes {
		at := fmt.Sprintf("homes[%d]", i)
		if !legalName(h.Name) || seen[h.Name] {
			bad(at+".name", "%q is not a name of 1-32 characters [a-z0-9-], or stands twice", h.Name)
		}
		seen[h.Name] = true
		if h.ID < 0 || h.ID > 255 || h.ID != 0 && ids[h.ID] {
			bad(at+".id", "%d is not in 1..255, or stands twice", h.ID)
		}
		ids[h.ID] = true
		if h.Redis.Replicas < 0 || h.Redis.Replicas > 0 && h.Redis.Cluster {
			bad(at+".redis.replicas", "%d: is not below zero, and for one Redis with replicas, not for a cluster", h.Redis.Replicas)
		}
		if len(h.Redis.Addrs) == 0 {
			bad(at+".redis.addrs", "is empty")
		}
		checkAddrs(bad, at+".redis.addrs", h.Redis.Addrs)
		if h.Relay != "" {
			checkAddrs(bad, at+".relay", []string{h.Relay})
		}
		if h.Replicas < 0 || h.Replicas > 0 && h.Redis.Cluster {
			bad(at+".replicas", "%d is below zero, or for a cluster", h.Replicas)
		}
		if len(h.Redis.Addrs) > 1 && !h.Redis.Cluster {
			bad(at+".redis.addrs", "several addresses need cluster: true")
		}
	}
	checkAddrs(bad, "memcached", c.Memcached)
	checkAddrs(bad, "control.addrs", c.Control.Addrs)
	for field, d := range map[string]time.Duration{"lease": c.Lease, "grace": c.Grace} {
		if d < 0 {
			bad(field, "%s is below zero", d)
		}
	}
	if c.LogCapBytes < 0 || c.PendingBytes < 0 || c.ProbeEvery < 0 {
		bad("", "log_cap_bytes, pending_bytes and probe_every may not be below zero")
	}
	if c.AgainPerSecond < -1 {
		bad("again_per_second", "%d: a number, 0 for 200, or -1 for none", c.AgainPerSecond)
	}
	return all
}

func checkAddrs(bad func(field, format string, args ...any), field string, addrs []string) {
	for i, a := range addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			bad(fmt.Sprintf("%s[%d]", field, i), "%q is not host:port", a)
		}
	}
}

func legalName(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for _, r := range s {
		if r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}
