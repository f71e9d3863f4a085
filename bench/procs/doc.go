// Package procs reads what processes cost: CPU time and memory from /proc/PID, as the kernel counts.
//
// CPU is user plus system time of all threads, in ticks of 10 ms: measure over seconds.
package procs
