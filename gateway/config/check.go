package config

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"sluice/cachesync/record"
	"sluice/gateway/redpacket"
)

// check returns everything that cannot work, whatever the role.
func (c *Config) check() []problem {
	var all []problem
	bad := func(field, format string, args ...any) {
		all = append(all, problem{field, field + ": " + fmt.Sprintf(format, args...)})
	}
	if c.Region.ID < 1 || c.Region.ID > 255 {
		bad("region.id", "%d is not in 1..255", c.Region.ID)
	}
	if !oneOf(c.Region.Class, "idc", "monthly", "burst") {
		bad("region.class", "%q is not one of idc, monthly, burst", c.Region.Class)
	}
	for field, addr := range map[string]string{"listen": c.Listen, "admin.listen": c.Admin.Listen} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			bad(field, "%q is not host:port", addr)
		}
	}
	if c.RedPackets.Parts < 1 || c.RedPackets.Parts > 64 {
		bad("redpackets.parts", "%d is not in 1..64", c.RedPackets.Parts)
	}
	if c.RedPackets.SpreadAbove < 0 {
		bad("redpackets.spread_above", "%d is negative; 0 spreads only what asks for it", c.RedPackets.SpreadAbove)
	}
	addrs := func(field string, all []string) {
		for i, s := range all {
			if _, _, err := net.SplitHostPort(s); err != nil {
				bad(fmt.Sprintf("%s[%d]", field, i), "%q is not host:port", s)
			}
		}
	}
	addrs("memcached.servers", c.Memcached.Servers)
	addrs("redis.addrs", c.Redis.Addrs)
	for i, r := range c.Regions {
		at := fmt.Sprintf("regions[%d]", i)
		if r.Name == "" || r.Name == c.Region.Name {
			bad(at+".name", "%q is empty, or this region", r.Name)
		}
		addrs(at+".memcached", r.Memcached)
	}
	if c.Sync.Region != "" || len(c.Sync.Homes) > 0 {
		for _, p := range c.Syncing().Problems() {
			bad(strings.TrimSuffix("sync."+p.Field, "."), "%s", p.Text)
		}
	}
	c.checkRelay(bad)
	addrs("relay.addrs", c.Relay.Addrs)
	if len(c.Redis.Addrs) > 1 && !c.Redis.Cluster {
		bad("redis.addrs", "several addresses need cluster: true")
	}
	if c.Redis.Replicas > 0 && c.Redis.Cluster {
		bad("redis.replicas", "is for one Redis with replicas, not for a cluster")
	}
	if c.Secret != "" && len(c.Secret) < 32 {
		bad("secret", "has %d characters, at least 32 are needed", len(c.Secret))
	}
	if c.Admin.Token != "" && len(c.Admin.Token) < 16 {
		bad("admin.token", "has %d characters, at least 16 are needed", len(c.Admin.Token))
	}
	if dsn := c.Ledger.DSN; dsn != "" && !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") && !strings.HasPrefix(dsn, "sqlite:") {
		bad("ledger.dsn", "must begin with postgres:// or sqlite:")
	}
	if u := c.Ledger.URL; u != "" && !isHTTP(u) {
		bad("ledger.url", "must begin with http:// or https://")
	}
	for id, u := range c.Ledger.Far {
		if field := fmt.Sprintf("ledger.far.%d", id); !isHTTP(u) {
			bad(field, "must begin with http:// or https://")
		} else if id == c.HomeID() || c.home(id) == nil {
			bad(field, "is not the id of another home in sync.homes")
		}
	}
	if !oneOf(c.Payout.Provider, "auto", "webhook") {
		bad("payout.provider", "%q is not one of auto, webhook", c.Payout.Provider)
	}
	if c.Payout.Provider == "webhook" && (c.Payout.URL == "" || len(c.Payout.Secret) < 32) {
		bad("payout", "the webhook provider needs url, and a secret of at least 32 characters")
	}
	if !oneOf(c.Payment.Provider, "auto", "webhook") {
		bad("payment.provider", "%q is not one of auto, webhook", c.Payment.Provider)
	}
	if c.Payment.Provider == "webhook" && (c.Payment.URL == "" || len(c.Payment.Secret) < 32) {
		bad("payment", "the webhook provider needs url, and a secret of at least 32 characters")
	}
	for i, cidr := range c.Limits.TrustedProxies {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			bad(fmt.Sprintf("limits.trusted_proxies[%d]", i), "%q is not a CIDR such as 10.0.0.0/8", cidr)
		}
	}
	c.checkKeys(bad)
	c.checkSigns(bad)
	c.checkUsers(bad)
	return all
}

