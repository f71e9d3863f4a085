package memcache

import "context"

// The methods of this file have gomemcache's names, arguments and errors.

func (c *Client) one(op Op) (Op, error) {
	ops := [1]Op{op}
	c.Do(context.Background(), ops[:])
	return ops[0], ops[0].Err
}

func (c *Client) store(kind Kind, it *Item) error {
	_, err := c.one(Op{Kind: kind, Key: it.Key, Value: it.Value, Flags: it.Flags, Expiry: it.Expiration, CAS: it.CasID})
	return err
}

// Get gets the item of key, with its CAS number, or ErrCacheMiss.
func (c *Client) Get(key string) (*Item, error) {
	op, err := c.one(Op{Kind: Gets, Key: key})
	if err != nil {
		return nil, err
	}
	return &Item{Key: key, Value: op.Value, Flags: op.Flags, CasID: op.CAS}, nil
}

// GetMulti gets many keys at once; misses are left out.
func (c *Client) GetMulti(keys []string) (map[string]*Item, error) {
	ops := make([]Op, len(keys))
	for i, k := range keys {
		ops[i] = Op{Kind: Gets, Key: k}
	}
	err := c.Do(context.Background(), ops)
	items := make(map[string]*Item, len(keys))
	for i := range ops {
		switch op := &ops[i]; {
		case op.Err == nil:
			items[op.Key] = &Item{Key: op.Key, Value: op.Value, Flags: op.Flags, CasID: op.CAS}
		case op.Err != ErrCacheMiss && err == nil:
			err = op.Err
		}
	}
	return items, err
}

// Set writes the item unconditionally.
func (c *Client) Set(it *Item) error { return c.store(Set, it) }

// Add writes the item if its key has no value, or fails with ErrNotStored.
func (c *Client) Add(it *Item) error { return c.store(Add, it) }

// Replace writes the item if its key has a value, or fails with ErrNotStored.
func (c *Client) Replace(it *Item) error { return c.store(Replace, it) }

// Append puts the value behind the existing one, or fails with ErrNotStored.
func (c *Client) Append(it *Item) error { return c.store(Append, it) }

// Prepend puts the value before the existing one, or fails with ErrNotStored.
func (c *Client) Prepend(it *Item) error { return c.store(Prepend, it) }

// CompareAndSwap writes an item that Get returned if nobody wrote it since, or
// fails with ErrCASConflict; ErrNotStored when it is gone.
func (c *Client) CompareAndSwap(it *Item) error {
	err := c.store(CAS, it)
	if err == ErrCacheMiss {
		return ErrNotStored
	}
	return err
}

// Delete deletes key, or fails with ErrCacheMiss.
func (c *Client) Delete(key string) error {
	_, err := c.one(Op{Kind: Delete, Key: key})
	return err
}

// Touch gives key another expiry, or fails with ErrCacheMiss.
func (c *Client) Touch(key string, seconds int32) error {
	_, err := c.one(Op{Kind: Touch, Key: key, Expiry: seconds})
	return err
}

// Increment adds delta to the decimal number of key; it wraps at 64 bits.
func (c *Client) Increment(key string, delta uint64) (uint64, error) {
	op, err := c.one(Op{Kind: Incr, Key: key, Delta: delta})
	return op.Number, err
}

// Decrement subtracts delta; it stops at 0.
func (c *Client) Decrement(key string, delta uint64) (uint64, error) {
	op, err := c.one(Op{Kind: Decr, Key: key, Delta: delta})
	return op.Number, err
}
