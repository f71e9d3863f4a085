package ngx

import "time"

// watchEvery is how long a script may have the lock before its VM is told to
// look at the clock, however few instructions that were: a call of a builtin
// counts as one, and may take milliseconds.
const watchEvery = 20 * time.Millisecond

// watch looks at a VM while somebody runs in it. Guarded by VM.mu.
type watch struct {
	on    bool
	timer *time.Timer
	turns uint // of the VM, when it was last looked at
}

// begin is called when the lock is taken.
func (w *watch) begin(v *VM) {
	if w.on {
		return
	}
	w.on = true
	w.turns = v.turns
	if w.timer == nil {
		w.timer = time.AfterFunc(watchEvery, v.glance)
		return
	}
	w.timer.Reset(watchEvery)
}

// glance pokes who has had the lock since the last one.
func (v *VM) glance() {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := &v.watch
	if w.on = v.busy; !w.on {
		return
	}
	if w.turns == v.turns {
		v.State.Poke()
	}
	w.turns = v.turns
	w.timer.Reset(watchEvery)
}
