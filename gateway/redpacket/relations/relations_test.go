package relations

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestAnswersAreKeptAndErrorsAreNot(t *testing.T) {
	var asked atomic.Int64
	reply := `{"fan":true}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Query().Get("sender") != "s" || r.URL.Query().Get("fan") != "f&x" {
			w.WriteHeader(400)
		}
		fmt.Fprint(w, reply)
	}))
	defer server.Close()
	now := time.Unix(0, 0)
	c, err := NewCached(&HTTP{URL: server.URL}, CacheConfig{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	f := func(want bool, calls int64) {
		t.Helper()
		is, err := c.Fan(context.Background(), "s", "f&x")
		if err != nil || is != want || asked.Load() != calls {
			t.Fatalf("%v, %v after %d questions; want %v after %d", is, err, asked.Load(), want, calls)
		}
	}
	f(true, 1)
	f(true, 1)
	now = now.Add(11 * time.Minute)
	reply = `{"fan":false}`
	f(false, 2)
	f(false, 2)
	now = now.Add(11 * time.Second)
	for _, bad := range []string{`{}`, `nothing`, `{"fan":"yes"}`} {
		reply = bad
		if _, err := c.Fan(context.Background(), "s", "f&x"); err == nil {
			t.Errorf("%s was taken for an answer", bad)
		}
	}
	reply = `{"fan":true}`
	f(true, 6)
}
