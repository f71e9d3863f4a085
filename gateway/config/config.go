package config

import (
	"time"

	"sluice/cachesync"
)

// Config is the whole of sluice.yaml.
type Config struct {
	// Region is where this process runs.
	Region Region `yaml:"region"`
	// Listen is the public address; "" means 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// Admin is the listener of the operators.
	Admin Admin `yaml:"admin"`
	// Data is the folder for what this process keeps on its own disk: the last
	// bundles, and the SQLite ledger; "" means ./data.
	Data string `yaml:"data"`
	// Scripts is the folder of routes.yaml and the Lua handlers; "" means
	// ./scripts.
	Scripts string `yaml:"scripts"`
	// Secret signs the ids of red packets and derives what must not be
	// guessed; at least 32 characters, the same in all processes and regions.
	Secret string `yaml:"secret"`
	// Tokens are the keys that users' tokens are checked with.
	Tokens Tokens `yaml:"tokens"`
	// Memcached is the region's cache tier.
	Memcached Memcached `yaml:"memcached"`
	// Redis is the home's Redis: the truth of red packets and rooms.
	Redis Redis `yaml:"redis"`
	// Ledger is the durable record of money.
	Ledger Ledger `yaml:"ledger"`
	// RedPackets says how hot red packets are spread.
	RedPackets RedPackets `yaml:"redpackets"`
	// Payment says how senders pay for red packets.
	Payment Payment `yaml:"payment"`
	// Relay carries draws to the homes of other regions.
	Relay Relay `yaml:"relay"`
	// Relations is the service that knows who follows whom, for the audience
	// fans.
	Relations Relations `yaml:"relations"`
	// Users is the service that knows the users' state.
	Users Users `yaml:"users"`
	// Payout says where money goes once it is won.
	Payout Payout `yaml:"payout"`
	// Rooms says how viewers reach the room nodes.
	Rooms Rooms `yaml:"rooms"`
	// Limits bound what a client may ask of the public listener.
	Limits Limits `yaml:"limits"`
	// Lua bounds what a handler may use.
	Lua Lua `yaml:"lua"`
	// Regions are the other regions, which `sluice warm` loads from here too.
	Regions []OtherRegion `yaml:"regions"`
	// Sync says which homes' changes this region's cache follows. Left out: its
	// own home's only. region, class and memcached are taken from above.
	Sync cachesync.Config `yaml:"sync"`
}

// HomeID is the number of the home that this region funds at.
func (c Config) HomeID() int {
	if c.Region.Home != 0 {
		return c.Region.Home
	}
	return c.Region.ID
}

// HomeName is the name of that home among those that are synced.
func (c Config) HomeName() string {
	if h := c.home(c.HomeID()); h != nil {
		return h.Name
	}
	return c.Syncing().Region
}

// FarHomes are the homes that this region reaches through its relays.
func (c Config) FarHomes() (far []cachesync.Home) {
	for _, h := range c.Sync.Homes {
		if h.ID != 0 && h.ID != c.Region.ID {
			far = append(far, h)
		}
	}
	return far
}

// IsHome says whether this region has a home of its own.
func (c Config) IsHome() bool { return c.HomeID() == c.Region.ID }

// home finds one of sync.homes by its number.
func (c Config) home(id int) *cachesync.Home {
	for i := range c.Sync.Homes {
		if c.Sync.Homes[i].ID == id {
			return &c.Sync.Homes[i]
		}
	}
	return nil
}

// Syncing is the configuration of this region's syncer, with what stands
// elsewhere in the file filled in.
func (c Config) Syncing() cachesync.Config {
	s := c.Sync
	if s.Region == "" {
		s.Region = c.Region.Name
	}
	if s.Class == "" {
		s.Class = c.Region.Class
	}
	if len(s.Memcached) == 0 {
		s.Memcached = c.Memcached.Servers
	}
	if len(s.Homes) == 0 {
		s.Homes = []cachesync.Home{{Name: s.Region, Replicas: c.Redis.Replicas, Redis: cachesync.Redis{
			Addrs: c.Redis.Addrs, Username: c.Redis.Username, Password: c.Redis.Password, Cluster: c.Redis.Cluster,
		}}}
	}
	return s
}

