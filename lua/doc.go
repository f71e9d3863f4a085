// Package lua runs OpenResty-style Lua scripts for the gateway.
package lua
