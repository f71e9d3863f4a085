// Peers puts sluice beside what a user would pick instead, on the same machine and the same work:
//
//	make bench-peers            all cases, some fifteen minutes
//	QUICK=1 make bench-peers    under a minute
//	make pgo                    the profile of the mix that builds are optimised by (default.pgo)
//
//	go run ./bench/peers -cases win -connections 512 -profile win.prof      where a draw's CPU goes
//	go run ./bench/peers -stall 2s -connections 64,512      memcached, then Redis, stand still at full load
//	go run ./bench/peers -soak 10m -connections 512         80 % of the full rate, and the gateway's memory
//	go run ./bench/peers -peers sluice,before -before OLDBINARY -cases win -rounds 6 -run 1s      what a change brought
//
// # Who
//
//	sluice        the real binary, `sluice gateway`, with scripts/ as they are
//	nginx+Lua     Debian's nginx with LuaJIT and the resty clients, as its users write it (site/draw.lua)
//	plain Go      fasthttp with gomemcache and go-redis, no Lua, one call a request (package plain)
//	same file     sluice running nginx's site/draw.lua and enter.lua unchanged, resty clients only
//
// # What
//
//	hello   five bytes from a script
//	get     one memcached get by resty.memcached, its value as the answer (site/get.lua, the same on sluice)
//	win     a winning draw: token check, one memcached multi-get of user, red packet and "did I win", one EVALSHA
//	lose    a draw from a sold-out red packet by a user who came before
//	mixed   95 of 100 draws lose, 5 win; every draw by another user
//	enter   room entry: token check, one multi-get of room and user, ban list, a signed entry token
//
// # Same guarantees
//
// All check HS256 tokens with key id and exp, and keep what they have checked (nginx: OpenSSL through
// FFI and resty.lrucache, as lua-resty-jwt's users do; plain Go: golang-jwt and a map; the file on sluice:
// sluice.token, because FFI is what sluice does not have). All run one
// atomic script per win that checks epoch and state, refuses a second win, takes the next share by GETRANGE,
// writes winner, win stream and change log (site/script.lua does the steps of sluice's own). Redis runs
// appendfsync always. A loser who has no w: record is not told "soldout" from the cache alone, because his win
// may be newer: the others ask Redis; sluice keeps the winners' filter for that. Nobody's wins are settled while
// measured: settle is stopped once the red packets are open and the filter of the sold-out one is published. sluice's sync, which writes every win's record into
// memcached and has no counterpart at the others, runs on; its CPU has a column of its own, what it asks of
// memcached and Redis is in theirs.
//
// # How
//
// Closed loop (N connections, as wrk) for throughput and CPU per request: CPU is counted by the kernel for
// each process. Open loop at 60 % of the slowest
// peer's rate for latencies, from the intended send time. Runs are interleaved, A B C then C B A. Only right answers count as requests: sluice tells
// some "later" (503) when it is overloaded, and those are listed beside the errors. Before anything
// is measured the answers of all peers are compared. The generator runs on the same cores: rates of a
// whole machine are lower than with a load machine, CPU per request is what compares.
//
// The last line: draw_vs_nginx_N is the ratio of winning draws per gateway CPU-second, cpu_per_draw_vs_nginx that
// of CPU over gateway, memcached and Redis per winning draw at 512 connections (below 1 is better), losing_vs_hello the rate of
// sluice's losers against its own hello, per CPU-second.
package main
