package resty

import (
	"runtime"
	"sync/atomic"
	"time"

	"sluice/lua/shdict"
	"sluice/lua/vm"
)

// held is what remains to be done for a lock that nobody has any more.
type held struct {
	dict  *shdict.Dict
	key   string
	until time.Time // after that the key may be somebody else's
	done  atomic.Bool
}

func (h *held) drop() {
	if h.done.Swap(true) || time.Now().After(h.until) {
		return
	}
	// There is nobody to tell if it fails; the key dies by itself.
	_, _ = h.dict.Store(0, h.key, shdict.Value{}, 0, 0)
}

// guard(dict, key, seconds) gives a value that deletes key when it is
// collected; guard(value) calls that off.
func guard(t *vm.Thread) int {
	if u := t.Arg(1).AsUserdata(); u != nil {
		if h, ok := u.Data.(*held); ok {
			h.done.Store(true)
		}
		return 0
	}
	d, ok := t.CheckTable(1).GetInt(1).AsUserdata().Data.(*shdict.Dict)
	if !ok {
		t.ArgError(1, "dictionary expected")
	}
	key := t.ToString(t.Arg(2))
	life := min(t.CheckNumber(3), 1e9)
	h := &held{dict: d, key: string([]byte(key)), until: time.Now().Add(time.Duration(life * float64(time.Second)))}
	u := vm.NewUserdata(h, nil)
	// The cleanup must not hold on to u itself.
	runtime.AddCleanup(u, (*held).drop, h)
	t.Push(u.Value())
	return 1
}
