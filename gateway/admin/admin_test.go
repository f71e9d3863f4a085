package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func start(t *testing.T, setup func(*Server)) func(method, path, token string) (int, string) {
	t.Helper()
	s, err := New("127.0.0.1:0", "a-secret-of-admins", prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	setup(s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(method, path, token string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+s.Addr()+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
}

func TestOnlyHealthAndReadinessAreOpen(t *testing.T) {
	call := start(t, func(s *Server) {
		s.HandleFunc("POST /admin/thing", func(*http.Request) (any, error) { return map[string]int{"n": 1}, nil })
	})
	f := func(method, path, token string, want int) {
		t.Helper()
		if got, body := call(method, path, token); got != want {
			t.Errorf("%s %s with %q: %d %s, want %d", method, path, token, got, body, want)
		}
	}
	f("GET", "/healthz", "", 200)
	f("GET", "/readyz", "", 200)
	for _, path := range []string{"/metrics", "/admin/none", "/debug/pprof/"} {
		f("GET", path, "", 401)
		f("GET", path, "wrong", 401)
	}
	f("POST", "/admin/thing", "", 401)
	f("POST", "/admin/thing", "a-secret-of-admins", 200)
	f("GET", "/metrics", "a-secret-of-admins", 200)
	f("GET", "/debug/pprof/", "a-secret-of-admins", 200)
	f("GET", "/admin/none", "a-secret-of-admins", 404)
}

func TestReadinessNamesWhatIsNot(t *testing.T) {
	call := start(t, func(s *Server) {
		s.Ready("redis", func(context.Context) error { return errors.New("appendfsync is everysec") })
		s.Ready("memcached", func(context.Context) error { return nil })
	})
	if code, body := call("GET", "/readyz", ""); code != 503 || !strings.Contains(body, "appendfsync is everysec") || strings.Contains(body, `"memcached":`) {
		t.Errorf("%d %s", code, body)
	}
}
