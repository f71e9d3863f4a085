// Package embedded is a memcached in this process (text protocol), for the
// try-out, small sites and tests.
package embedded
