package modules

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
	"sluice/lua"
	"sluice/lua/vm"
)

// Memcached is the region's memcached, batched with everybody else's calls
// (*memcache.Client).
type Memcached interface {
	Do(ctx context.Context, ops []memcache.Op) error
}

// cacheModule is sluice.cache: values of the scripts' own in the region's
// memcached. Records (users, red packets, wins, rooms) can be read here as
// bytes, but not written: they carry versions that appliers compare.
type cacheModule struct{ store Memcached }

func (m cacheModule) open(*lua.VM) vm.Value {
	return table("cache", map[string]vm.GoFunc{
		"get": m.get, "get_multi": m.getMulti, "delete": m.delete, "incr": m.incr,
		"set":     func(t *vm.Thread) int { return m.store3(t, memcache.Set) },
		"add":     func(t *vm.Thread) int { return m.store3(t, memcache.Add) },
		"replace": func(t *vm.Thread) int { return m.store3(t, memcache.Replace) },
	})
}

// maxKeys is how many keys one get_multi may ask for.
const maxKeys = 1000

// maxSeconds is the longest expiry that memcached takes as seconds from now.
const maxSeconds = 30 * 24 * 3600

// cacheErrors are the words scripts compare with. What is not here (a server's
// complaint) is passed on as it is.
var cacheErrors = []struct {
	err  error
	word string
}{
	{memcache.ErrCacheMiss, "not found"}, {memcache.ErrNotStored, "not stored"}, {memcache.ErrMalformedKey, "bad key"},
	{memcache.ErrTooLarge, "too large"}, {memcache.ErrTimeout, "timeout"}, {memcache.ErrNodeDown, "down"},
	{memcache.ErrLost, "lost"}, {memcache.ErrBusy, "busy"}, {memcache.ErrClosed, "closed"},
}

func cacheWord(err error) string {
	for _, e := range cacheErrors {
		if errors.Is(err, e.err) {
			return e.word
		}
	}
	return err.Error()
}

func fail(t *vm.Thread, word string) int {
	t.PushNil()
	t.PushString(word)
	return 2
}

// ours tells whether scripts may write a key: neither records nor what
// cachesync keeps beside them (locks, positions, leases, canaries, probes).
func ours(key string) bool {
	for _, p := range []string{record.PrefixRedPacket, record.PrefixWin, record.PrefixUser, record.PrefixRoom, record.PrefixFilter} {
		if strings.HasPrefix(key, p) {
			return false
		}
	}
	return !record.Beside(key)
}

// writable reads the key of a write.
func writable(t *vm.Thread) string {
	key := t.CheckString(1)
	if !ours(key) {
		t.ArgError(1, "the key of a record cannot be written from a script")
	}
	return key
}

func (m cacheModule) one(t *vm.Thread, op memcache.Op) memcache.Op {
	begin(t)
	ops := []memcache.Op{op}
	lua.Block(t, func() { _ = m.store.Do(background(), ops) })
	return ops[0]
}

// get(key) -> value, flags | nil | nil, err
func (m cacheModule) get(t *vm.Thread) int {
	op := m.one(t, memcache.Op{Kind: memcache.Get, Key: t.CheckString(1)})
	switch {
	case op.Err == nil:
		t.State().Charge(t, int64(len(op.Value)))
		t.PushString(string(op.Value))
		t.Push(vm.Int(int(op.Flags)))
		return 2
	case errors.Is(op.Err, memcache.ErrCacheMiss):
		t.PushNil()
		return 1
	}
	return fail(t, cacheWord(op.Err))
}

