// Package plain is the peer that uses Go's usual clients without batching: fasthttp in front,
// gomemcache and go-redis behind, one call of each for a request, no Lua.
//
// It answers the same paths as the others and runs the same Redis script as nginx's side.
package plain
