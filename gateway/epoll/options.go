package epoll

import "time"

// DefaultConnections is the bound when Options have none.
const DefaultConnections = 100_000

// Options bound a listener. On other systems than Linux they are not looked at.
type Options struct {
	Connections int // open at once; zero means DefaultConnections
	PerIP       int // of one address; zero means no bound
	// Silence is how long a new connection that is served in turns may take to send something; zero means for
	// ever. Later on the server's deadlines count.
	Silence time.Duration
	// Refusal is the answer to a connection beyond the bounds, which is then closed; hers says that
	// it is PerIP. It must be short. Without it there is no answer.
	Refusal func(hers bool) []byte
}

func (o Options) filled() Options {
	if o.Connections == 0 {
		o.Connections = DefaultConnections
	}
	return o
}
