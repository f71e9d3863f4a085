package user

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sluice/cachesync"
	"sluice/cachesync/record"
	"sluice/cachesync/warmup/source"
)

// HTTP is the user source behind a URL: what warm-ups load, one batch at a time. It is asked
//
//	POST URL {"uids":["u1","u2"]}
//
// and tells those whom it knows, each with when his row changed, which is the record's version:
//
//	{"users":{"u1":{"updated_at":"2027-02-05T12:00:00Z","state":{"blocked":true}}}}
//
// Times may be all that a warm-up takes (source.ParseTime).
type HTTP struct {
	URL    string
	Token  string       // sent as a bearer token, if set
	Epoch  uint64       // of the source
	Client *http.Client // nil means http.DefaultClient
	Now    func() time.Time
}

// maxAnswer bounds the bytes of one answer: a batch of the largest users.
const maxAnswer = 64 << 20

// told is what the source says of one user.
type told struct {
	UpdatedAt json.RawMessage `json:"updated_at"`
	State     json.RawMessage `json:"state"`
}

// Fill implements cachesync.Source.
func (h *HTTP) Fill(ctx context.Context, keys []string) ([]cachesync.Filled, error) {
	uids := make([]string, len(keys))
	for i, key := range keys {
		uids[i] = strings.TrimPrefix(key, record.PrefixUser)
	}
	users, err := h.ask(ctx, uids)
	if err != nil {
		return nil, fmt.Errorf("user: asking the source: %w", err)
	}
	out := make([]cachesync.Filled, len(keys))
	for i, key := range keys {
		out[i] = cachesync.Filled{Key: key, Err: cachesync.ErrNotFound}
		if one, ok := users[uids[i]]; ok {
			if out[i].Record, out[i].Err = h.record(one); out[i].Err != nil {
				out[i].Err = fmt.Errorf("user: the source says of %s: %w", uids[i], out[i].Err)
			}
		}
	}
	return out, nil
}

func (h *HTTP) ask(ctx context.Context, uids []string) (map[string]told, error) {
	question, err := json.Marshal(map[string][]string{"uids": uids})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if h.Token != "" {
		req.Header.Set("Authorization", "Bearer "+h.Token)
	}
	client := h.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Users map[string]told `json:"users"`
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %d, want 200", res.StatusCode)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("its answer is not the JSON that was agreed on: %w", err)
	}
	if answer.Users == nil {
		return nil, fmt.Errorf("its answer has no \"users\"")
	}
	return answer.Users, nil
}

func (h *HTTP) record(one told) (cachesync.Record, error) {
	at, err := source.ParseTime(strings.Trim(string(one.UpdatedAt), `"`))
	if err != nil {
		return cachesync.Record{}, fmt.Errorf("updated_at: %w", err)
	}
	now := time.Now
	if h.Now != nil {
		now = h.Now
	}
	if at.After(now().Add(time.Minute)) { // it would beat live changes until then
		return cachesync.Record{}, fmt.Errorf("updated_at %s is in the future", at.UTC().Format(time.RFC3339))
	}
	if !bytes.HasPrefix(one.State, []byte("{")) || len(one.State) > cachesync.MaxUserBytes {
		return cachesync.Record{}, fmt.Errorf("the state, %d bytes, is not a JSON object of at most %d", len(one.State), cachesync.MaxUserBytes)
	}
	v := record.VersionAt(h.Epoch, at)
	return cachesync.Record{Type: cachesync.TypeUser, Version: v, CommitMS: v.UnixMS(), Payload: one.State}, nil
}
