// Package socket is ngx.socket: TCP, unix and UDP cosockets for scripts.
//
// A call that would wait runs through Host.Block, so that other light
// threads of the same VM go on meanwhile; a script sees a plain blocking
// call. Connections given back with setkeepalive wait in Pools, which belong
// to the process, not to a VM.
//
// Error strings and log lines are OpenResty's.
package socket
