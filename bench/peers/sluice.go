package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sluice/bench/load/rehearsal"
	"sluice/bench/load/scenario"
	"sluice/bench/load/token"
	"sluice/bench/peers/rig"
	"sluice/cachesync"
)

const adminToken = "bench-peers-admin-token"

const sluiceYAML = `region: {name: idc-1, id: 1, class: idc}
listen: @LISTEN@
admin: {listen: @ADMIN@, token: ` + adminToken + `}
data: @DIR@/data
scripts: @DIR@/scripts
secret: a-secret-for-ids-of-32-characters-at-least
tokens:
  keys: [{id: ` + kid + `, algorithm: HS256, secret: ` + secret + `}]
memcached: {servers: ["@MEMCACHED@"], timeout: 2s}
redis: {addrs: ["@REDIS@"], timeout: 2s}
ledger: {dsn: "sqlite:@DIR@/data/ledger.db"}
rooms: {push: ["ws://127.0.0.1:9000/connection/websocket"], token_life: 5m}
limits: {connections: 20000, in_flight: 20000}
`

const (
	helloRoute = "  - {name: hello, method: GET, path: /hello, content: peer_hello.lua}\n"
	getRoute   = "  - {name: get, method: GET, path: \"/get/{id}\", content: peer_get.lua}\n"
)

const fileRoutes = `  - {name: peer_hello, method: GET, path: /peer/hello, content: peer_hello.lua}
  - {name: peer_draw, method: POST, path: "/peer/v1/redpackets/{id}/draw", content: peer_draw.lua}
  - {name: peer_enter, method: POST, path: "/peer/v1/rooms/{id}/enter", content: peer_enter.lua}
`

// moduleRoot is where go.mod is.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("peers: go list -m: %w; run it inside the repository", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// buildSluice builds the real binary, unless one was given.
func buildSluice(ctx context.Context, r *rig.Rig, given string) (binary, root string, err error) {
	if root, err = moduleRoot(ctx); err != nil || given != "" {
		return given, root, err
	}
	binary = filepath.Join(r.Dir, "sluice")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("peers: go build: %w\n%s", err, out)
	}
	return binary, root, nil
}

// startSluice starts a gateway with the repository's scripts and the given further ones.
func startSluice(ctx context.Context, r *rig.Rig, binary string, st *rig.Stores, moreRoutes string, files map[string]string) (g *sluiceGateway, err error) {
	g = &sluiceGateway{rig: r, stores: st}
	root := ""
	if g.binary, root, err = buildSluice(ctx, r, binary); err != nil {
		return nil, err
	}
	g.dir = filepath.Join(r.Dir, "sluice-house")
	if err := os.MkdirAll(filepath.Join(g.dir, "data"), 0o755); err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	scripts := filepath.Join(g.dir, "scripts")
	if err := os.CopyFS(scripts, os.DirFS(filepath.Join(root, "scripts"))); err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	table, err := os.ReadFile(filepath.Join(scripts, "routes.yaml"))
	if err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	files["routes.yaml"] = strings.TrimRight(string(table), "\n") + "\n" + moreRoutes
	if err := rig.Files(scripts, files); err != nil {
		return nil, err
	}
	if err := rig.RestyClients(filepath.Join(scripts, "lib")); err != nil {
		return nil, err
	}
	port, err := rig.FreePort()
	if err != nil {
		return nil, err
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	conf, _, err := g.config("settle", listen)
	if err != nil {
		return nil, err
	}
	if g.settle, err = r.Start("sluice-settle", "", g.binary, "settle", "-c", conf); err != nil {
		return nil, err
	}
	if conf, _, err = g.config("sync", listen); err != nil {
		return nil, err
	}
	if g.sync, err = r.Start("sluice-sync", "", g.binary, "sync", "-c", conf); err != nil {
		return nil, err
	}
	if conf, g.admin, err = g.config("gateway", listen); err != nil {
		return nil, err
	}
	if g.proc, err = r.Start("sluice-gateway", listen, g.binary, "gateway", "-c", conf); err != nil {
		return nil, err
	}
	return g, g.ready(ctx)
}

// config writes a sluice.yaml for one role: they differ in the address of the admin listener.
func (g *sluiceGateway) config(role, listen string) (file, admin string, err error) {
	port, err := rig.FreePort()
	if err != nil {
		return "", "", err
	}
	admin = fmt.Sprintf("127.0.0.1:%d", port)
	file = filepath.Join(g.dir, role+".yaml")
	text := strings.NewReplacer("@LISTEN@", listen, "@ADMIN@", admin, "@DIR@", g.dir, "@MEMCACHED@", g.stores.Memcached.Addr, "@REDIS@", g.stores.Redis.Addr).Replace(sluiceYAML)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", "", fmt.Errorf("peers: %w", err)
	}
	return file, admin, nil
}

