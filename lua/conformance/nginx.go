package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// target runs a site and gives its log.
type target interface {
	start(s *site) error
	stop()
	log() string
}

// nginxTarget is Debian's nginx.
type nginxTarget struct {
	s   *site
	cmd *exec.Cmd
	out strings.Builder
}

func checkNginx() error {
	const line = "apt-get install nginx-light libnginx-mod-http-lua libnginx-mod-http-echo libnginx-mod-http-headers-more-filter"
	if _, err := exec.LookPath("nginx"); err != nil {
		return &missing{"nginx", line}
	}
	for _, m := range []string{"ngx_http_lua_module.so", "ngx_http_echo_module.so", "ngx_http_headers_more_filter_module.so"} {
		if _, err := os.Stat("/usr/lib/nginx/modules/" + m); err != nil {
			return &missing{"nginx's " + m, line}
		}
	}
	return nil
}

func (n *nginxTarget) start(s *site) error {
	n.s = s
	n.cmd = exec.Command("nginx", "-p", s.dir+"/", "-c", "conf/nginx.conf", "-e", "logs/error.log")
	n.cmd.Stderr = &n.out
	if err := n.cmd.Start(); err != nil {
		return err
	}
	dead := make(chan error, 1)
	go func() { dead <- n.cmd.Wait() }()
	end := time.Now().Add(5 * time.Second)
	for {
		if b, err := os.ReadFile(filepath.Join(s.dir, "logs", "nginx.pid")); err == nil && len(b) > 0 {
			break
		}
		select {
		case err := <-dead:
			n.cmd = nil
			return fmt.Errorf("nginx ended: %v: %s", err, n.out.String())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("nginx does not start: %s", n.out.String())
		}
		time.Sleep(2 * time.Millisecond)
	}
	if !strings.Contains(s.conf, "listen "+strconv.Itoa(s.port)) {
		time.Sleep(20 * time.Millisecond)
		return nil
	}
	return waitPort(s.port, 3*time.Second)
}

func (n *nginxTarget) stop() {
	if n.cmd != nil && n.cmd.Process != nil {
		_ = n.cmd.Process.Kill()
	}
}

func (n *nginxTarget) log() string {
	b, _ := os.ReadFile(filepath.Join(n.s.dir, "logs", "error.log"))
	return string(b)
}
