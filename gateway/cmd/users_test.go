package cmd

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"sluice/cachesync"
	"sluice/cachesync/changelog"
	"sluice/gateway/config"
	"sluice/internal/servers"
)

// A user whom memcached has lost is what the user service says, unless a live change is newer.
func TestALostUserComesFromTheUserService(t *testing.T) {
	ctx := context.Background()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"users":{"ann":{"updated_at":"2026-01-01","state":{"level":1}},"bob":{"updated_at":"2026-01-01","state":{"level":1}}}}`))
	}))
	defer service.Close()
	cfg := config.Default()
	cfg.Secret, cfg.Admin.Token = "0123456789abcdef0123456789abcdef", "a token of 16 bytes"
	cfg.Redis.Addrs, cfg.Memcached.Servers = []string{servers.Redis(t).Addr}, []string{servers.Memcached(t)}
	cfg.Users.URL, cfg.Users.Epoch = service.URL, 2
	p, err := openParts(cfg, slog.New(slog.DiscardHandler), config.RoleGateway)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.openHouse(false); err != nil {
		t.Fatal(err)
	}
	client, err := p.openMemcached(false)
	if err != nil {
		t.Fatal(err)
	}
	cache := p.openCache(client)
	for b := range cachesync.Buckets {
		if _, err := changelog.Raise(ctx, p.control, b, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range cachesync.UserScripts(1) {
		p.control.ScriptLoad(ctx, text)
	}
	if err := p.users.Put(ctx, []cachesync.User{{UID: "bob", State: []byte(`{"level":2}`)}}); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[string]string{"ann": `{"level":1}`, "bob": `{"level":2}`, "nobody": `{}`} {
		reads := []cachesync.Read{{Key: cachesync.UserKey(uid)}}
		if err := cache.Read(ctx, reads); err != nil || string(reads[0].Record.Payload) != want {
			t.Errorf("%s: %s %q %v, want %s", uid, reads[0].State, reads[0].Record.Payload, reads[0].Err, want)
		}
	}
	service.Close()
	reads := []cachesync.Read{{Key: cachesync.UserKey("cid")}}
	if err := cache.Read(ctx, reads); err != nil || reads[0].State != cachesync.Later {
		t.Errorf("the service is down, and a user is %s %q, want later", reads[0].State, reads[0].Record.Payload)
	}
}
