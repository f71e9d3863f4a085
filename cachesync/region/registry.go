package region

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// State of a region.
type State string

// States. Lost is never stored: it is what a region without renewal counts as.
const (
	Joining  State = "joining"
	Active   State = "active"
	Draining State = "draining"
	Lost     State = "lost"
)

// Errors of the registry.
var (
	// ErrFenced: another process has taken this region's place.
	ErrFenced = errors.New("region: another process has this region's token")
	// ErrLost: the region was away for longer than lease and grace; it must join again.
	ErrLost = errors.New("region: away for too long: it must join again")
	// ErrUnknown: no such region.
	ErrUnknown = errors.New("region: no such region")
)

// Region is one entry of the list.
type Region struct {
	Name      string   `json:"name"`
	Class     string   `json:"class"`
	Memcached []string `json:"memcached,omitempty"`
	State     State    `json:"state"`
	Token     int64    `json:"token"`
	SinceMS   int64    `json:"since_ms"` // of the state
	Report    Report   `json:"report"`

	SeenMS int64         `json:"-"` // last renewal
	Age    time.Duration `json:"-"` // since then, by Redis' clock
}

// Report is what a region tells with each renewal, for `sluice region list` and `top`.
type Report struct {
	LagMS    float64           `json:"lag_ms"`
	P50MS    float64           `json:"p50_ms"`
	P99MS    float64           `json:"p99_ms"`
	Modes    [3]int            `json:"modes"` // buckets in SET, COLLAPSE, INVALIDATE
	Applied  int64             `json:"applied"`
	Backlog  int64             `json:"backlog"`
	Gaps     int64             `json:"gaps"`
	Nines    map[string]string `json:"nines,omitempty"`  // horizon -> share of probes found here
	Proofs   map[string]Proof  `json:"proofs,omitempty"` // region -> what a home saw of its writes there
	Step     string            `json:"step,omitempty"`   // of joining
	Progress float64           `json:"progress,omitempty"`
}

// Registry is the list of regions in the control region's Redis.
type Registry struct {
	RDB          redis.UniversalClient
	Lease, Grace time.Duration // zero values mean 10 s and 30 s
}

func (r *Registry) lease() int64 {
	if r.Lease <= 0 {
		return 10_000
	}
	return r.Lease.Milliseconds()
}

func (r *Registry) grace() int64 {
	if r.Grace <= 0 {
		return 30_000
	}
	return r.Grace.Milliseconds()
}

// Every field holds "<seen ms> <token> <state> <since ms> <json of the rest>".
const parse = `
local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local now = string.format('%.0f', NOW)
local old = redis.call('HGET', KEYS[1], ARGV[1])
local seen = '0'
local token = ''
local state = ''
local since = '0'
local rest = ''
if old then
  seen = string.match(old, '^(%d+) ')
  token = string.match(old, '^%d+ (%d+) ')
  state = string.match(old, '^%d+ %d+ (%a+) ')
  since = string.match(old, '^%d+ %d+ %a+ (%d+) ')
  rest = string.match(old, '^%d+ %d+ %a+ %d+ (.*)$')
end
`

var (
	register = redis.NewScript(parse + `
local fence = string.format('%.0f', redis.call('INCR', KEYS[2]))
local kept = 'joining'
if ARGV[4] == 'joining' and state == 'draining' then
  kept = 'draining'
elseif ARGV[4] == 'active' or ARGV[4] ~= 'joining' and old and state == 'active' and NOW - tonumber(seen) < tonumber(ARGV[3]) then
  kept = 'active'
else
  since = now
end
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. fence .. ' ' .. kept .. ' ' .. since .. ' ' .. ARGV[2])
return {fence, kept}
`)
	renew = redis.NewScript(parse + `
if not old then
  return 'LOST'
end
if token ~= ARGV[2] then
  return 'FENCED'
end
if NOW - tonumber(seen) >= tonumber(ARGV[5]) then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 'LOST'
end
if ARGV[3] ~= '' and state ~= 'draining' then
  if ARGV[3] ~= state then
    since = now
  end
  state = ARGV[3]
end
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. token .. ' ' .. state .. ' ' .. since .. ' ' .. ARGV[4])
return state
`)
	drain = redis.NewScript(parse + `
if not old then
  return 'UNKNOWN'
end
if state ~= 'draining' then
  redis.call('HSET', KEYS[1], ARGV[1], seen .. ' ' .. token .. ' draining ' .. now .. ' ' .. rest)
end
return 'OK'
`)
	leave = redis.NewScript(parse + `
if old and token == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 'OK'
`)
)

