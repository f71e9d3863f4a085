package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// site is one block on disk: its folder, its ports, its configuration.
type site struct {
	b    *Block
	dir  string // has conf/, html/, logs/
	port int
	rand []int
	env  *backends
	conf string
}

// expand replaces $TEST_NGINX_ variables as Test::Nginx does.
func (s *site) expand(t string) string {
	if !strings.Contains(t, "TEST_NGINX_") {
		return t
	}
	html := filepath.Join(s.dir, "html")
	for _, r := range []struct{ name, val string }{
		{"SERVER_PORT", strconv.Itoa(s.port)},
		{"MEMCACHED_PORT", s.env.memcached},
		{"REDIS_PORT", s.env.redis},
		{"HTML_DIR", html},
		{"SERVER_ROOT", s.dir},
		{"RESOLVER", "127.0.0.1"},
		{"INVALID_IP", "127.0.0.9"},
		{"RAND_PORT_1", strconv.Itoa(s.rand[0])},
		{"RAND_PORT_2", strconv.Itoa(s.rand[1])},
		{"CLIENT_PORT", strconv.Itoa(s.port)},
		{"CERT_DIR", s.dir},
	} {
		t = strings.ReplaceAll(t, "$TEST_NGINX_"+r.name, r.val)
		t = strings.ReplaceAll(t, "${TEST_NGINX_"+r.name+"}", r.val)
	}
	return t
}

// write makes the folder: the configuration, with the config section at line
// 39 when there is no http_config (scripts' errors name lines of it), and the
// user files.
func (s *site) write() error {
	for _, d := range []string{"conf", "html", "logs"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o755); err != nil {
			return err
		}
	}
	level := strings.TrimSpace(s.b.text("log_level"))
	if level == "" {
		level = "debug"
	}
	listen := s.b.text("listen")
	if listen == "" {
		listen = strconv.Itoa(s.port)
	}
	main := s.b.text("main_config")
	var l []string
	add := func(x ...string) { l = append(l, x...) }
	add("worker_processes 1; daemon off; master_process off;")
	add("load_module /usr/lib/nginx/modules/ndk_http_module.so; load_module /usr/lib/nginx/modules/ngx_http_lua_module.so; " +
		"load_module /usr/lib/nginx/modules/ngx_http_echo_module.so; load_module /usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so;")
	add("error_log logs/error.log "+level+";", "pid logs/nginx.pid;", "events { worker_connections 64; accept_mutex off; }", "env LD_PRELOAD;")
	if main != "" {
		add(strings.Split(strings.TrimRight(main, "\n"), "\n")...)
	}
	add("http {", "    access_log off;", "    default_type text/plain;", "    keepalive_timeout 68;",
		"    client_body_temp_path logs/b; proxy_temp_path logs/p; fastcgi_temp_path logs/f; uwsgi_temp_path logs/u; scgi_temp_path logs/s;")
	if h := s.b.text("http_config"); h != "" {
		add(strings.Split(strings.TrimSuffix(h, "\n"), "\n")...)
	}
	add("    server {", "        listen "+listen+";", "        server_name 'localhost';", "        client_max_body_size 30M;")
	fixed := 15 // lines above without main_config and http_config
	for n := fixed; n < 38; n++ {
		add("        #")
	}
	add(strings.Split(strings.TrimSuffix(s.b.text("config"), "\n"), "\n")...)
	root := filepath.Join(s.dir, "html")
	if !definesRoot(s.b.text("config")) {
		add("        location / { root " + root + "; index index.html index.htm; }")
	}
	add("    }", "}", "")
	s.conf = latin1(s.expand(strings.Join(l, "\n")))
	if err := os.WriteFile(filepath.Join(s.dir, "conf", "nginx.conf"), []byte(s.conf), 0o644); err != nil {
		return err
	}
	return s.userFiles()
}

func definesRoot(c string) bool {
	for l := range strings.SplitSeq(c, "\n") {
		f := strings.Fields(strings.ReplaceAll(l, "{", " { "))
		if len(f) >= 2 && f[0] == "location" && (f[1] == "/" && f[2] == "{" || len(f) > 2 && f[1] == "^~" && f[2] == "/") {
			return true
		}
	}
	return false
}

func (s *site) userFiles() error {
	html := filepath.Join(s.dir, "html")
	if err := os.WriteFile(filepath.Join(html, "index.html"), []byte("<html><head><title>It works!</title></head><body>It works!</body></html>"), 0o644); err != nil {
		return err
	}
	for _, part := range strings.Split("\n"+s.b.text("user_files"), "\n>>> ")[1:] {
		head, body, _ := strings.Cut(part, "\n")
		f := strings.Fields(head)
		if len(f) == 0 {
			continue
		}
		p := filepath.Join(html, f[0])
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if body != "" && !strings.HasSuffix(body, "\n") {
			body += "\n"
		}
		if err := os.WriteFile(p, []byte(latin1(s.expand(body))), 0o644); err != nil {
			return err
		}
	}
	return nil
}
