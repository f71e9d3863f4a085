package token

import (
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// cache keeps tokens that were found valid: a user comes several times in the
// minute, and an Ed25519 signature costs more than all else the gateway does for him.
// Each part holds two generations; when the young one is full it becomes the
// old one, so that the bound holds and what is in use survives.
type cache struct {
	parts [64]part
	limit int
}

type part struct {
	mu         sync.Mutex
	young, old map[string]Claims
	_          [40]byte // parts on cache lines of their own
}

func newCache(limit int) *cache { return &cache{limit: limit / 128} }

func (c *cache) part(text string) *part { return &c.parts[xxhash.Sum64String(text)%64] }

func (c *cache) get(text string) (Claims, bool) {
	p := c.part(text)
	p.mu.Lock()
	defer p.mu.Unlock()
	if claims, ok := p.young[text]; ok {
		return claims, true
	}
	claims, ok := p.old[text]
	if ok {
		p.put(strings.Clone(text), claims, c.limit)
	}
	return claims, ok
}

func (c *cache) put(text string, claims Claims) {
	p := c.part(text)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(strings.Clone(text), claims, c.limit) // text may live in a request's buffer
}

func (p *part) put(text string, claims Claims, limit int) {
	if len(p.young) >= limit {
		p.old, p.young = p.young, nil
	}
	if p.young == nil {
		p.young = make(map[string]Claims, limit)
	}
	p.young[text] = claims
}