// RedPackets says how hot red packets are spread over several buckets, and so over
// the nodes of a Redis Cluster. A fund request may ask for its own number of parts.
type RedPackets struct {
	// SpreadAbove is the count from which a red packet is spread; 0 means that
	// only those are whose fund request says so.
	SpreadAbove int64 `yaml:"spread_above"`
	// Parts is over how many buckets then, 1..64; left out it is 8. A good
	// number is twice the masters of the cluster or more.
	Parts int64 `yaml:"parts"`
}

// Region names the place a process runs in.
type Region struct {
	// Name is shown in logs and metrics; "" means "local".
	Name string `yaml:"name"`
	// ID is the number of the region in red-packet ids, 1..255; 0 means 1. It
	// must never be given to another region.
	ID int `yaml:"id"`
	// Class is idc, monthly or burst; "" means idc. A burst region is no home.
	Class string `yaml:"class"`
	// Home is the id of the region whose Redis is the home of this one's: red packets funded
	// here, rooms and users. 0 means this region itself. A region without a Redis of its own
	// (burst) names one of sync.homes; its gateways reach it through the relays.
	Home int `yaml:"home"`
}

// Relay is how gateways draw from red packets whose home is another region: they ask the
// relays of their own region, which are part of `sluice sync` and hold few connections to
// each home.
type Relay struct {
	// Listen is the private host:port at which this region's `sluice sync` is a relay to the
	// homes of sync.homes that have an id; "" means that it is none.
	Listen string `yaml:"listen"`
	// Addrs are the relays of this region, host:port: gateways use one that answers. None means
	// that they draw from this region's own home only, and find there the users and rooms that
	// are missing in memcached: right where there is no other home.
	Addrs []string `yaml:"addrs"`
	// Secret is what gateways say to a relay; at least 16 characters, the same in the region.
	Secret string `yaml:"secret"`
}

// OtherRegion is a region that this one knows.
type OtherRegion struct {
	// Name of the region.
	Name string `yaml:"name"`
	// Memcached are host:port of its nodes.
	Memcached []string `yaml:"memcached"`
}

// Admin is the operators' listener: health, metrics, scripts, pprof.
type Admin struct {
	// Listen is its address; "" means 127.0.0.1:8081.
	Listen string `yaml:"listen"`
	// Token is the bearer token of /admin and pprof; at least 16 characters.
	Token string `yaml:"token"`
}

// Tokens are the keys of users' JWTs.
type Tokens struct {
	// Keys: a token names its key by "kid"; several keys allow rotation. The
	// first key that can sign is the one `sluice token` uses.
	Keys []Key `yaml:"keys"`
	// Leeway is allowed between clocks when exp and nbf are checked; 0 means none.
	Leeway time.Duration `yaml:"leeway"`
}

// Key is one verification key.
type Key struct {
	// ID is the token's "kid".
	ID string `yaml:"id"`
	// Algorithm is HS256 or EdDSA; a token that names another is refused.
	Algorithm string `yaml:"algorithm"`
	// Secret is the shared secret of HS256, at least 32 characters.
	Secret string `yaml:"secret"`
	// PublicKey is the Ed25519 public key, base64 of its 32 bytes.
	PublicKey string `yaml:"public_key"`
	// PrivateKey is the Ed25519 seed, base64 of its 32 bytes; only needed
	// where tokens are made.
	PrivateKey string `yaml:"private_key"`
}

// Memcached is one region's cache tier.
type Memcached struct {
	// Servers are host:port of every node.
	Servers []string `yaml:"servers"`
	// Timeout bounds one batched call; 0 means 200ms.
	Timeout time.Duration `yaml:"timeout"`
}

