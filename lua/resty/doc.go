// Package resty holds the resty.* modules that OpenResty ships: resty.lock,
// resty.lrucache, resty.limit.*, the digests, resty.aes, resty.random,
// resty.string, resty.upload, and resty.core as a no-op.
//
// What is pure logic on top of ngx.* is Lua (files beside this one, compiled
// once per process); what is arithmetic on bytes is Go. resty.memcached and
// resty.redis are not here: the upstream files run unchanged on our
// cosockets.
package resty