func isHTTP(url string) bool {
	return strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://")
}

// checkRelay checks how this region reaches the homes of others.
func (c *Config) checkRelay(bad func(field, format string, args ...any)) {
	if c.Relay.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Relay.Listen); err != nil {
			bad("relay.listen", "%q is not host:port", c.Relay.Listen)
		}
	}
	if len(c.Relay.Addrs) > redpacket.MaxRelays {
		bad("relay.addrs", "names %d relays, at most %d are used", len(c.Relay.Addrs), redpacket.MaxRelays)
	}
	used := c.Relay.Listen != "" || len(c.Relay.Addrs) > 0
	if n := len(c.Relay.Secret); used && n < 16 || n > 0 && n < 16 {
		bad("relay.secret", "has %d characters, at least 16 are needed", n)
	}
	if used && len(c.FarHomes()) == 0 {
		bad("relay", "leads nowhere: give sync.homes of other regions their id")
	}
	for i, h := range c.Sync.Homes {
		if h.Name == c.Region.Name && h.ID != 0 && h.ID != c.Region.ID {
			bad(fmt.Sprintf("sync.homes[%d].id", i), "%d is not region.id, which is %d", h.ID, c.Region.ID)
		}
	}
	switch {
	case c.Region.Home < 0 || c.Region.Home > 255:
		bad("region.home", "%d is not in 1..255", c.Region.Home)
	case !c.IsHome() && c.home(c.Region.Home) == nil:
		bad("region.home", "%d is the id of none of sync.homes", c.Region.Home)
	}
}

func (c *Config) checkKeys(bad func(field, format string, args ...any)) {
	seen := map[string]bool{}
	for i, k := range c.Tokens.Keys {
		at := fmt.Sprintf("tokens.keys[%d]", i)
		if k.ID == "" || seen[k.ID] {
			bad(at+".id", "%q is empty or used twice", k.ID)
		}
		seen[k.ID] = true
		switch k.Algorithm {
		case "HS256":
			if len(k.Secret) < 32 {
				bad(at+".secret", "HS256 needs at least 32 characters")
			}
			if k.PublicKey != "" || k.PrivateKey != "" {
				bad(at, "an HS256 key has a secret only")
			}
		case "EdDSA":
			if !is32(k.PublicKey) || (k.PrivateKey != "" && !is32(k.PrivateKey)) {
				bad(at+".public_key", "EdDSA needs the base64 of 32 bytes")
			}
			if k.Secret != "" {
				bad(at+".secret", "an EdDSA key has no shared secret")
			}
		default:
			bad(at+".algorithm", "%q is not one of HS256, EdDSA", k.Algorithm)
		}
	}
}

// checkUsers looks at the user service.
func (c *Config) checkUsers(bad func(field, format string, args ...any)) {
	if u, err := url.Parse(c.Users.URL); err != nil || c.Users.URL != "" && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		bad("users.url", "%q is not an http or https URL", c.Users.URL)
	}
	if c.Users.PerSecond < 0 {
		bad("users.per_second", "%v is below zero", c.Users.PerSecond)
	}
	if c.Users.Epoch > record.MaxEpoch {
		bad("users.epoch", "%d is not in 0..%d", c.Users.Epoch, record.MaxEpoch)
	}
}

