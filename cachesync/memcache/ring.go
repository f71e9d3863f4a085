package memcache

import (
	"fmt"
	"net"
	"slices"
	"sort"
	"strconv"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// pointsPerNode spreads the shares of nodes to within about 8 % of each other.
const pointsPerNode = 160

// Ring is a ServerSelector by consistent hashing: every server owns the arcs
// that end in its 160 points, so adding one to n moves 1/(n+1) of the keys and
// no others.
//
//	point(server, i) = xxhash64(server "-" i)
//	owner(key)       = server of the first point >= xxhash64(key)
//
// It may be used and changed from any goroutine; a change is atomic.
type Ring struct{ state atomic.Pointer[ringState] }

type ringState struct {
	addrs  []net.Addr
	hashes []uint64
	owners []int32 // index into addrs
}

type serverAddr struct{ network, addr string }

func (a *serverAddr) Network() string { return a.network }
func (a *serverAddr) String() string  { return a.addr }

// NewRing makes a ring of servers: "host:port", or a path for a unix socket.
// Names are hashed as written: give them in the same spelling everywhere.
func NewRing(servers ...string) (*Ring, error) {
	r := &Ring{}
	return r, r.SetServers(servers...)
}

// SetServers replaces the servers.
func (r *Ring) SetServers(servers ...string) error {
	s := &ringState{}
	type point struct {
		hash  uint64
		owner int32
	}
	var points []point
	for i, name := range servers {
		if slices.Contains(servers[:i], name) {
			return fmt.Errorf("memcache: server %s is named twice; name each node once", name)
		}
		network := "tcp"
		if name != "" && name[0] == '/' {
			network = "unix"
		} else if _, _, err := net.SplitHostPort(name); err != nil {
			return fmt.Errorf("memcache: server %q is not host:port or a socket path: %w", name, err)
		}
		s.addrs = append(s.addrs, &serverAddr{network, name})
		for j := range pointsPerNode {
			points = append(points, point{xxhash.Sum64String(name + "-" + strconv.Itoa(j)), int32(i)})
		}
	}
	// Equal points go to the smaller name, so that the order of servers is of no account.
	sort.Slice(points, func(a, b int) bool {
		if points[a].hash != points[b].hash {
			return points[a].hash < points[b].hash
		}
		return servers[points[a].owner] < servers[points[b].owner]
	})
	for _, p := range points {
		s.hashes = append(s.hashes, p.hash)
		s.owners = append(s.owners, p.owner)
	}
	r.state.Store(s)
	return nil
}

// PickServer is the owner of key.
func (r *Ring) PickServer(key string) (net.Addr, error) {
	s := r.state.Load()
	switch {
	case s == nil || len(s.addrs) == 0:
		return nil, ErrNoServers
	case len(s.addrs) == 1:
		return s.addrs[0], nil
	}
	h := xxhash.Sum64String(key)
	lo, hi := 0, len(s.hashes)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.hashes[mid] < h {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(s.hashes) {
		lo = 0
	}
	return s.addrs[s.owners[lo]], nil
}

// Each calls f with every server until it fails.
func (r *Ring) Each(f func(net.Addr) error) error {
	s := r.state.Load()
	if s == nil {
		return nil
	}
	for _, a := range s.addrs {
		if err := f(a); err != nil {
			return err
		}
	}
	return nil
}
