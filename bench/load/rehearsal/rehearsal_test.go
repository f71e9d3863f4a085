package rehearsal

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/bench/load/scenario"
	"sluice/bench/load/token"
)

// house is a server that opens a red packet at the second look and knows what was closed.
func house(t *testing.T) (*httptest.Server, map[string]string) {
	states := map[string]string{}
	looks := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		switch {
		case r.Method == "POST" && parts[0] == "admin":
			if r.Header.Get("Authorization") != "Bearer admins" || states[parts[2]] == "" {
				w.WriteHeader(404)
				return
			}
			states[parts[2]] = "closed"
			fmt.Fprint(w, `{}`)
		case r.Method == "POST":
			if r.Header.Get(Header) != "x" || r.Header.Get("Idempotency-Key") == "" {
				t.Errorf("a request is not marked: %v", r.Header)
			}
			id := fmt.Sprint("rp", len(states))
			states[id] = "splitting"
			w.WriteHeader(202)
			fmt.Fprintf(w, `{"id":%q,"state":"splitting"}`, id)
		default:
			if looks++; looks > 2 {
				states[parts[2]] = "open"
			}
			fmt.Fprintf(w, `{"state":%q}`, states[parts[2]])
		}
	}))
	t.Cleanup(s.Close)
	return s, states
}

func TestARehearsalClosesWhatItFundedAlsoAfterAKill(t *testing.T) {
	s, states := house(t)
	path := filepath.Join(t.TempDir(), "list")
	list, err := NewList(path)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{Target: s.URL, Admin: s.URL, AdminToken: "admins", Minter: token.New("k", []byte("s"), time.Now().Add(time.Hour)), Mark: "x", Run: "r1", Now: time.Now, Tell: list.Note}
	ids, err := c.Fund(t.Context(), &scenario.Fund{Times: 3, Body: map[string]any{"amount": 1}, Fen: 10}, Prefix+"sender")
	if err != nil || len(ids) != 3 {
		t.Fatalf("%v, %v", ids, err)
	}
	if _, fen, _ := list.All(); fen != 30 {
		t.Errorf("%d fen noted", fen)
	}
	read, err := ReadList(path) // as after a kill: the list was never closed
	if err != nil || len(read) != 3 {
		t.Fatalf("the list holds %v, %v", read, err)
	}
	closed, left, err := c.Close(t.Context(), append(read, "unknown"))
	if closed != 3 || len(left) != 1 || err == nil {
		t.Errorf("closed %d, left %v, %v", closed, left, err)
	}
	for id, state := range states {
		if state != "closed" {
			t.Errorf("%s is %s", id, state)
		}
	}
	if err := list.Close(true); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadList(path); err == nil {
		t.Error("the list of a clean run is still there")
	}
}

func TestWhetherItCanBeClosedIsKnownBeforeItIsFunded(t *testing.T) {
	answer := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(404)
		fmt.Fprint(w, answer)
	}))
	defer s.Close()
	c := &Client{Admin: s.URL, Now: time.Now}
	for text, want := range map[string]bool{`{"error":{"code":"not_found"}}`: true, `{"error":{"code":"no_route"}}`: false} {
		if answer = text; (c.CanClose(t.Context()) == nil) != want {
			t.Errorf("%s: %v", text, c.CanClose(t.Context()))
		}
	}
}

func TestLaterIsNotTheEnd(t *testing.T) {
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch calls.Add(1) {
		case 1:
			w.WriteHeader(503)
			return
		case 2:
			panic(http.ErrAbortHandler) // done perhaps, but the answer is lost
		}
		fmt.Fprint(w, `{"id":"rp1","state":"open"}`)
	}))
	defer s.Close()
	c := &Client{Target: s.URL, Now: time.Now, Tell: func(string, int64) {}}
	if ids, err := c.Fund(t.Context(), &scenario.Fund{Times: 1}, "u"); err != nil || len(ids) != 1 {
		t.Errorf("%v, %v", ids, err)
	}
}

func TestARefusalIsToldInTheServersWords(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no money", http.StatusForbidden) }))
	defer s.Close()
	c := &Client{Target: s.URL, Now: time.Now, Tell: func(string, int64) {}}
	if _, err := c.Fund(t.Context(), &scenario.Fund{Times: 1}, "u"); err == nil || !strings.Contains(err.Error(), "no money") {
		t.Errorf("%v", err)
	}
}
