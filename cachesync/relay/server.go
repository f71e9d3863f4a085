package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sluice/cachesync/pipeline"
	"sluice/cachesync/resp"
	"sluice/internal/accept"
)

// Config of a Server.
type Config struct {
	Secret string // what gateways must know; required
	Homes  []Home // at least one
	// MaxConns is how many connections are served at once; zero value means 2048.
	MaxConns int
	// MaxInFlight is how many questions of one connection may be open; zero value means 4096.
	MaxInFlight int
	Log         *slog.Logger // nil means slog.Default
}

// Home is one home that questions are carried to.
type Home struct {
	Name   string
	Number int // of its region, 1..255: what SELECT names
	Redis  resp.Config
	// Synced, if not nil, is called after scripts and before their replies go out: it waits
	// until the home's replicas have what they wrote.
	Synced func(ctx context.Context, shas ...string) error
}

// Server is a relay.
type Server struct {
	cfg   Config
	homes map[int]*home
	conns atomic.Int64
	items sync.Pool
}

type home struct {
	Home
	client                                    *resp.Client
	calls, notSent, unknown, refused, in, out atomic.Uint64
}

// Stats of one home since the start.
type Stats struct {
	Home    string
	Up      bool   // questions can be sent at this moment
	Calls   uint64 // questions of gateways
	NotSent uint64 // answered NOTSENT
	Unknown uint64 // answered UNKNOWN
	Refused uint64 // answered with an error of Redis: NOSCRIPT, FENCED, ...
	In, Out uint64 // bytes from and to gateways
	Nodes   []pipeline.Stats
}

// New makes a relay; its connections to the homes are opened in the background. Close must
// follow.
func New(cfg Config) (*Server, error) {
	if cfg.Secret == "" || len(cfg.Homes) == 0 {
		return nil, errors.New("relay: needs a secret and at least one home")
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 2048
	}
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = 4096
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Server{cfg: cfg, homes: map[int]*home{}}
	s.items.New = func() any { return new(item) }
	for _, h := range cfg.Homes {
		if h.Number < 1 || h.Number > 255 || s.homes[h.Number] != nil {
			s.Close()
			return nil, fmt.Errorf("relay: home %q: number %d is not in 1..255, or is another's too", h.Name, h.Number)
		}
		client, err := resp.New(h.Redis)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("relay: home %s: %w", h.Name, err)
		}
		s.homes[h.Number] = &home{Home: h, client: client}
	}
	return s, nil
}

// Close ends the connections to the homes; Serve must have returned.
func (s *Server) Close() error {
	for _, h := range s.homes {
		h.client.Close()
	}
	return nil
}

// Serve answers gateways until the context ends.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return accept.Serve(ctx, ln, s.cfg.Log, func(conn net.Conn) {
		defer s.conns.Add(-1)
		if s.conns.Add(1) > int64(s.cfg.MaxConns) {
			conn.SetWriteDeadline(time.Now().Add(time.Second))
			conn.Write([]byte("-DENIED the relay has too many connections\r\n"))
			conn.Close()
			return
		}
		newSession(s, conn).run(ctx)
	})
}

// Conns is how many connections of gateways there are.
func (s *Server) Conns() int { return int(s.conns.Load()) }

// Stats of each home.
func (s *Server) Stats() []Stats {
	var all []Stats
	for _, h := range s.homes {
		all = append(all, Stats{
			Home: h.Name, Up: h.client.Up(), Calls: h.calls.Load(), NotSent: h.notSent.Load(), Unknown: h.unknown.Load(),
			Refused: h.refused.Load(), In: h.in.Load(), Out: h.out.Load(), Nodes: h.client.Stats(),
		})
	}
	return all
}
