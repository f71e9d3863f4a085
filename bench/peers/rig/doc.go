// Package rig starts servers for comparisons on loopback: nginx with Lua, memcached, Redis, and any
// program of ours; it knows their process ids, so that their CPU can be counted, and ends them.
//
// Each side of a comparison gets stores of its own, so that what memcached and Redis cost is
// counted for the side that caused it; idle servers cost nothing.
package rig
