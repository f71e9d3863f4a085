package memcache

import (
	"errors"

	gomemcache "github.com/bradfitz/gomemcache/memcache"
)

// Kind says what an Op asks of memcached.
type Kind uint8

// The kinds of an Op. Get leaves CAS alone, Gets fills it.
const (
	Get Kind = iota
	Gets
	Set
	Add
	Replace
	Append
	Prepend
	CAS
	Delete
	Touch
	Incr
	Decr
)

var kindNames = [...]string{"get", "gets", "set", "add", "replace", "append", "prepend", "cas", "delete", "touch", "incr", "decr"}

// String is the command word of the text protocol.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Op is one operation of a batch: the upper fields are read by Do, the lower
// ones written by it. Do copies Key and Value before it returns or waits, so
// both may live in buffers that the caller reuses afterwards.
type Op struct {
	Kind   Kind
	Key    string // 1-250 bytes, no spaces, no control characters
	Flags  uint32 // in for writes, out for Get and Gets
	Expiry int32  // seconds up to 30 days, else a unix time; 0 = never; < 0 = already expired
	Value  []byte // in for writes; out for Get and Gets (see Client.Do for ownership)
	Delta  uint64 // in for Incr and Decr
	CAS    uint64 // in for CAS; out for Gets

	Number uint64 // out for Incr and Decr: the new number
	Err    error  // out: nil, ErrCacheMiss, ErrNotStored, ErrCASConflict, ErrMalformedKey, ErrTooLarge, ErrServerError or a transport error
}

// Item and the errors are gomemcache's own, so that code written for it works unchanged.
type (
	Item     = gomemcache.Item
	Selector = gomemcache.ServerSelector
)

var (
	ErrCacheMiss    = gomemcache.ErrCacheMiss
	ErrCASConflict  = gomemcache.ErrCASConflict
	ErrNotStored    = gomemcache.ErrNotStored
	ErrServerError  = gomemcache.ErrServerError
	ErrMalformedKey = gomemcache.ErrMalformedKey
	ErrNoServers    = gomemcache.ErrNoServers
)

// ErrTooLarge is an Op's error when its value exceeds Config.MaxValueBytes.
var ErrTooLarge = errors.New("memcache: value too large: shorten the value or raise MaxValueBytes here and -I of memcached")

// legalKey follows gomemcache, and refuses the empty key too.
func legalKey(key string) bool {
	if len(key) == 0 || len(key) > 250 {
		return false
	}
	for i := 0; i < len(key); i++ {
		if key[i] <= ' ' || key[i] == 0x7f {
			return false
		}
	}
	return true
}
