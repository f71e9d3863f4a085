package main

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	"sluice/internal/servers"
)

// backends are the servers that blocks talk to.
type backends struct {
	memcached, redis string // ports
	cmds             []*exec.Cmd
}

// missing tells what is not installed.
type missing struct{ what, install string }

func (m *missing) Error() string {
	return m.what + " is not installed; install it with: " + m.install
}

func startBackends(dir string) (*backends, error) {
	b := &backends{}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	b.memcached, b.redis = strconv.Itoa(ports[0]), strconv.Itoa(ports[1])
	for _, c := range [][]string{
		{"memcached", "-l", "127.0.0.1", "-p", b.memcached, "-U", "0", "-u", "nobody"},
		{"redis-server", "--port", b.redis, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--daemonize", "no"},
	} {
		if _, err := exec.LookPath(c[0]); err != nil {
			return nil, &missing{c[0], "apt-get install memcached redis-server"}
		}
		cmd := exec.Command(c[0], c[1:]...)
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("%s: %w", c[0], err)
		}
		b.cmds = append(b.cmds, cmd)
	}
	for _, p := range ports {
		if err := waitPort(p, 5*time.Second); err != nil {
			b.stop()
			return nil, err
		}
	}
	return b, nil
}

func (b *backends) stop() {
	for _, c := range b.cmds {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}

// freePorts gives n ports that nobody listens on.
func freePorts(n int) ([]int, error) {
	out := make([]int, n)
	for i := range out {
		var err error
		if out[i], err = servers.Port(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func waitPort(port int, d time.Duration) error {
	end := time.Now().Add(d)
	for {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(port), time.Second)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("port %d: nobody listens after %v: %w", port, d, err)
		}
		time.Sleep(3 * time.Millisecond)
	}
}
