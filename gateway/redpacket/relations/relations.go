package relations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Relations tells who is a fan of whom.
type Relations interface {
	Fan(ctx context.Context, sender, fan string) (bool, error)
}

// HTTP asks a relation service.
type HTTP struct {
	URL    string
	Token  string       // sent as a bearer token, if set
	Client *http.Client // nil means http.DefaultClient; a question ends after 300 ms anyway
}

// timeout ends a question: a draw does not wait longer for a relation.
const timeout = 300 * time.Millisecond

// Fan implements Relations.
func (h *HTTP) Fan(ctx context.Context, sender, fan string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"?"+url.Values{"sender": {sender}, "fan": {fan}}.Encode(), nil)
	if err != nil {
		return false, fmt.Errorf("relations: %w", err)
	}
	if h.Token != "" {
		req.Header.Set("Authorization", "Bearer "+h.Token)
	}
	client := h.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return false, fmt.Errorf("relations: asking the service: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return false, fmt.Errorf("relations: reading the answer: %w", err)
	}
	var told struct {
		Fan *bool `json:"fan"`
	}
	if res.StatusCode != http.StatusOK || json.Unmarshal(body, &told) != nil || told.Fan == nil {
		return false, fmt.Errorf("relations: the service answered %d, want 200 {\"fan\":true or false}", res.StatusCode)
	}
	return *told.Fan, nil
}

// CacheConfig bounds a Cached.
type CacheConfig struct {
	Yes, No time.Duration    // how long answers are kept; 0 means 10 min and 10 s
	Max     int              // answers kept; 0 means 262144
	Now     func() time.Time // nil means time.Now
}

// Cached keeps the answers of another Relations; a question under way is asked once.
type Cached struct {
	next   Relations
	cfg    CacheConfig
	flight singleflight.Group
	mu     sync.RWMutex
	have   map[[2]string]answer
}

type answer struct {
	fan   bool
	until time.Time
}

// NewCached puts a cache before next.
func NewCached(next Relations, cfg CacheConfig) (*Cached, error) {
	if next == nil {
		return nil, errors.New("relations: a cache needs something to ask")
	}
	if cfg.Yes <= 0 {
		cfg.Yes = 10 * time.Minute
	}
	if cfg.No <= 0 {
		cfg.No = 10 * time.Second
	}
	if cfg.Max <= 0 {
		cfg.Max = 1 << 18
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Cached{next: next, cfg: cfg, have: map[[2]string]answer{}}, nil
}

// Fan implements Relations.
func (c *Cached) Fan(ctx context.Context, sender, fan string) (bool, error) {
	key := [2]string{sender, fan}
	c.mu.RLock()
	a, ok := c.have[key]
	c.mu.RUnlock()
	if ok && c.cfg.Now().Before(a.until) {
		return a.fan, nil
	}
	v, err, _ := c.flight.Do(sender+"\x00"+fan, func() (any, error) {
		is, err := c.next.Fan(ctx, sender, fan)
		if err == nil {
			c.put(key, is)
		}
		return is, err
	})
	if err != nil {
		return false, err
	}
	return v.(bool), nil
}

func (c *Cached) put(key [2]string, is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.have) >= c.cfg.Max {
		for old := range c.have { // any one: the order of a map is chance enough
			delete(c.have, old)
			break
		}
	}
	keep := c.cfg.No
	if is {
		keep = c.cfg.Yes
	}
	c.have[key] = answer{is, c.cfg.Now().Add(keep)}
}
