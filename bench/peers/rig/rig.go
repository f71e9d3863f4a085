package rig

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sluice/bench/procs"
)

// ErrStart is wrapped when a server could not be started; the text holds its log.
var ErrStart = errors.New("server did not start")

// Rig holds everything started for a comparison. It is used by one goroutine.
type Rig struct {
	Dir string
	// Patience is how long a sluice waits for its stores; zero value means its own defaults.
	Patience time.Duration
	procs    []*Proc
}

// Proc is one started program.
type Proc struct {
	Name string
	Addr string
	cmd  *exec.Cmd
	done chan struct{}
	log  string
}

// New makes a rig with a temporary folder.
func New() (*Rig, error) {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // nginx' workers are another user when root starts it
		return nil, fmt.Errorf("rig: %w", err)
	}
	return &Rig{Dir: dir}, nil
}

// Close ends all that runs, the last started first, and removes the folder.
func (r *Rig) Close() {
	for i := len(r.procs) - 1; i >= 0; i-- {
		r.procs[i].Stop()
	}
	_ = os.RemoveAll(r.Dir)
}

// Start runs a program and waits until addr accepts connections; addr "" does not wait.
func (r *Rig) Start(name, addr, path string, args ...string) (*Proc, error) {
	p := &Proc{Name: name, Addr: addr, log: filepath.Join(r.Dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	defer log.Close()
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = r.Dir, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to handle, so that the folder is removed
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("rig: %w: %s: %w; is it installed? apt-get install -y nginx libnginx-mod-http-lua lua-nginx-memcached lua-nginx-redis lua-cjson memcached redis-server", ErrStart, name, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	r.procs = append(r.procs, p)
	return p, p.await()
}

func (p *Proc) await() error {
	if p.Addr == "" {
		return nil
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.DialTimeout("tcp", p.Addr, time.Second); err == nil {
			c.Close()
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("rig: %w: %s ended at once:\n%s", ErrStart, p.Name, p.Log())
		default:
		}
	}
	return fmt.Errorf("rig: %w: %s does not accept connections on %s:\n%s", ErrStart, p.Name, p.Addr, p.Log())
}

// Log is the end of what the program wrote.
func (p *Proc) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// Stop ends the program by SIGTERM, after 5 s by SIGKILL.
func (p *Proc) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// PIDs are the program and its children: nginx serves with workers.
func (p *Proc) PIDs() ([]int, error) {
	kids, err := procs.Children(p.cmd.Process.Pid)
	return append([]int{p.cmd.Process.Pid}, kids...), err
}

// Pause stops the program where it stands; Continue lets it go on.
func (p *Proc) Pause() error    { return p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *Proc) Continue() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// PID is the program's own process.
func (p *Proc) PID() int { return p.cmd.Process.Pid }
