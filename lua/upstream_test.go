package lua

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/servers"
)

// Debian's unchanged files of resty.redis and resty.memcached work on our
// cosockets (Debian calls them nginx.redis and nginx.memcached): over TCP and unix sockets, with connections kept and counted.
func TestUpstreamClientsRunUnchanged(t *testing.T) {
	const path = "/usr/share/lua/5.1"
	for _, name := range []string{"redis", "memcached"} {
		if _, err := os.Stat(filepath.Join(path, "nginx", name+".lua")); err != nil {
			t.Skipf("nginx.%s is not installed: apt-get install lua-nginx-%s", name, name)
		}
	}
	dir, err := os.MkdirTemp("", "sock") // a unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	redisSock := filepath.Join(dir, "r")
	redis := servers.Redis(t, "--unixsocket", redisSock).Addr
	memcached := servers.Memcached(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	lines := strings.NewReplacer("REDIS", strings.Replace(redis, ":", `", "`, 1), "MEMCACHED", strings.Replace(memcached, ":", `", "`, 1),
		"UNIX", "unix:"+redisSock, "SILENT", strings.Replace(silent.Addr().String(), ":", `", "`, 1))
	f := func(code, want string) {
		t.Helper()
		res, err := RunOnce(Config{PackagePath: []string{path}}, map[string]string{"t.lua": lines.Replace(code)}, "t.lua", OneRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSuffix(string(res.Body), "\n"); got != want {
			t.Errorf("%s\n got %q\nwant %q\nlog %s", code, got, want, strings.Join(res.Log, "\n"))
		}
	}
	for _, addr := range []string{`"REDIS"`, `"UNIX"`} {
		f(`local r = require("nginx.redis"):new() r:set_timeout(30000)
assert(r:connect(`+addr+`))
ngx.say(r:set("k", "x\0\r\ny"), #r:get("k"), r:get("none") == ngx.null, r:incr("k"))
r:init_pipeline() r:set("n", 1) r:incr("n") local all = r:commit_pipeline() ngx.say(all[1], all[2])
for i = 1, 3 do
  ngx.say(r:get_reused_times(), r:set_keepalive(10000, 5))
  assert(r:connect(`+addr+`))
end`, "OK5truefalseERR value is not an integer or out of range\nOK2\n01\n11\n21")
	}
	f(`local m = require("nginx.memcached"):new() m:set_timeout(30000)
assert(m:connect("MEMCACHED"))
ngx.say(m:set("k", "x\0\r\ny", 60), " ", #m:get("k"), " ", m:get("none"), " ", select(2, m:add("k", 1)))
m:set("n", 41) ngx.say(m:incr("n", 1), " ", m:delete("n"))
for i = 1, 3 do
  ngx.say(m:get_reused_times(), m:set_keepalive(10000, 5))
  assert(m:connect("MEMCACHED"))
end`, "1 5 nil NOT_STORED\n42 1\n01\n11\n21")
	for _, code := range []string{
		`local c = require("nginx.redis"):new() assert(c:connect("SILENT")) c:set_timeout(30) ngx.say(select(2, c:get("k")))`,
		`local c = require("nginx.memcached"):new() assert(c:connect("SILENT")) c:set_timeout(30) ngx.say(select(3, c:get("k")))`,
	} {
		f(code, "timeout")
	}
}
