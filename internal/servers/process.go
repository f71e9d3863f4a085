package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// TB is the part of testing.TB that is needed here; benchmarks' own programs
// bring their own.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// FreePort is Port for tests.
func FreePort(tb TB) int {
	tb.Helper()
	port, err := Port()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return port
}

// find returns the path of an installed program, or fails with the line that
// installs it.
func find(tb TB, name string, dirs ...string) string {
	tb.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range dirs {
		matches, _ := filepath.Glob(filepath.Join(pattern, name))
		if len(matches) > 0 {
			return matches[len(matches)-1]
		}
	}
	tb.Fatalf("servers: %s is not installed; `bash .ci/need` prints the line that installs it", name)
	return ""
}

// Process is one started server; its methods may be called from any goroutine.
type Process struct {
	tb   TB
	path string
	args []string
	env  []string // besides this process' own
	dir  string
	cred *syscall.Credential
	addr string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// PID is the process id of the running server.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// Start starts the server (again) and waits until it accepts connections.
func (p *Process) Start() {
	p.tb.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, filepath.Base(p.path)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.tb.Fatalf("servers: %v", err)
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: p.cred}
	if err := cmd.Start(); err != nil {
		p.tb.Fatalf("servers: start %s: %v", p.path, err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	p.mu.Lock()
	p.cmd, p.done = cmd, done
	p.mu.Unlock()
	p.await()
}

func (p *Process) await() {
	p.tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-p.done:
			p.tb.Fatalf("servers: %s %v ended at once:\n%s", p.path, p.args, p.Output())
		default:
		}
	}
	p.tb.Fatalf("servers: %s does not accept connections on %s", p.path, p.addr)
}

// Kill ends the server with SIGKILL and waits until it is gone.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop ends the server with SIGTERM and waits until it is gone.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

// Pause freezes the server (SIGSTOP) and returns when all its threads stand: the
// signal alone lets them answer for a moment yet.
func (p *Process) Pause() {
	p.tb.Helper()
	p.signal(syscall.SIGSTOP)
	AwaitStopped(p.tb, p.PID())
}

// AwaitStopped waits until no thread of a process that was sent SIGSTOP runs any more.
func AwaitStopped(tb TB, pid int) {
	tb.Helper()
	for range 1000 {
		if stopped(pid) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	tb.Fatalf("servers: process %d did not stop", pid)
}

func stopped(pid int) bool {
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, name := range stats {
		text, _ := os.ReadFile(name)
		// "pid (name) state ...", and the name may hold anything.
		if _, state, ok := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " "); ok && !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// Resume lets a paused server go on (SIGCONT).
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		p.cmd.Process.Signal(s)
	}
}

func (p *Process) end(s syscall.Signal) {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Signal(s)
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		cmd.Process.Kill()
		<-done
	}
}

// StartProgram starts a program of this house that listens on addr, with further environment.
func StartProgram(tb TB, path string, env []string, addr string, args ...string) *Process {
	tb.Helper()
	p := &Process{tb: tb, path: find(tb, path), args: args, env: env, dir: tb.TempDir(), addr: addr}
	p.Start()
	tb.Cleanup(p.Kill)
	return p
}

// Output is what the program has written so far.
func (p *Process) Output() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, filepath.Base(p.path)+".log"))
	return string(text)
}

func start(tb TB, name string, port int, dir string, args []string) *Process {
	tb.Helper()
	p := &Process{tb: tb, path: find(tb, name), args: args, dir: dir, addr: fmt.Sprintf("127.0.0.1:%d", port)}
	p.Start()
	tb.Cleanup(p.Kill)
	return p
}
