// Package e2e tests the real binary from outside: it builds ./sluice, starts
// it on free ports and temporary folders, beside real memcached, Redis and
// PostgreSQL where a role needs them, and speaks HTTP to it as a client does.
package e2e
