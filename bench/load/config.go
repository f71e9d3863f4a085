package load

import (
	"errors"
	"strconv"
	"time"

	"sluice/bench/load/arrival"
	"sluice/bench/load/record"
	"sluice/bench/load/scenario"
	"sluice/bench/load/token"
)

// Config is one run.
type Config struct {
	Targets []string          // http://host:port; connections are spread over them
	Program *scenario.Program // what each user does

	Curve    arrival.Curve // open loop: when users arrive
	Closed   bool          // closed loop: Connections users at once, each followed by the next
	Poisson  bool          // exponential steps between arrivals
	Seed     uint64        // of everything random
	RunUp    time.Duration // before the measured part; part of the curve's time
	Duration time.Duration // measured part

	Connections    int           // opened before the start; zero value means 64
	MaxConnections int           // zero value means the larger of Connections and 4096
	NewConnections bool          // one connection a request
	Timeout        time.Duration // of a request, waiting included; zero value means 10 s
	Loops          int           // threads; zero value means 1
	Spin           time.Duration // spin instead of sleeping when an arrival is that near
	MaxUsers       int           // in flight over all loops; zero value means 200,000
	MaxLag         time.Duration // p99 of lag above it makes the run invalid; zero value means 10 ms

	Run string // ${run} of the scenario; zero value means one that no other run has

	Part, Parts int       // this process runs part Part (from 0) of Parts; zero value means all
	StartAt     time.Time // several workers start together; zero value means now

	Minter  *token.Minter // nil: no Authorization header
	Headers string        // further header lines, each ending with CRLF

	OnFund  func(id string, fen int64)                    // a red packet was funded by a step
	Measure func(begin bool)                              // at both ends of the measured part
	View    func(rs []*record.Recorder, at time.Duration) // every ViewEvery, when set
}

// ViewEvery is how often Config.View is called.
const ViewEvery = 500 * time.Millisecond

// ErrConfig is wrapped by errors about a Config.
var ErrConfig = errors.New("load cannot be run")

func (c *Config) defaults() error {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.Connections, 64)
	def(&c.MaxConnections, max(c.Connections, 4096))
	def(&c.Loops, 1)
	def(&c.MaxUsers, 200_000)
	def(&c.Parts, 1)
	if c.Run == "" {
		c.Run = strconv.FormatInt(time.Now().UnixNano(), 36)
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.MaxLag <= 0 {
		c.MaxLag = 10 * time.Millisecond
	}
	c.Connections = min(c.Connections, c.MaxConnections)
	c.Loops = min(c.Loops, c.Connections)
	bad := func(text string) error { return errors.Join(ErrConfig, errors.New(text)) }
	switch {
	case len(c.Targets) == 0:
		return bad("no target")
	case c.Program == nil:
		return bad("no scenario")
	case c.Curve == nil && !c.Closed:
		return bad("no arrival curve")
	case c.Duration <= 0:
		return bad("duration must be above 0")
	case c.Part < 0 || c.Part >= c.Parts:
		return bad("part must be from 1 to the number of parts")
	}
	return nil
}
