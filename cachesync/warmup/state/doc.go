// Package state keeps where a warm-up is, across kill -9 and restarts, and keeps
// a second run of the same set out.
//
// The position is a file, replaced atomically every second or two: its loss
// costs time only, since writes are add-if-newer. Beside it lies a lock
// (flock), which the kernel frees when the process dies, however it dies.
//
// Runs on other machines are kept out by a lease in the memcached of every
// region that is warmed, under warm:<set>:lease, renewed every 5 s and gone 20 s
// after its holder. A run that finds the lease of its own state file, which it
// has locked, knows that the holder is dead and takes over at once.
package state
