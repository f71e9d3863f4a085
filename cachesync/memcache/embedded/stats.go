package embedded

import (
	"fmt"
	"strconv"
)

// stats answers "stats", "stats settings", "stats items", "stats slabs",
// "stats conns" and "stats reset"; there is one slab class, number 1.
func (c *conn) stats(f [][]byte) {
	if len(f) == 1 {
		c.general()
		return
	}
	st := c.s.store
	switch string(f[1]) {
	case "reset":
		st.lock()
		st.count = counters{}
		st.mu.Unlock()
		c.text("RESET\r\n")
		return
	case "settings":
		c.stat("maxbytes", strconv.FormatInt(c.s.cfg.MaxBytes, 10))
		c.stat("maxconns", strconv.Itoa(c.s.cfg.MaxConns))
		c.stat("item_size_max", strconv.Itoa(c.s.cfg.MaxValueBytes))
		c.stat("evictions", "on")
		c.stat("cas_enabled", "yes")
		c.stat("flush_enabled", "yes")
		c.stat("idle_timeout", strconv.Itoa(int(c.s.cfg.IdleTimeout.Seconds())))
		c.stat("binding_protocol", "ascii")
	case "items":
		st.lock()
		n, evicted := len(st.items), st.count.evictions
		st.mu.Unlock()
		if n > 0 {
			c.stat("items:1:number", strconv.Itoa(n))
			c.stat("items:1:evicted", strconv.FormatUint(evicted, 10))
		}
	case "slabs":
		st.lock()
		n, bytes := len(st.items), st.bytes
		st.mu.Unlock()
		if n > 0 {
			c.stat("1:used_chunks", strconv.Itoa(n))
			c.stat("1:mem_requested", strconv.FormatInt(bytes, 10))
		}
		c.stat("active_slabs", "1")
		c.stat("total_malloced", strconv.FormatInt(bytes, 10))
	case "conns", "sizes":
	default:
		c.text("ERROR\r\n")
		return
	}
	c.text("END\r\n")
}

func (c *conn) stat(name, value string) { c.text("STAT " + name + " " + value + "\r\n") }

func (c *conn) general() {
	c.s.mu.Lock()
	conns, total, refused := len(c.s.conns), c.s.total, c.s.refuse
	c.s.mu.Unlock()
	st := c.s.store
	now := st.lock()
	n, items, bytes := st.count, len(st.items), st.bytes
	st.mu.Unlock()
	c.stat("pid", strconv.Itoa(st.pid))
	c.stat("uptime", strconv.FormatInt(now-st.started.Unix(), 10))
	c.stat("time", strconv.FormatInt(now, 10))
	c.stat("version", Version)
	c.stat("pointer_size", "64")
	for _, s := range []struct {
		name string
		n    uint64
	}{
		{"max_connections", uint64(c.s.cfg.MaxConns)}, {"curr_connections", uint64(conns)}, {"total_connections", total}, {"rejected_connections", refused},
		{"cmd_get", n.cmdGet}, {"cmd_set", n.cmdSet}, {"cmd_flush", n.cmdFlush}, {"cmd_touch", n.cmdTouch},
		{"get_hits", n.getHits}, {"get_misses", n.getMisses}, {"get_expired", n.getExpired},
		{"delete_misses", n.deleteMisses}, {"delete_hits", n.deleteHits},
		{"incr_misses", n.incrMisses}, {"incr_hits", n.incrHits}, {"decr_misses", n.decrMisses}, {"decr_hits", n.decrHits},
		{"cas_misses", n.casMisses}, {"cas_hits", n.casHits}, {"cas_badval", n.casBadval},
		{"touch_hits", n.touchHits}, {"touch_misses", n.touchMisses},
		{"limit_maxbytes", uint64(c.s.cfg.MaxBytes)}, {"threads", 1},
		{"bytes", uint64(bytes)}, {"curr_items", uint64(items)}, {"total_items", n.totalItems},
		{"expired_unfetched", n.expiredUnfetched}, {"evictions", n.evictions},
	} {
		c.text(fmt.Sprintf("STAT %s %d\r\n", s.name, s.n))
	}
	c.text("END\r\n")
}
