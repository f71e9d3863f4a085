package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/gateway/token"
	"sluice/internal/servers"
)

// house is the system on real parts.
type house struct {
	t          *testing.T
	file       string
	ring       *token.Ring
	addr       string
	gateAdmin  string
	settleAddr string
	scripts    string
	memcached  *servers.MemcachedServer
	redis      *servers.RedisServer
	gateway    *process
	settle     *process
}

const (
	testSecret = "0123456789abcdef0123456789abcdef"
	adminToken = "0123456789abcdef-admin"
)

// startHouse starts memcached, Redis, PostgreSQL, gateway and settle; more are lines of sluice.yaml.
func startHouse(t *testing.T, more ...string) *house {
	t.Helper()
	h := &house{t: t, memcached: servers.StartMemcached(t), redis: servers.Redis(t)}
	dsn := servers.Postgres(t)
	dir := t.TempDir()
	h.addr = fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t))
	h.gateAdmin = fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t))
	h.settleAddr = fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t))
	h.scripts = copyScripts(t)
	h.file = filepath.Join(dir, "sluice.yaml")
	text := fmt.Sprintf(`
region: {name: test, id: 1}
listen: %s
admin: {listen: %s, token: "${E2E_ADMIN}"}
data: %s
scripts: %s
secret: ${E2E_SECRET}
tokens:
  keys: [{id: k1, algorithm: HS256, secret: "${E2E_SECRET}"}]
memcached:
  servers: ["%s"]
redis:
  addrs: ["%s"]
ledger: {dsn: "%s"}
`, h.addr, h.gateAdmin, filepath.Join(dir, "data"), h.scripts, h.memcached.Addr, h.redis.Addr, dsn) + strings.Join(more, "")
	if err := os.WriteFile(h.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.ring, err = token.NewRing([]token.Key{{ID: "k1", Algorithm: "HS256", Secret: testSecret}}, 0, time.Now); err != nil {
		t.Fatal(err)
	}
	h.settle = start(t, "settle", "-c", h.file, "--admin", h.settleAddr)
	h.gateway = start(t, "gateway", "-c", h.file)
	awaitReady(t, h.settle, h.settleAddr)
	awaitReady(t, h.gateway, h.gateAdmin)
	return h
}

// copyScripts gives a test a scripts folder of its own.
func copyScripts(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "scripts")
	if err := os.CopyFS(dir, os.DirFS("../../scripts")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (h *house) token(uid, scope string) string {
	h.t.Helper()
	text, err := h.ring.Mint(token.Claims{UID: uid, Scope: scope}, time.Hour)
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

// fund funds a red packet and waits until it is open.
func fund(t *testing.T, c *client, body string, header ...string) string {
	t.Helper()
	a := c.do(t, "POST", "/v1/redpackets", body, header...)
	if a.Status != 202 {
		t.Fatalf("fund: %d %s", a.Status, a.Body)
	}
	awaitState(t, c, a.str("id"), "open")
	return a.str("id")
}

func awaitState(t *testing.T, c *client, id, state string) {
	t.Helper()
	eventually(t, 30e9, func() error {
		a := c.do(t, "GET", "/v1/redpackets/"+id, "")
		if a.Status != 200 || a.str("state") != state {
			return fmt.Errorf("%d %s", a.Status, a.Body)
		}
		return nil
	})
}
