package servers

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// MemcachedServer is a running memcached.
type MemcachedServer struct {
	*Process
	Addr string
}

// Memcached starts memcached with further arguments, such as "-m", "64", and
// returns its address.
func Memcached(tb TB, args ...string) string {
	tb.Helper()
	return StartMemcached(tb, args...).Addr
}

// StartMemcached is Memcached for tests that kill and restart it.
func StartMemcached(tb TB, args ...string) *MemcachedServer {
	tb.Helper()
	port := FreePort(tb)
	all := append([]string{"-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0", "-u", "root", "-t", "2"}, args...)
	p := start(tb, "memcached", port, tb.TempDir(), all)
	return &MemcachedServer{Process: p, Addr: p.addr}
}

// RedisServer is a running Redis; its data survive Kill and Start.
type RedisServer struct {
	*Process
	Addr string
	Dir  string
}

// Redis starts a Redis as a home needs it (appendonly yes, appendfsync always,
// noeviction); further arguments, such as "--appendfsync", "no", come last and
// win.
func Redis(tb TB, args ...string) *RedisServer {
	tb.Helper()
	port, dir := FreePort(tb), tb.TempDir()
	all := append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"}, args...)
	p := start(tb, "redis-server", port, dir, all)
	return &RedisServer{Process: p, Addr: p.addr, Dir: dir}
}

// Postgres starts a private PostgreSQL cluster and returns the DSN of its
// database.
func Postgres(tb TB) (dsn string) {
	tb.Helper()
	_, dsn = StartPostgres(tb)
	return dsn
}

// StartPostgres is Postgres for tests that kill and restart it. PostgreSQL
// refuses to run as root, so root runs it as the user postgres.
func StartPostgres(tb TB, options ...string) (*Process, string) {
	tb.Helper()
	const bin = "/usr/lib/postgresql/*/bin"
	initdb, postgres := find(tb, "initdb", bin), find(tb, "postgres", bin)
	// Not tb.TempDir: the folders above it can be closed to the user postgres.
	dir, err := os.MkdirTemp("", "sluice-postgres-")
	if err != nil {
		tb.Fatalf("servers: %v", err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	cred := credentials(tb, dir)
	data := filepath.Join(dir, "data")
	cmd := exec.Command(initdb, "-D", data, "-U", "sluice", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("servers: initdb: %v\n%s", err, out)
	}
	port := FreePort(tb)
	args := []string{"-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-k", dir}
	for _, o := range options {
		args = append(args, "-c", o)
	}
	p := &Process{tb: tb, path: postgres, args: args, dir: dir, cred: cred, addr: fmt.Sprintf("127.0.0.1:%d", port)}
	p.Start()
	tb.Cleanup(func() { p.end(syscall.SIGQUIT) })
	dsn := fmt.Sprintf("postgres://sluice@127.0.0.1:%d/postgres?sslmode=disable", port)
	awaitPostgres(tb, find(tb, "pg_isready", bin), port)
	return p, dsn
}

// MariaDB starts a private MariaDB, which speaks MySQL's protocol, and returns
// the DSN of its database "test".
func MariaDB(tb TB) (dsn string) {
	tb.Helper()
	dir, port := tb.TempDir(), FreePort(tb)
	data := filepath.Join(dir, "data")
	install := exec.Command(find(tb, "mariadb-install-db"), "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve", "--force")
	if out, err := install.CombinedOutput(); err != nil {
		tb.Fatalf("servers: mariadb-install-db: %v\n%s", err, out)
	}
	init := filepath.Join(dir, "init.sql")
	if err := os.WriteFile(init, []byte("CREATE DATABASE test CHARACTER SET utf8mb4;\n"), 0o644); err != nil {
		tb.Fatalf("servers: %v", err)
	}
	args := []string{"--no-defaults", "--datadir=" + data, "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port), "--socket=" + filepath.Join(dir, "sock"),
		"--pid-file=" + filepath.Join(dir, "pid"), "--init-file=" + init, "--skip-name-resolve", "--innodb-buffer-pool-size=32M"}
	if os.Getuid() == 0 {
		args = append(args, "--user=root")
	}
	start(tb, "mariadbd", port, dir, args)
	return fmt.Sprintf("root@tcp(127.0.0.1:%d)/test", port)
}

func awaitPostgres(tb TB, ready string, port int) {
	tb.Helper()
	var out []byte
	for range 200 {
		var err error
		if out, err = exec.Command(ready, "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-t", "1").CombinedOutput(); err == nil {
			return
		}
	}
	tb.Fatalf("servers: postgres is not ready: %s", strings.TrimSpace(string(out)))
}

// credentials gives dir to the user postgres when the test runs as root.
func credentials(tb TB, dir string) *syscall.Credential {
	tb.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		tb.Fatalf("servers: no user postgres: %v; `bash .ci/need` prints what to install", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		tb.Fatalf("servers: %v", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatalf("servers: %v", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
