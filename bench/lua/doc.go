// Lua compares what a handler costs: sluice beside Debian's nginx with LuaJIT, the same Lua files.
//
//	go run ./bench/lua            QUICK=1 for some ten seconds
//
// hello prints five bytes; headers reads three request headers and an argument, sets a status and two answer
// headers and prints what it read. The load is closed-loop over 64 connections with kept connections; CPU is
// counted by the kernel over the server's processes, and divided by the requests it answered. Runs are
// interleaved (A B, B A, ...), and each row is the sum of its runs.
//
// The third row is a bare fasthttp server that does the same in Go: the floor under ours.
//
// The last line gives sluice's CPU a request divided by nginx's: hello_vs_nginx=... headers_vs_nginx=...
// (1.2 and below is the goal).
package main