// Redis is a home's Redis.
type Redis struct {
	// Addrs is one address, or the seeds of a cluster.
	Addrs []string `yaml:"addrs"`
	// Cluster says that Addrs are seeds of a Redis Cluster.
	Cluster bool `yaml:"cluster"`
	// Username and Password are sent with AUTH; both "" means none.
	Username string `yaml:"username"`
	Password string `yaml:"password"`
	// Timeout bounds one call; 0 means 500ms.
	Timeout time.Duration `yaml:"timeout"`
	// Replicas is how many replicas must have a win before it is told (WAIT);
	// 0 means none, and that a disk that is lost may take wins along. One Redis
	// only, not a cluster.
	Replicas int `yaml:"replicas"`
	// UnsafeDurability lets a Redis serve that is not appendonly yes,
	// appendfsync always, noeviction. For development only: acknowledged wins
	// can be lost.
	UnsafeDurability bool `yaml:"unsafe_durability"`
}

// Ledger is where money is recorded.
type Ledger struct {
	// DSN is postgres://... or sqlite:PATH; "" means sqlite:<data>/ledger.db
	// for `sluice run`, and is an error for `sluice settle`.
	DSN string `yaml:"dsn"`
	// URL lets a gateway without a dsn ask the ledger for what Redis has
	// forgotten, and for a user's wins: the admin listener of `sluice settle`,
	// such as http://10.0.0.7:8081, whose admin.token must be the same; "" means
	// that old red packets are not found.
	URL string `yaml:"url"`
	// Far are the same of other homes, by their id in sync.homes: this region's
	// gateways ask them for old red packets of those homes.
	Far map[int]string `yaml:"far"`
}

// Payment is how senders pay.
type Payment struct {
	// Provider is auto (paid at once; for development) or webhook; "" means auto.
	Provider string `yaml:"provider"`
	// URL is asked for the money; the provider's signed callback goes to
	// POST /payments/confirm on the admin listener of `sluice settle`.
	URL string `yaml:"url"`
	// Secret signs both ways (HMAC-SHA256), at least 32 characters.
	Secret string `yaml:"secret"`
	// Within is how long a sender has to pay; 0 means 15m.
	Within time.Duration `yaml:"within"`
}

// Relations is a service that answers GET URL?sender=S&fan=F with {"fan":true}.
type Relations struct {
	// URL of the service; "" means that nobody is a fan of anybody.
	URL string `yaml:"url"`
	// Token is sent as a bearer token, if set.
	Token string `yaml:"token"`
}

// Users is where the state of a user comes from whom memcached has lost: what warm-ups load, asked
// for as package gateway/user says (HTTP). A live change is newer, and counts.
type Users struct {
	// URL of the service; "" means that there are live changes only: of whom there is none, and
	// whom memcached has lost, nothing is known until the next warm-up.
	URL string `yaml:"url"`
	// Token is sent as a bearer token, if set.
	Token string `yaml:"token"`
	// PerSecond is how many users a gateway asks it for, at most; 0 means 2000. Further ones are
	// told "later".
	PerSecond float64 `yaml:"per_second"`
	// Epoch of the source, 0..4095: the same as of `sluice warm --epoch`, and raised with it, or
	// live changes would count as older than what was warmed.
	Epoch uint64 `yaml:"epoch"`
}

// Payout is where won money goes, except what users of a rehearsal (sluice bench --rehearsal) win from its
// senders: nobody is called for that.
type Payout struct {
	// Provider is auto (pays at once; for development) or webhook; "" means auto.
	Provider string `yaml:"provider"`
	// URL receives the signed webhooks.
	URL string `yaml:"url"`
	// Secret signs them (HMAC-SHA256).
	Secret string `yaml:"secret"`
	// Tries before a pay-out becomes a dead letter; 0 means 8.
	Tries int `yaml:"tries"`
}

// Rooms is how viewers reach the room nodes.
type Rooms struct {
	// Push are the addresses of the room nodes, such as
	// ws://203.0.113.7:8080/connection/websocket; none means the public
	// listener of this gateway.
	Push []string `yaml:"push"`
	// TokenLife is how long an entry token may be used; 0 means 5m.
	TokenLife time.Duration `yaml:"token_life"`
}

