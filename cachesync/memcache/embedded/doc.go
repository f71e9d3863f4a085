// Package embedded is a memcached inside this process: the text protocol, for
// the try-out, small sites and tests.
//
//	s := embedded.New(embedded.Config{MaxBytes: 64 << 20})
//	ln, _ := net.Listen("tcp", "127.0.0.1:0")
//	s.Start(ln)
//	defer s.Close()
//
// Commands: get, gets, gat, gats, set, add, replace, append, prepend, cas, incr,
// decr, touch, delete, flush_all, version, stats, verbosity, quit, and noreply.
// Words, error lines and corner cases follow memcached 1.6 (protocol.txt);
// memccapable -a passes.
//
// Memory is bounded: the least recently used items go when keys, values and 80
// bytes for each would exceed MaxBytes. Connections, line lengths, value sizes,
// idle times and slow readers are bounded too. One lock guards the items; it is
// never held during input or output.
package embedded
