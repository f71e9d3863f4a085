package cmd

import (
	"os"
	"strings"
	"syscall"
)

// calm starts the program again, as the same process, with a monitor thread that stays calm; call it before
// anything is opened.
//
// Go's monitor (runtime.sysmon) goes to sleep when all processors are idle. The next system call wakes it, and
// then it naps for 20 us at a time, some fifty times, before it naps longer. A process that goes idle between
// any two batches of its backends' replies pays for these naps all the time: up to a third of its CPU where waking
// a thread is dear. Under GODEBUG=schedtrace the monitor never sleeps, and so soon looks round every 10 ms only.
// The trace itself is not wanted: its period is the longest there is, 24 days, after which it prints one line.
// What it costs is that a processor held by a system call that blocks is given to others after 10 to 20 ms: no
// matter where no file is written.
func calm() {
	const setting = "schedtrace="
	old := os.Getenv("GODEBUG")
	if strings.Contains(old, setting) {
		return
	}
	value := setting + "2147483647"
	if old != "" {
		value = old + "," + value
	}
	os.Setenv("GODEBUG", value)
	syscall.Exec("/proc/self/exe", os.Args, os.Environ()) // when it cannot be, the program goes on as it is
}
