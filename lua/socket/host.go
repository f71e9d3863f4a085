package socket

import (
	"crypto/x509"
	"time"

	"sluice/lua/vm"
)

// Log levels as nginx numbers them.
const (
	LevelCrit  = 3
	LevelError = 4
	LevelWarn  = 5
)

// Host is what the runtime lends to sockets.
type Host interface {
	// Block runs f while other light threads of the VM may run. f touches no
	// Lua value. When the thread is killed meanwhile, Block does not return
	// and f may run on for a while.
	Block(t *vm.Thread, f func())
	// Deadline is when the current request must be done; zero means never.
	Deadline(t *vm.Thread) time.Time
	// Log writes to the error log of the current request.
	Log(t *vm.Thread, level int, msg string)
	// Request identifies the current request (or timer): a socket may be used
	// only by the one that connected it. nil means no cosockets in this phase.
	Request(t *vm.Thread) any
	// Phase is ngx.get_phase's answer, for "API disabled in the context of ...".
	Phase(t *vm.Thread) string
	// AtEnd registers f to run when the current request ends; the function it
	// gives back takes f out again.
	AtEnd(t *vm.Thread, f func()) (cancel func())
}

// Config of the cosockets of one process.
type Config struct {
	ConnectTimeout   time.Duration  // lua_socket_connect_timeout; zero value means 60 s
	SendTimeout      time.Duration  // lua_socket_send_timeout; zero value means 60 s
	ReadTimeout      time.Duration  // lua_socket_read_timeout; zero value means 60 s
	KeepaliveTimeout time.Duration  // lua_socket_keepalive_timeout; zero value means 60 s
	PoolSize         int            // lua_socket_pool_size; zero value means 30
	BufferSize       int            // lua_socket_buffer_size; zero value means 4096
	Quiet            bool           // lua_socket_log_errors off
	Resolver         Resolver       // zero value means net.DefaultResolver
	TrustedCAs       *x509.CertPool // lua_ssl_trusted_certificate; zero value means the system's
}

func (c Config) withDefaults() Config {
	const minute = 60 * time.Second
	set := func(d *time.Duration) {
		if *d <= 0 {
			*d = minute
		}
	}
	set(&c.ConnectTimeout)
	set(&c.SendTimeout)
	set(&c.ReadTimeout)
	set(&c.KeepaliveTimeout)
	if c.PoolSize <= 0 {
		c.PoolSize = 30
	}
	if c.BufferSize <= 0 {
		c.BufferSize = 4096
	}
	return c
}
