package regex

import (
	"container/list"
	"sync"

	"sluice/lua/regex/pcre"
)

// Cache keeps compiled patterns, a bounded number of them, least recently
// used out first. All VMs of a process may share one.
type Cache struct {
	mu    sync.Mutex
	most  int
	byKey map[cacheKey]*list.Element
	order *list.List // of *cached, the last used in front
}

type cacheKey struct {
	pattern string
	opts    pcre.Options
}

type cached struct {
	key cacheKey
	re  *compiled
}

// NewCache makes a cache of at most n patterns (OpenResty's
// lua_regex_cache_max_entries is 1024).
func NewCache(n int) *Cache {
	return &Cache{most: n, byKey: map[cacheKey]*list.Element{}, order: list.New()}
}

// Len is how many patterns are in it.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}

func (c *Cache) get(k cacheKey) *compiled {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[k]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).re
}

func (c *Cache) put(k cacheKey, re *compiled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[k] != nil || c.most <= 0 {
		return
	}
	for c.order.Len() >= c.most {
		oldest := c.order.Back()
		delete(c.byKey, oldest.Value.(*cached).key)
		c.order.Remove(oldest)
	}
	c.byKey[k] = c.order.PushFront(&cached{k, re})
}

// compiled is a pattern with what results need of it.
type compiled struct {
	*pcre.Regexp
	names []pcre.Name
}

// compile finds or makes a pattern; once is the "o" option.
func (c *Cache) compile(pattern string, o pcre.Options, once bool) (*compiled, error) {
	k := cacheKey{pattern, o}
	if once && c != nil {
		if re := c.get(k); re != nil {
			return re, nil
		}
	}
	re, err := pcre.Compile(pattern, o)
	if err != nil {
		return nil, err
	}
	out := &compiled{re, re.Names()}
	if once && c != nil {
		// The key outlives the request: it must not hold on to a larger text.
		k.pattern = string([]byte(pattern))
		c.put(k, out)
	}
	return out, nil
}
