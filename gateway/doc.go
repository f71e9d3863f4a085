// Package gateway is the front tier: it takes requests in, finds their route,
// runs the route's Lua handlers and sends the answers.
//
//	connection -> limits -> admission -> route -> phases in Lua -> answer
//	                |           |          |           |
//	              cut         503        404 405     modules: sluice.redpacket,
//	                         "later"     400         sluice.room, sluice.token, ...
//
// The public listener speaks HTTP/1.1 by fasthttp; production puts a TLS and
// HTTP/2 proxy in front (deploy/nginx.conf) and names it in
// limits.trusted_proxies. The admin listener (package admin) is for operators.
//
// Life: New, Run(ctx); when ctx ends, readiness goes off, the listener closes,
// requests in flight finish, and Run returns within ten seconds.
//
// A Gateway has no lock of its own on the path of a request: the live site is
// one atomic pointer, metrics are atomic counters.
package gateway
