package procs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// ErrStat is returned for a process that is gone or a /proc that is not Linux's.
var ErrStat = errors.New("no CPU time to be read")

const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux

// Self is the CPU time of this process.
func Self() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// CPU is the CPU time of a process, all its threads.
func CPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("procs: %w: %w", ErrStat, err)
	}
	return parseStat(b)
}

// parseStat reads fields 14 and 15; the name in field 2 may hold spaces and brackets.
func parseStat(b []byte) (time.Duration, error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, fmt.Errorf("procs: %w: %.60q", ErrStat, b)
	}
	f := bytes.Fields(b[i+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("procs: %w: %.60q", ErrStat, b)
	}
	user, err := strconv.ParseInt(string(f[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(f[12]), 10, 64)
	if err != nil || err2 != nil {
		return 0, fmt.Errorf("procs: %w: %.60q", ErrStat, b)
	}
	return time.Duration(user+system) * tick, nil
}

// Sum is the CPU time of several processes.
func Sum(pids []int) (total time.Duration, err error) {
	for _, pid := range pids {
		d, err := CPU(pid)
		if err != nil {
			return 0, err
		}
		total += d
	}
	return total, nil
}

// Children are the processes whose parent is pid.
func Children(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("procs: %w", err)
	}
	var kids []int
	for _, e := range entries {
		kid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // ended meanwhile
		}
		if f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]); len(f) > 1 && string(f[1]) == strconv.Itoa(pid) {
			kids = append(kids, kid)
		}
	}
	return kids, nil
}

// RSS is how much memory a process holds, in bytes.
func RSS(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("procs: %w: %w", ErrStat, err)
	}
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0, fmt.Errorf("procs: %w: %.60q", ErrStat, b)
	}
	pages, err := strconv.ParseInt(string(f[1]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("procs: %w: %.60q", ErrStat, b)
	}
	return pages * int64(os.Getpagesize()), nil
}
