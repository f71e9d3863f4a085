// Package bundle keeps versions of a set of scripts and swaps them live.
//
//	s, err := bundle.Open(bundle.Config{Dir: "scripts", StateDir: "data/scripts", Check: compile, Retire: retire})
//	go s.Watch(ctx)
//	site := s.Live().(*Site) // in each request: one pointer load
//
// A save under Dir, after Debounce of quiet, is read, checked and, when Check
// likes it, swapped in by one pointer: no request sees half of it, those in
// flight finish on what they started with. A set that Check refuses never goes
// live; LastError says why, with file and line.
//
//	disk change -> debounce -> read -> Check -> swap -> Retire(old)
//	                                     |
//	                                     +-- error: LastError, old one serves on
//
// The last Keep versions stay in memory, and below StateDir (one folder per
// version, and the file "history", newest last), so that Rollback works after
// a restart. A rolled-back version serves until the next change on disk; then
// disk wins again. A restart begins with what is on disk, and with the newest
// kept version when disk is broken.
//
// # Concurrency
//
// Live is a pointer load. Loads happen one at a time under a lock that no
// reader takes.
package bundle