// Limits bound the public listener.
type Limits struct {
	// Connections is how many may be open at once; 0 means 100000.
	Connections int `yaml:"connections"`
	// ConnectionsPerIP; 0 means no bound. Behind a proxy it bounds the proxy.
	ConnectionsPerIP int `yaml:"connections_per_ip"`
	// HeaderBytes is the most the request line and headers may take; 0 means 16384.
	HeaderBytes int `yaml:"header_bytes"`
	// BodyBytes is the most a body may take; 0 means 65536.
	BodyBytes int `yaml:"body_bytes"`
	// ReadTimeout is for one whole request; 0 means 10s.
	ReadTimeout time.Duration `yaml:"read_timeout"`
	// WriteTimeout is for one whole answer; 0 means 10s.
	WriteTimeout time.Duration `yaml:"write_timeout"`
	// IdleTimeout closes a silent keep-alive connection; 0 means 75s.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// InFlight is how many requests may be worked on at once; beyond it the
	// answer is 503 "later"; 0 means 20000.
	InFlight int `yaml:"in_flight"`
	// TrustedProxies are CIDRs whose X-Forwarded-For is believed; none means
	// that the peer's address is the client's.
	TrustedProxies []string `yaml:"trusted_proxies"`
}

// Lua bounds one handler run; a route can set its own.
type Lua struct {
	// Instructions a run may execute; 0 means 10 million.
	Instructions int64 `yaml:"instructions"`
	// WallTime a run may take; 0 means 2s.
	WallTime time.Duration `yaml:"wall_time"`
	// MemoryBytes a run may allocate; 0 means 64 MiB.
	MemoryBytes int64 `yaml:"memory_bytes"`
	// OutputBytes a run may send; 0 means 8 MiB.
	OutputBytes int64 `yaml:"output_bytes"`
	// Calls a run may make to backends (reads and writes of sockets, commands);
	// 0 means 1000.
	Calls int `yaml:"calls"`
	// Subrequests a run may make (ngx.location.capture); 0 means 200.
	Subrequests int `yaml:"subrequests"`
	// Timers a run may start; 0 means 256.
	Timers int `yaml:"timers"`
	// TotalMemoryBytes bounds what all runs hold together, beyond the first MiB
	// of each; 0 means 512 MiB.
	TotalMemoryBytes int64 `yaml:"total_memory_bytes"`
	// VMs kept ready per bundle; 0 means 4 times the processors.
	VMs int `yaml:"vms"`
	// MaxRequests is how many requests may be in handlers at once, waiting for
	// backends included, about 4 KB each; who gets no place within 100 ms is
	// told "later"; 0 means 4096.
	MaxRequests int `yaml:"max_requests"`
	// TrustedCertificates is a PEM file of the authorities that cosockets trust
	// in TLS handshakes; "" means the system's.
	TrustedCertificates string `yaml:"trusted_certificates"`
	// Unwatched turns off the watch over the scripts folder, so that only
	// `sluice script push` changes the bundle.
	Unwatched bool `yaml:"unwatched"`
}

// Default is the configuration every field left out has.
func Default() Config {
	return Config{
		Region:     Region{Name: "local", ID: 1, Class: "idc"},
		Listen:     "127.0.0.1:8080",
		Admin:      Admin{Listen: "127.0.0.1:8081"},
		Data:       "./data",
		Scripts:    "./scripts",
		Memcached:  Memcached{Timeout: 200 * time.Millisecond},
		Redis:      Redis{Timeout: 500 * time.Millisecond},
		Payment:    Payment{Provider: "auto", Within: 15 * time.Minute},
		RedPackets: RedPackets{Parts: 8},
		Payout:     Payout{Provider: "auto", Tries: 8},
		Users:      Users{PerSecond: 2000},
		Rooms:      Rooms{TokenLife: 5 * time.Minute},
		Limits: Limits{
			Connections: 100_000, HeaderBytes: 16 << 10, BodyBytes: 64 << 10,
			ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second,
			InFlight: 20_000,
		},
		Lua: Lua{Instructions: 10_000_000, WallTime: 2 * time.Second, MemoryBytes: 64 << 20, OutputBytes: 8 << 20, Calls: 1000, Subrequests: 200, Timers: 256, TotalMemoryBytes: 512 << 20, MaxRequests: 4096},
	}
}
