package ngx

import (
	"fmt"
	"sync/atomic"

	"sluice/lua/vm"
)

// Memory bounds what all runs of a process hold together: the budgets of many
// may add up to more than there is.
//
//	a run      freeMemory is its own; what is beyond, up to its budget, is granted from limit
//	refused    when limit is reached, and the run has more than a small share already
type Memory struct {
	limit int64 // zero means none
	used  atomic.Int64
}

// freeMemory is what a run need not ask for.
const freeMemory = 1 << 20

// shares: a run that holds less than one in so many parts of the limit is not
// made to pay for those that hold much.
const shares = 64

// NewMemory makes a pool of so many bytes.
func NewMemory(limit int64) *Memory { return &Memory{limit: limit} }

func (m *Memory) take(rn *run, bytes int64) bool {
	if m == nil || m.limit <= 0 {
		return true
	}
	if m.used.Add(bytes) > m.limit && rn.granted+bytes > m.limit/shares {
		m.used.Add(-bytes)
		return false
	}
	rn.granted += bytes
	return true
}

func (m *Memory) giveBack(rn *run) {
	if rn.granted > 0 {
		m.used.Add(-rn.granted)
		rn.granted = 0
	}
}

// Grant is for vm.Options.
func Grant(t *vm.Thread, bytes int64) bool {
	v := vmOf(t)
	return v.run == nil || v.host.Memory.take(v.run, bytes)
}

// grewBy keeps count of what runs have left behind, as far as anybody can
// tell, and now and then looks what the modules of the VM hold for good: with
// too much, the VM takes no new requests and goes with all of it.
func (v *VM) grewBy(rn *run) (full bool) {
	most := rn.budget.Memory
	if most <= 0 {
		return false
	}
	if v.run == rn {
		v.State.SaveMeter(&rn.meter)
	}
	if v.grown += rn.meter.Memory(); v.grown < most {
		return false
	}
	v.grown = 0
	held := v.State.Held()
	if full = held > modulesHold*most; full {
		v.host.log(&v.idle, LevelWarn, fmt.Sprintf("modules of a VM hold %d bytes, more than %d: another VM takes its place", held, modulesHold*most))
	}
	return full
}

// modulesHold is how many times a run's memory the modules of a VM may hold.
const modulesHold = 4
