package record

import (
	"fmt"
	"time"
)

// Version orders the writes of one key: epoch 12 | ms since 2025-01-01 42 | counter 10.
// The zero Version is older than every minted one.
type Version uint64

const (
	msBits      = 42
	counterBits = 10

	// MaxEpoch, MaxMS and MaxCounter are the largest parts a Version holds.
	MaxEpoch   = 1<<12 - 1
	MaxMS      = 1<<msBits - 1
	MaxCounter = 1<<counterBits - 1

	// BaseMS is 2025-01-01T00:00:00Z in Unix milliseconds, where the ms part starts.
	BaseMS = 1735689600000
)

// MakeVersion packs the parts; a part that does not fit is clamped to its largest value
// (a clock before 2025 to 0), so that a wild clock can never spill into the epoch.
func MakeVersion(epoch uint64, ms int64, counter uint64) Version {
	ms = min(max(ms, 0), MaxMS)
	return Version(min(epoch, MaxEpoch)<<(msBits+counterBits) | uint64(ms)<<counterBits | min(counter, MaxCounter))
}

// VersionAt is MakeVersion for a wall-clock time, with counter 0: the version of a user
// record read from a source whose row was updated at t.
func VersionAt(epoch uint64, t time.Time) Version {
	return MakeVersion(epoch, t.UnixMilli()-BaseMS, 0)
}

// Epoch is the first part.
func (v Version) Epoch() uint64 { return uint64(v) >> (msBits + counterBits) }

// MS is the second part: milliseconds since 2025-01-01.
func (v Version) MS() int64 { return int64(uint64(v) >> counterBits & MaxMS) }

// Counter is the third part.
func (v Version) Counter() uint64 { return uint64(v) & MaxCounter }

// UnixMS is the version's time in Unix milliseconds.
func (v Version) UnixMS() int64 { return v.MS() + BaseMS }

// String shows the parts as "epoch.ms.counter".
func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", v.Epoch(), v.MS(), v.Counter())
}
