package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sluice/internal/servers"
)

const nginxConf = `daemon off;
worker_processes auto;
pcre_jit on;
worker_rlimit_nofile 20000;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log warn;
load_module /usr/share/nginx/modules/ndk_http_module.so;
load_module /usr/share/nginx/modules/ngx_http_lua_module.so;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path @DIR@/body; proxy_temp_path @DIR@/proxy; fastcgi_temp_path @DIR@/fastcgi; uwsgi_temp_path @DIR@/uwsgi; scgi_temp_path @DIR@/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  default_type application/json;
  lua_package_path "@DIR@/lua/?.lua;/usr/share/lua/5.1/?.lua;;";
  lua_socket_log_errors off;
  @HTTP@
  server {
    listen 127.0.0.1:@PORT@ backlog=8192;
@SERVER@
  }
}
`

// Nginx starts Debian's nginx with the Lua module. files are Lua modules, http and server go into
// those blocks of the configuration. Its Redis and memcached clients are Debian's, unchanged, under
// their usual names resty.memcached and resty.redis.
func (r *Rig) Nginx(name, http, server string, files map[string]string) (*Proc, error) {
	dir := filepath.Join(r.Dir, name)
	if err := Files(filepath.Join(dir, "lua"), files); err != nil {
		return nil, err
	}
	if err := RestyClients(filepath.Join(dir, "lua")); err != nil {
		return nil, err
	}
	port, err := servers.Port()
	if err != nil {
		return nil, err
	}
	conf := strings.NewReplacer("@HTTP@", http, "@SERVER@", server).Replace(nginxConf)
	conf = strings.NewReplacer("@DIR@", dir, "@PORT@", fmt.Sprint(port)).Replace(conf)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	return r.Start(name+"-server", fmt.Sprintf("127.0.0.1:%d", port), "nginx", "-p", dir, "-c", file)
}

// Files writes files below dir.
func Files(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("rig: %w", err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("rig: %w", err)
		}
	}
	return nil
}

// RestyClients copies Debian's clients to dir/resty, where upstream has them.
func RestyClients(dir string) error {
	files := map[string]string{}
	for _, client := range []string{"memcached", "redis"} {
		text, err := os.ReadFile("/usr/share/lua/5.1/nginx/" + client + ".lua")
		if err != nil {
			return fmt.Errorf("rig: %w; apt-get install -y lua-nginx-memcached lua-nginx-redis", err)
		}
		files["resty/"+client+".lua"] = string(text)
	}
	return Files(dir, files)
}
