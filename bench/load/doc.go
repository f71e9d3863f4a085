// Package load runs a scenario against a server and counts from the intended send time.
//
//	res, err := load.Run(ctx, load.Config{Targets: urls, Program: prog, Curve: arrival.Constant{Rate: 1000}, Duration: time.Minute})
//
// Open loop: a curve says when users arrive, whatever the server does. Who finds no free connection
// waits in a queue and his latency runs. Closed loop (Config.Closed, as wrk): each connection sends
// its next request when the last was answered; good for CPU per request, blind to stalls.
//
// # How it stays cheap
//
// Each loop is one OS thread with its own epoll set, connections, users and histograms; nothing is
// shared between loops. A request is one write, one read and a share of one epoll_pwait2; its bytes
// are appended into the connection's buffer, its answer is parsed where it was read; nothing is
// allocated per request once buffers have grown. It waits by epoll_pwait2 with nanoseconds and a timer
// slack of 1 ns; Config.Spin more than 0 makes the last stretch before an arrival a spin, which is
// precise but burns a core: for machines of their own.
//
// # When a run is invalid
//
// The generator's own lag is the time from the intended moment to the loop taking the user up.
// A run is invalid when the lag's p99 is above Config.MaxLag (10 ms), when more than 1 in 1000
// arrivals had to be dropped because Config.MaxUsers were in flight, when no request was made, or when
// it was interrupted: what a part of a run held proves nothing of the whole.
//
// # Concurrency
//
// Run blocks; Config's callbacks come from its own goroutines. A loop holds its Recorder's lock
// except while it waits in epoll.
package load