type sluiceGateway struct {
	rig          *rig.Rig
	stores       *rig.Stores
	binary       string
	dir          string
	admin        string
	proc         *rig.Proc
	settle, sync *rig.Proc
}

// ready waits for /readyz.
func (g *sluiceGateway) ready(ctx context.Context) error {
	last := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.admin+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err.Error()
			continue
		}
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		res.Body.Close()
		if res.StatusCode == 200 {
			return nil
		}
		last = string(text)
	}
	return fmt.Errorf("peers: sluice gateway is not ready: %s\n%s\nsettle: %s", last, g.proc.Log(), g.settle.Log())
}

// call is one request to the admin listener.
func (g *sluiceGateway) call(ctx context.Context, method, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+g.admin+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return fmt.Errorf("peers: %s %s: %s %s", method, path, res.Status, text)
	}
	return nil
}

// insist calls again while the house is still coming up.
func (g *sluiceGateway) insist(ctx context.Context, method, path string, body any) (err error) {
	for range 100 {
		if err = g.call(ctx, method, path, body); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// sluicePeer starts sluice, funds and opens the red packets, and sells one out.
// get says whether the route of the case "get" is wanted.
func sluicePeer(ctx context.Context, r *rig.Rig, binary string, open, shares int, get bool, file *rig.Stores, sha string) (*peer, error) {
	st, err := r.Stores("sluice")
	if err != nil {
		return nil, err
	}
	files := map[string]string{"peer_hello.lua": siteFile("hello.lua")}
	table, behind := helloRoute, st
	if get {
		table += getRoute
		files["peer_get.lua"] = siteFile("get.lua")
	}
	if file != nil {
		table, behind = table+fileRoutes, file
		files["peer_draw.lua"], files["peer_enter.lua"] = siteFile("draw.lua"), siteFile("enter.lua")
	}
	files["lib/backends.lua"], files["lib/peer_auth.lua"] = backends(behind, sha), siteFile("sluice_auth.lua")
	g, err := startSluice(ctx, r, binary, st, table, files)
	if err != nil {
		return nil, err
	}
	p := &peer{key: "sluice", name: "sluice", base: "http://" + g.proc.Addr, gateway: g.proc, stores: st, others: []*rig.Proc{g.sync}, admin: g}
	if err := g.insist(ctx, http.MethodPut, "/admin/rooms/"+roomID, map[string]any{"title": "The night"}); err != nil {
		return nil, err
	}
	c := &rehearsal.Client{Target: p.base, Minter: token.New(kid, []byte(secret), time.Now().Add(time.Hour)), Run: "peers", Now: time.Now, Wait: time.Minute, Tell: func(string, int64) {}}
	fund := func(list, times, count int) ([]string, error) {
		return c.Fund(ctx, &scenario.Fund{List: list, Times: times, Body: map[string]any{"amount": count * shareFen, "count": count, "mode": "equal"}}, "sender")
	}
	if p.open, err = fund(0, open, shares); err != nil {
		return nil, fmt.Errorf("%w\nsettle: %s\nsync: %s\ngateway: %s", err, g.settle.Log(), g.sync.Log(), g.proc.Log())
	}
	sold, err := fund(1, 1, 1)
	if err != nil {
		return nil, err
	}
	p.sold = sold[0]
	if got, err := ask(p, "POST", "/v1/redpackets/"+p.sold+"/draw", "somebody"); err != nil || got["outcome"] != "won" {
		return nil, fmt.Errorf("peers: selling out: %v, %v", got, err)
	}
	g.settle.Stop()
	rec := cachesync.Record{Type: cachesync.TypeUser, Version: cachesync.MakeVersion(1, 1, 1), CommitMS: time.Now().UnixMilli(), Payload: []byte(userJSON)}
	return p, warmUsers(st.Memcached.Addr, winners, rec.Append(nil))
}
