package embedded

import (
	"errors"
	"net"
	"sync"
	"time"
)

// Version is what the version command answers.
const Version = "1.6.18-sluice"

// Config of a Server. The zero value works.
type Config struct {
	MaxBytes      int64            // memory for items; zero value means 64 MB
	MaxValueBytes int              // of one item, with its key; zero value means 1 MB
	MaxConns      int              // zero value means 1024
	MaxLineBytes  int              // of a command line; zero value means 64 KB
	IdleTimeout   time.Duration    // closes silent connections; zero value means 1 h
	WriteTimeout  time.Duration    // closes connections that do not read their replies; zero value means 30 s
	Clock         func() time.Time // zero value means time.Now
}

// Server is a memcached inside this process. Its methods may be called from any goroutine.
type Server struct {
	cfg   Config
	store *store

	mu     sync.Mutex
	ln     net.Listener
	conns  map[net.Conn]struct{}
	closed bool
	total  uint64
	refuse uint64
	wg     sync.WaitGroup
}

// New makes a server that does not listen yet.
func New(cfg Config) *Server {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 64 << 20
	}
	if cfg.MaxValueBytes <= 0 {
		cfg.MaxValueBytes = 1 << 20
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 1024
	}
	if cfg.MaxLineBytes <= 0 {
		cfg.MaxLineBytes = 64 << 10
	}
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = time.Hour
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = 30 * time.Second
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &Server{cfg: cfg, store: newStore(cfg.MaxBytes, cfg.MaxValueBytes, cfg.Clock), conns: map[net.Conn]struct{}{}}
}

// Start serves ln in the background until Close.
func (s *Server) Start(ln net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ln != nil {
		return errors.New("embedded memcached: already started or closed; make a new one")
	}
	s.ln = ln
	s.wg.Add(1)
	go s.accept(ln)
	return nil
}

// Addr is where the server listens; nil before Start.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr()
}

// Close stops listening, cuts all connections and waits for their goroutines.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	var err error
	if s.ln != nil {
		err = s.ln.Close()
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
	}
	for nc := range s.conns {
		nc.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

func (s *Server) accept(ln net.Listener) {
	defer s.wg.Done()
	for {
		nc, err := ln.Accept()
		if err != nil {
			s.mu.Lock()
			closed := s.closed
			s.mu.Unlock()
			if closed || errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of file descriptors, most likely
			continue
		}
		if !s.admit(nc) {
			nc.SetWriteDeadline(time.Now().Add(time.Second))
			nc.Write([]byte("SERVER_ERROR too many open connections\r\n"))
			nc.Close()
			continue
		}
		go func() {
			defer s.wg.Done()
			serve(s, nc)
			nc.Close()
			s.mu.Lock()
			delete(s.conns, nc)
			s.mu.Unlock()
		}()
	}
}

func (s *Server) admit(nc net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.cfg.MaxConns {
		s.refuse++
		return false
	}
	s.total++
	s.conns[nc] = struct{}{}
	s.wg.Add(1)
	return true
}
