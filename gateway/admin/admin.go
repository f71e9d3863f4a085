// Package admin is the operators' listener: health, readiness, metrics, pprof
// and what other packages add under /admin/.
//
//	GET /healthz   the process lives                        no token
//	GET /readyz    every check passes, or which does not    no token
//	GET /metrics   Prometheus                               bearer token
//	/admin/...     scripts, red packets, users, rooms       bearer token
//	/debug/pprof/  profiles                                 bearer token
//	POST /payments/confirm  the payment provider's callback    its signature
//
// It listens on loopback unless told otherwise, with limits of its own, so
// that a flood on the public listener does not shut the operators out.
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

// readTimeout is how long a request, or the next piece of a stream, may take to come.
const readTimeout = 60 * time.Second

// Check says why a part is not ready, or nil. It must return within its
// context.
type Check func(ctx context.Context) error

// maxConns is how many operators and scrapers may be connected at once.
const maxConns = 256

// checkTime bounds all readiness checks together.
const checkTime = 2 * time.Second

// Server is the admin listener. Handle and Ready are called before Run.
type Server struct {
	ln     net.Listener
	mux    *http.ServeMux
	token  [32]byte // SHA-256, so that the comparison takes the same time for any length
	log    *slog.Logger
	names  []string
	checks map[string]Check
}

// New opens the listener.
func New(listen, token string, metrics prometheus.Gatherer, log *slog.Logger) (*Server, error) {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("admin: %w; see admin.listen in sluice.yaml", err)
	}
	s := &Server{ln: netutil.LimitListener(ln, maxConns), mux: http.NewServeMux(), token: sha256.Sum256([]byte(token)), log: log, checks: map[string]Check{}}
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	s.Handle("/debug/pprof/", http.HandlerFunc(pprof.Index))
	s.Handle("/debug/pprof/cmdline", http.HandlerFunc(pprof.Cmdline))
	s.Handle("/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	s.Handle("/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
	s.Handle("/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	s.Handle("/admin/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		Fail(w, http.StatusNotFound, "no_route", "no such path under /admin")
	}))
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Handle adds a handler behind the bearer token.
func (s *Server) Handle(pattern string, h http.Handler) {
	s.mux.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		sum := sha256.Sum256([]byte(given))
		if !ok || subtle.ConstantTimeCompare(sum[:], s.token[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			Fail(w, http.StatusUnauthorized, "unauthorized", "the admin listener needs its bearer token, see admin.token in sluice.yaml")
			return
		}
		h.ServeHTTP(w, r)
	}))
}

// HandleOpen adds a handler that checks its callers itself, such as the signed
// callback of a payment provider.
func (s *Server) HandleOpen(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// HandleFunc is Handle for functions that return an answer to be sent as JSON,
// or an error.
func (s *Server) HandleFunc(pattern string, f func(r *http.Request) (any, error)) {
	s.answer(pattern, f, func(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
		return http.MaxBytesReader(w, body, 64<<20)
	})
}

// HandleStream is HandleFunc for a body without an end in sight: it may go on for as long as
// something comes within readTimeout.
func (s *Server) HandleStream(pattern string, f func(r *http.Request) (any, error)) {
	s.answer(pattern, f, func(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
		return &stream{body, http.NewResponseController(w)}
	})
}

// stream is a body each of whose pieces has a deadline of its own.
type stream struct {
	io.ReadCloser
	conn *http.ResponseController
}

func (s *stream) Read(b []byte) (int, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
		return 0, err
	}
	return s.ReadCloser.Read(b)
}

func (s *Server) answer(pattern string, f func(r *http.Request) (any, error), bound func(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser) {
	s.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = bound(w, r.Body)
		answer, err := f(r)
		var fail *Error
		switch {
		case errors.As(err, &fail):
			Fail(w, fail.Status, fail.Code, fail.Message)
		case err != nil:
			s.log.Error("admin request failed", "path", r.URL.Path, "err", err)
			Fail(w, http.StatusInternalServerError, "internal", err.Error())
		default:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(answer)
		}
	}))
}

// Ready adds a readiness check.
func (s *Server) Ready(name string, check Check) {
	s.names = append(s.names, name)
	s.checks[name] = check
}

// NotReady runs all checks and returns those that fail.
func (s *Server) NotReady(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	failed := map[string]string{}
	for _, name := range s.names {
		wg.Go(func() {
			if err := s.checks[name](ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[name] = err.Error()
			}
		})
	}
	wg.Wait()
	return failed
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	failed := s.NotReady(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if len(failed) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(struct {
		Ready    bool              `json:"ready"`
		Checks   []string          `json:"checks"`
		NotReady map[string]string `json:"not_ready,omitempty"`
	}{len(failed) == 0, slices.Sorted(slices.Values(s.names)), failed})
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler: s.mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: readTimeout,
		IdleTimeout: 60 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("admin: %w", err)
	case <-ctx.Done():
		limit, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(limit) != nil { // a running profile, for example
			server.Close()
		}
		return nil
	}
}

// Error is an answer to the operator.
type Error struct {
	Status        int
	Code, Message string
}

func (e *Error) Error() string { return e.Message }

// Bad is a 400.
func Bad(format string, args ...any) error {
	return &Error{http.StatusBadRequest, "bad_request", fmt.Sprintf(format, args...)}
}

// Fail writes an error answer.
func Fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message}})
}
