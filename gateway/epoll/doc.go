// Package epoll listens for the gateway's clients. On Linux its connections
// wait in an epoll set of their own instead of Go's netpoller.
//
//	ln, err := epoll.Listen("tcp", ":8080", epoll.Options{})
//	server.ConnState = epoll.ConnState
//	ln.Serve(server.ServeConn)
//
// A net.TCPConn that serves requests pays for more than its requests: every
// Read tries the socket first and finds nothing there, and every SetDeadline
// moves a timer of the runtime. Here
//
//	Read           one system call. A read that did not fill its buffer has
//	               emptied the socket, so the next Read waits first (edge-
//	               triggered epoll reports whatever comes later)
//	Write          one system call; it waits only when the socket is full
//	SetDeadline    two stores. A sweep looks at all deadlines every 250 ms,
//	               so they are kept to within that, never early
//	Accept         one system call; options are inherited from the listener
//
// The scheduler is not told of these calls, for they never block: it would give
// a processor away when one takes long, and threads would wake for nothing.
//
// The epoll set is itself a descriptor in Go's netpoller, so nothing blocks a
// thread:
//
//	Go's netpoller --> epoll set --> poller goroutine --> who waits in Read or Write
//
// # Turns
//
// A server that gives each connection a goroutine keeps a stack, two buffers and
// a request context for each: 20 KB for a client who says nothing. Served by
// Listener.Serve a connection has them only for a turn: from the first byte of a
// request to the moment when it is answered and no other has begun. One whose
// requests follow each other closely keeps its turn through half a second of
// silence: to be woken in a turn costs less than to begin one.
//
//	asleep --> event, deadline --> queue --> worker: ServeConn --> asleep
//	                                            ^                     |
//	                                            '- more has come -----'
//
// ServeConn reads requests until its connection ends. So when it asks for the
// next one and nothing is there, Read says that this is the end, and the Close
// that follows puts the connection to sleep. That nothing of the next request
// is in ServeConn's buffer is known from ConnState: fasthttp says StateIdle
// behind an answer, and StateActive when it has a byte of what follows.
//
// # Where a short read proves nothing
//
// When the peer has ended its side, was reset, or has sent urgent data, a read
// may stop short and no event follows: once epoll has reported any of these, the
// connection's reads try the socket first, as Go's own do.
//
// # Limits
//
// When the process runs out of descriptors, Accept rests and tries again:
// fasthttp's Serve would end with the error that net's Accept returns.
// Connections are not *net.TCPConn: no SyscallConn, CloseWrite or splice.
// The poller is one goroutine more between a request and its handler. Under
// load it hands on many at once; a single client who waits for each answer
// costs more than with net, on processors that are idle anyway.
//
// # Concurrency
//
// All methods of a connection may be called from any goroutine; Reads take
// turns, and so do Writes. Close and SetDeadline wake who waits. Lock order:
// conn's reads/writes lock, then poller.mu, then crew.mu or Listener.mu, which
// are leaves.
//
// On other systems Listen is net.Listen, and Serve gives each connection a
// goroutine.
package epoll