// checkSigns refuses what is below zero: every number here counts something.
func (c *Config) checkSigns(bad func(field, format string, args ...any)) {
	for field, n := range map[string]int64{
		"limits.connections": int64(c.Limits.Connections), "limits.connections_per_ip": int64(c.Limits.ConnectionsPerIP),
		"limits.header_bytes": int64(c.Limits.HeaderBytes), "limits.body_bytes": int64(c.Limits.BodyBytes),
		"limits.in_flight": int64(c.Limits.InFlight), "payout.tries": int64(c.Payout.Tries), "redis.replicas": int64(c.Redis.Replicas),
		"lua.instructions": c.Lua.Instructions, "lua.memory_bytes": c.Lua.MemoryBytes,
		"lua.total_memory_bytes": c.Lua.TotalMemoryBytes, "lua.calls": int64(c.Lua.Calls), "lua.subrequests": int64(c.Lua.Subrequests), "lua.timers": int64(c.Lua.Timers),
		"lua.output_bytes": c.Lua.OutputBytes, "lua.vms": int64(c.Lua.VMs), "lua.max_requests": int64(c.Lua.MaxRequests),
	} {
		if n < 0 {
			bad(field, "%d is below zero", n)
		}
	}
	for field, d := range map[string]time.Duration{
		"memcached.timeout": c.Memcached.Timeout, "redis.timeout": c.Redis.Timeout, "payment.within": c.Payment.Within, "tokens.leeway": c.Tokens.Leeway,
		"limits.read_timeout": c.Limits.ReadTimeout, "limits.write_timeout": c.Limits.WriteTimeout,
		"limits.idle_timeout": c.Limits.IdleTimeout, "lua.wall_time": c.Lua.WallTime, "rooms.token_life": c.Rooms.TokenLife,
	} {
		if d < 0 {
			bad(field, "%v is below zero", d)
		}
	}
}

// Role names what a process needs from the file.
type Role string

const (
	RoleGateway Role = "gateway"
	RoleSettle  Role = "settle"
	RoleSync    Role = "sync"
)

// Need refuses a file that lacks what the role cannot do without.
func (c Config) Need(role Role) error {
	missing := func(field, why string) error {
		return fmt.Errorf("config: `sluice %s` needs %s: %s", role, field, why)
	}
	switch {
	case c.Secret == "":
		return missing("secret", "it signs the ids of red packets; at least 32 characters, e.g. ${SLUICE_SECRET}")
	case role == RoleSettle && !c.IsHome():
		return missing("a home", "region.home says that this region's is another: settle runs where the ledger and the home are")
	case role == RoleGateway && !c.IsHome() && len(c.Relay.Addrs) == 0:
		return missing("relay.addrs", "region.home is another region's, and is reached through the relays of this one")
	case len(c.Redis.Addrs) == 0:
		return missing("redis.addrs", "the home's Redis, such as [127.0.0.1:6379]")
	case role != RoleSettle && len(c.Memcached.Servers) == 0:
		return missing("memcached.servers", "the region's cache, such as [127.0.0.1:11211]")
	case role == RoleGateway && len(c.Tokens.Keys) == 0:
		return missing("tokens.keys", "users' tokens are checked with them")
	case role == RoleSettle && c.Ledger.DSN == "":
		return missing("ledger.dsn", "such as postgres://sluice@127.0.0.1/sluice, or sqlite:/var/lib/sluice/ledger.db")
	case c.Admin.Token == "":
		return missing("admin.token", "at least 16 characters, e.g. ${SLUICE_ADMIN_TOKEN}")
	}
	return nil
}

func oneOf(s string, all ...string) bool {
	for _, a := range all {
		if s == a {
			return true
		}
	}
	return false
}

func is32(s string) bool {
	b, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(b) == 32
}