var listKeys = []string{"{sluice:regions}", "{sluice:regions}:token"}

// Register takes the region's place in the list. Within lease and grace of an active region's
// last renewal it stays active (a flap, or a restart); otherwise it begins to join. A region
// that was active all the time, while the list was away, claims Active. One that claims Joining goes
// on in the same process: a drain that came meanwhile still holds.
func (r *Registry) Register(ctx context.Context, me Region, claim State) (token int64, state State, err error) {
	doc, _ := json.Marshal(me)
	res, err := register.Run(ctx, r.RDB, listKeys, me.Name, doc, r.lease()+r.grace(), string(claim)).StringSlice()
	if err != nil {
		return 0, "", fmt.Errorf("region: register %s: %w", me.Name, err)
	}
	if _, err := fmt.Sscan(res[0], &token); err != nil {
		return 0, "", fmt.Errorf("region: register %s: token %q: %w", me.Name, res[0], err)
	}
	return token, State(res[1]), nil
}

// Renew keeps the lease and tells the report; a state other than "" is set, unless the region
// is being drained. It returns the state as it stands.
func (r *Registry) Renew(ctx context.Context, me Region, token int64, want State) (State, error) {
	doc, _ := json.Marshal(me)
	res, err := renew.Run(ctx, r.RDB, listKeys, me.Name, token, string(want), doc, r.lease()+r.grace()).Text()
	switch {
	case err != nil:
		return "", fmt.Errorf("region: renew %s: %w", me.Name, err)
	case res == "LOST":
		return "", ErrLost
	case res == "FENCED":
		return "", ErrFenced
	}
	return State(res), nil
}

// Drain marks a region as leaving: everybody knows within 200 ms.
func (r *Registry) Drain(ctx context.Context, name string) error {
	res, err := drain.Run(ctx, r.RDB, listKeys, name).Text()
	if err != nil {
		return fmt.Errorf("region: drain %s: %w", name, err)
	}
	if res == "UNKNOWN" {
		return fmt.Errorf("%w: %s; `sluice region list` shows those there are", ErrUnknown, name)
	}
	return nil
}

// Leave takes a region off the list, if it still has the token.
func (r *Registry) Leave(ctx context.Context, name string, token int64) error {
	if err := leave.Run(ctx, r.RDB, listKeys, name, token).Err(); err != nil {
		return fmt.Errorf("region: leave %s: %w", name, err)
	}
	return nil
}

// List returns all regions by name. Regions without renewal for Lease are Lost; those beyond
// Grace too are left out.
func (r *Registry) List(ctx context.Context) ([]Region, error) {
	pipe := r.RDB.Pipeline()
	clock, all := pipe.Time(ctx), pipe.HGetAll(ctx, listKeys[0])
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("region: list: %w", err)
	}
	now := clock.Val().UnixMilli()
	var out []Region
	for name, text := range all.Val() {
		var one Region
		var seen, token, since int64
		var state string
		parts := strings.SplitN(text, " ", 5)
		if len(parts) != 5 || json.Unmarshal([]byte(parts[4]), &one) != nil {
			continue
		}
		if _, err := fmt.Sscan(strings.Join(parts[:4], " "), &seen, &token, &state, &since); err != nil {
			continue
		}
		one.Name, one.Token, one.State, one.SinceMS, one.SeenMS = name, token, State(state), since, seen
		one.Age = time.Duration(max(0, now-seen)) * time.Millisecond
		if now-seen >= r.lease()+r.grace() {
			continue
		}
		if now-seen >= r.lease() {
			one.State = Lost
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Region) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Present says what appliers need to know: whether regions of all three classes are there
// (joining counts; one that is lost counts until its grace is over, so that a flap changes
// nothing), and whether a burst region is being drained.
func Present(list []Region) (allClasses, burstDraining bool) {
	have := map[string]bool{}
	for _, r := range list {
		if r.State == Draining {
			if r.Class == "burst" {
				burstDraining = true
			}
			continue
		}
		have[r.Class] = true
	}
	return have["idc"] && have["monthly"] && have["burst"], burstDraining
}
