package warmup

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"sluice/cachesync/memcache"
)

// Region is a target: the memcached nodes of one region.
type Region struct {
	Name    string
	Servers []string
}

// Config of a Run. Set, Feed, Regions and StatePath are required.
type Config struct {
	Set       string // names the state and the lease: "users"
	Feed      Feed
	Regions   []Region
	StatePath string // position and lock; see package state
	Restart   bool   // forget the saved position

	Before time.Time // deadline; zero value means none
	GoOn   bool      // do not stop at the deadline (the run is late all the same)

	Rate       float64 // records a second and region; zero value means no limit
	SourceRate float64 // rows a second from the source; zero value means no limit
	Expect     int64   // fewer rows than this is a source that ended early; zero value means any number

	MaxBad  float64   // fraction of bad rows that fails the run; zero value means 0.01 (negative: none may be bad)
	Rejects io.Writer // gets the first MaxRejects bad rows as JSON lines; may be nil
	MaxKept int       // rejects; zero value means 1000

	Coverage float64       // the lower bound that must be proved; zero value means 0.99
	Sample   int           // keys read back; zero value means 10000
	NoFit    bool          // write although the set does not fit
	WaitNode time.Duration // how long a lost node is waited for at the end; zero value means 30 s
	Stay     time.Duration // stay after the proof and warm again the nodes that lose their data; zero value means not at all

	PressureURL    string        // of a gateway's /metrics; empty means memcached alone is watched
	PressureMetric string        // a histogram there; zero value means sluice_request_seconds
	PressureMax    time.Duration // mean above which the rate is halved; zero value means 20 ms
	PressureToken  string        // bearer token for it

	Batch   int // records; zero value means 500
	Workers int // batches in flight per region; zero value means 4

	Watcher Watcher                                                 // sees progress; may be nil
	Alarm   func(Alarm)                                             // may be nil
	HTTP    *http.Client                                            // for PressureURL; zero value means a client with 2 s timeout
	Clock   func() time.Time                                        // zero value means time.Now
	Log     *slog.Logger                                            // zero value means silence
	Client  func(Region, memcache.Events) (*memcache.Client, error) // zero value means memcache.New
}

// Watcher is told of the progress, once a second and at the end.
type Watcher interface {
	Watch(p Progress)
}

// Alarm is what the webhook gets.
type Alarm struct {
	Set     string    `json:"set"`
	Kind    string    `json:"kind"` // "will_be_late", "in_time_again", "late", "coverage", "source", "target", "refused"
	Message string    `json:"message"`
	At      time.Time `json:"at"`
	Host    string    `json:"host"`
}

func (c Config) withDefaults() Config {
	if c.MaxBad == 0 {
		c.MaxBad = 0.01
	}
	if c.MaxKept == 0 {
		c.MaxKept = 1000
	}
	if c.Coverage == 0 {
		c.Coverage = 0.99
	}
	if c.Sample <= 0 {
		c.Sample = 10_000
	}
	if c.WaitNode <= 0 {
		c.WaitNode = 30 * time.Second
	}
	if c.PressureMetric == "" {
		c.PressureMetric = "sluice_request_seconds"
	}
	if c.PressureMax <= 0 {
		c.PressureMax = 20 * time.Millisecond
	}
	if c.Batch <= 0 {
		c.Batch = 500
	}
	if c.Workers <= 0 {
		c.Workers = 4
	}
	if c.Alarm == nil {
		c.Alarm = func(Alarm) {}
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 2 * time.Second}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Client == nil {
		c.Client = func(r Region, e memcache.Events) (*memcache.Client, error) {
			// A batch is large: two seconds before a node counts as stuck.
			return memcache.New(memcache.Config{Servers: r.Servers, Timeout: 2 * time.Second, Events: e})
		}
	}
	return c
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
