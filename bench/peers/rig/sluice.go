package rig

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

	"sluice/internal/servers"
)

// What every started sluice is told; the values are good for nothing else.
const (
	AdminToken = "bench-peers-admin-token"
	KeyID      = "k1"
	Secret     = "bench-peers-secret-of-32-characters-or-more"
)

const sluiceYAML = `region: {name: idc-1, id: 1, class: idc}
listen: @LISTEN@
admin: {listen: @ADMIN@, token: ` + AdminToken + `}
data: @DIR@/data
scripts: @DIR@/scripts
secret: a-secret-for-ids-of-32-characters-at-least
tokens:
  keys: [{id: ` + KeyID + `, algorithm: HS256, secret: ` + Secret + `}]
memcached: {servers: ["@MEMCACHED@"]@PATIENCE@}
redis: {addrs: ["@REDIS@"]@PATIENCE@}
ledger: {dsn: "sqlite:@DIR@/data/ledger.db"}
rooms: {push: ["ws://127.0.0.1:9000/connection/websocket"], token_life: 5m}
limits: {connections: 20000, in_flight: 20000}
sync: {invalidations: @FEED@}
`

// moduleRoot is where go.mod is.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("rig: go list -m: %w; run it inside the repository", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// buildSluice builds the real binary, unless one was given.
func buildSluice(ctx context.Context, r *Rig, given string) (binary, root string, err error) {
	if root, err = moduleRoot(ctx); err != nil || given != "" {
		return given, root, err
	}
	binary = filepath.Join(r.Dir, "sluice")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("rig: go build: %w\n%s", err, out)
	}
	return binary, root, nil
}

// Sluice starts gateway, settle and sync of the binary ("" builds the repository's) with the repository's
// scripts, further routes and further script files, and waits until the gateway is ready.
func (r *Rig) Sluice(ctx context.Context, binary string, st *Stores, moreRoutes string, files map[string]string) (h *House, err error) {
	h = &House{stores: st, patience: r.Patience}
	root := ""
	if h.Binary, root, err = buildSluice(ctx, r, binary); err != nil {
		return nil, err
	}
	h.dir = filepath.Join(r.Dir, "sluice-house")
	if err := os.MkdirAll(filepath.Join(h.dir, "data"), 0o755); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	scripts := filepath.Join(h.dir, "scripts")
	if err := os.CopyFS(scripts, os.DirFS(filepath.Join(root, "scripts"))); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	table, err := os.ReadFile(filepath.Join(scripts, "routes.yaml"))
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	files["routes.yaml"] = strings.TrimRight(string(table), "\n") + "\n" + moreRoutes
	if err := Files(scripts, files); err != nil {
		return nil, err
	}
	if err := RestyClients(filepath.Join(scripts, "lib")); err != nil {
		return nil, err
	}
	feed, err := servers.Port()
	if err != nil {
		return nil, err
	}
	h.feed = fmt.Sprintf("127.0.0.1:%d", feed)
	port, err := servers.Port()
	if err != nil {
		return nil, err
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	conf, _, err := h.config("settle", listen)
	if err != nil {
		return nil, err
	}
	if h.Settle, err = r.Start("sluice-settle", "", h.Binary, "settle", "--sync=false", "-c", conf); err != nil {
		return nil, err
	}
	if conf, _, err = h.config("sync", listen); err != nil {
		return nil, err
	}
	if h.Sync, err = r.Start("sluice-sync", "", h.Binary, "sync", "-c", conf); err != nil {
		return nil, err
	}
	if conf, h.Admin, err = h.config("gateway", listen); err != nil {
		return nil, err
	}
	if h.Gateway, err = r.Start("sluice-gateway", listen, h.Binary, "gateway", "-c", conf); err != nil {
		return nil, err
	}
	return h, h.ready(ctx)
}

// config writes a sluice.yaml for one role: they differ in the address of the admin listener.
func (h *House) config(role, listen string) (file, admin string, err error) {
	port, err := servers.Port()
	if err != nil {
		return "", "", err
	}
	admin = fmt.Sprintf("127.0.0.1:%d", port)
	file = filepath.Join(h.dir, role+".yaml")
	patience := ""
	if h.patience > 0 {
		patience = ", timeout: " + h.patience.String()
	}
	text := strings.NewReplacer("@PATIENCE@", patience, "@LISTEN@", listen, "@ADMIN@", admin, "@DIR@", h.dir, "@MEMCACHED@", h.stores.Memcached.Addr, "@REDIS@", h.stores.Redis.Addr, "@FEED@", h.feed).Replace(sluiceYAML)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", "", fmt.Errorf("rig: %w", err)
	}
	return file, admin, nil
}

// House is a running sluice: the roles as processes of their own.
type House struct {
	Gateway, Settle, Sync *Proc
	Admin                 string // host:port of the gateway's admin listener
	Binary                string // what was started
	stores                *Stores
	patience              time.Duration
	feed                  string // where sync tells the gateway what changed
	dir                   string
}

// ready waits for /readyz.
func (h *House) ready(ctx context.Context) error {
	last := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.Admin+"/readyz", nil)
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
	return fmt.Errorf("rig: sluice gateway is not ready: %s\n%s\nsettle: %s", last, h.Gateway.Log(), h.Settle.Log())
}

// Call is one request to the admin listener.
func (h *House) Call(ctx context.Context, method, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+h.Admin+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+AdminToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return fmt.Errorf("rig: %s %s: %s %s", method, path, res.Status, text)
	}
	return nil
}

// Insist calls again while the house is still coming up.
func (h *House) Insist(ctx context.Context, method, path string, body any) (err error) {
	for range 100 {
		if err = h.Call(ctx, method, path, body); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// Save fetches a path of the admin listener into a file.
func (h *House) Save(ctx context.Context, path, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.Admin+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+AdminToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("rig: %s: %w", path, err)
	}
	if res.StatusCode != 200 {
		return fmt.Errorf("rig: %s: %s %.200s", path, res.Status, text)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	return nil
}