// get_multi(keys) -> {key = value} [, err]: what was found, and the first
// error when some nodes did not answer.
func (m cacheModule) getMulti(t *vm.Thread) int {
	keys := t.CheckTable(1)
	n := keys.Len()
	if n > maxKeys {
		t.ArgError(1, "at most 1000 keys at a time")
	}
	ops := make([]memcache.Op, n)
	for i := range ops {
		key, ok := keys.GetInt(i + 1).AsString()
		if !ok {
			t.ArgError(1, "array of strings expected, found a "+keys.GetInt(i+1).Type().String())
		}
		ops[i] = memcache.Op{Kind: memcache.Get, Key: key}
	}
	begin(t)
	lua.Block(t, func() { _ = m.store.Do(background(), ops) })
	found := vm.NewTable(0, n)
	var first error
	total := 0
	for i := range ops {
		switch op := &ops[i]; {
		case op.Err == nil:
			total += len(op.Value)
			found.SetStr(op.Key, vm.String(string(op.Value)))
		case first == nil && !errors.Is(op.Err, memcache.ErrCacheMiss):
			first = op.Err
		}
	}
	t.State().Charge(t, int64(total))
	t.Push(found.Value())
	if first == nil {
		return 1
	}
	t.PushString(cacheWord(first))
	return 2
}

// seconds reads an expiry; none, or 0, means never.
func seconds(t *vm.Thread, arg int) int32 {
	f := t.OptNumber(arg, 0)
	if !(f >= 0 && f <= maxSeconds) {
		t.ArgError(arg, "seconds expected, from 0 (never) to 2592000 (30 days)")
	}
	if f > 0 && f < 1 {
		f = 1 // 0 would be never
	}
	return int32(f)
}

// set, add, replace (key, value [, seconds [, flags]]) -> true | nil, err
func (m cacheModule) store3(t *vm.Thread, kind memcache.Kind) int {
	key := writable(t)
	value := t.CheckString(2)
	expiry := seconds(t, 3)
	flags := t.OptNumber(4, 0)
	if !(flags >= 0 && flags < 1<<32) {
		t.ArgError(4, "flags must be from 0 to 4294967295")
	}
	return done(t, m.one(t, memcache.Op{Kind: kind, Key: key, Value: []byte(value), Expiry: expiry, Flags: uint32(flags)}))
}

func done(t *vm.Thread, op memcache.Op) int {
	if op.Err != nil {
		return fail(t, cacheWord(op.Err))
	}
	t.PushBool(true)
	return 1
}

// delete(key) -> true | nil, err
func (m cacheModule) delete(t *vm.Thread) int {
	return done(t, m.one(t, memcache.Op{Kind: memcache.Delete, Key: writable(t)}))
}

// incr(key, delta [, init [, seconds]]) -> number | nil, err: with init, a key
// without a value gets it first. A negative delta stops at 0. A counter counts
// what memcached remembers: never money.
func (m cacheModule) incr(t *vm.Thread) int {
	key := writable(t)
	const most = 1 << 53
	whole := func(arg int, f float64) float64 {
		if f != float64(int64(f)) || f > most || f < -most {
			t.ArgError(arg, "whole number expected")
		}
		return f
	}
	delta := whole(2, t.CheckNumber(2))
	op := memcache.Op{Kind: memcache.Incr, Key: key, Delta: uint64(max(delta, -delta))}
	if delta < 0 {
		op.Kind = memcache.Decr
	}
	var first []byte
	var expiry int32
	if !t.Arg(3).IsNil() {
		init := whole(3, t.CheckNumber(3))
		if init < 0 {
			t.ArgError(3, "memcached counts from 0 up")
		}
		expiry = seconds(t, 4)
		first = strconv.AppendUint(nil, uint64(max(init+delta, 0)), 10)
	}
	got := m.one(t, op)
	for try := 0; first != nil && errors.Is(got.Err, memcache.ErrCacheMiss) && try < 2; try++ {
		added := m.one(t, memcache.Op{Kind: memcache.Add, Key: key, Value: first, Expiry: expiry})
		if added.Err == nil {
			t.PushNumber(max(t.CheckNumber(3)+delta, 0))
			return 1
		}
		if !errors.Is(added.Err, memcache.ErrNotStored) {
			return fail(t, cacheWord(added.Err))
		}
		got = m.one(t, op) // somebody else was first
	}
	if got.Err != nil {
		return fail(t, cacheWord(got.Err))
	}
	t.PushNumber(float64(got.Number))
	return 1
}
