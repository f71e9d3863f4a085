// Package servers starts real memcached, Redis and PostgreSQL servers for
// tests and benchmarks: on free loopback ports, in temporary folders, ended
// when the test ends.
//
//	addr := servers.Memcached(t)
//	home := servers.Redis(t)          // durable, as a home's Redis must be
//	home.Kill()                       // kill -9; home.Start() brings it back
//	three := servers.StartRedisCluster(t, 3)
//	dsn := servers.Postgres(t)        // an empty database of its own
//
// A server that is not installed fails the test with the line that installs
// it; it never skips: a green run means that the real thing was there.
//
// All functions may be called from several tests at once.
package servers
