package user

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"sluice/cachesync"
	"sluice/cachesync/record"
)

func TestTheUserSourceIsAskedInBatches(t *testing.T) {
	now := time.Date(2027, 2, 5, 12, 0, 0, 0, time.UTC)
	status, text := 200, `{"users":{
		"ann":{"updated_at":"2027-02-05T11:00:00Z","state":{"blocked":true}},
		"bob":{"updated_at":1801825200,"state":{}},
		"early":{"updated_at":"2027-02-05T13:00:00Z","state":{}},
		"when":{"state":{}},
		"list":{"updated_at":1801825200,"state":[]},
		"stranger":{"updated_at":1801825200,"state":{}}}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ UIDs []string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Method != "POST" || r.Header.Get("Authorization") != "Bearer secret" ||
			!slices.Equal(q.UIDs, []string{"ann", "bob", "early", "when", "list", "nobody"}) {
			t.Errorf("%s %v %v %v", r.Method, r.Header, q, err)
		}
		w.WriteHeader(status)
		w.Write([]byte(text))
	}))
	defer server.Close()
	h := &HTTP{URL: server.URL, Token: "secret", Epoch: 3, Client: server.Client(), Now: func() time.Time { return now }}
	keys := []string{"u:ann", "u:bob", "u:early", "u:when", "u:list", "u:nobody"}
	got, err := h.Fill(context.Background(), keys)
	if err != nil || len(got) != len(keys) {
		t.Fatal(got, err)
	}
	changed := record.VersionAt(3, now.Add(-time.Hour))
	for i, payload := range []string{`{"blocked":true}`, `{}`} {
		r := got[i].Record
		if got[i].Err != nil || string(r.Payload) != payload || r.Version != changed || r.Type != cachesync.TypeUser {
			t.Errorf("%s: %s %s, want version %s; %v", keys[i], r.Payload, r.Version, changed, got[i].Err)
		}
	}
	for i := 2; i < 5; i++ {
		if got[i].Err == nil || errors.Is(got[i].Err, cachesync.ErrNotFound) {
			t.Errorf("%s: %+v", keys[i], got[i])
		}
	}
	if !errors.Is(got[5].Err, cachesync.ErrNotFound) {
		t.Error(got[5].Err)
	}
	f := func(code int, answer string) {
		t.Helper()
		status, text = code, answer
		if got, err := h.Fill(context.Background(), keys); err == nil {
			t.Errorf("%d %s is taken for %v", code, answer, got)
		}
	}
	f(500, `{"users":{}}`)
	f(200, `{"users":`)
	f(200, `{}`)
}
