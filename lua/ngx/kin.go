package ngx

import (
	"sync/atomic"
	"time"
)

// kin are the timers that one run has made, and all that those make: a timer
// that makes its successor is as endless as one of ngx.timer.every. While one
// of them hogs its VM the others wait, and after a breach all rest for
// restFor times as long as that run took, so that they never take more of a
// processor than that leaves them.
type kin struct {
	hogs atomic.Int32
	rest atomic.Int64 // until then, in Unix nanoseconds
}

const (
	restFor = 10
	// hogWait is how soon it is looked again whether the hog is done.
	hogWait = 10 * time.Millisecond
)

// kinOf is the kin of the timers that a run makes; those of init code, whose
// run is nil, have nothing to do with each other.
func kinOf(rn *run) *kin {
	if rn == nil {
		return new(kin)
	}
	if rn.kin == nil {
		rn.kin = new(kin)
	}
	return rn.kin
}

// wait is how long a timer that falls due now has to wait.
func (k *kin) wait(now time.Time) time.Duration {
	if d := k.rest.Load() - now.UnixNano(); d > 0 {
		return time.Duration(d)
	}
	if k.hogs.Load() > 0 {
		return hogWait
	}
	return 0
}

// breached is told of a timer's run that took so long and went over its budget.
func (k *kin) breached(now time.Time, took time.Duration) {
	k.rest.Store(now.Add(restFor * took).UnixNano())
}
