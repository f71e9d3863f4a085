package e2e

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
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/servers"
)

// binary is ./sluice as it was built for this run.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "sluice")
	// Without the profile, which costs minutes to build with and changes no answer.
	args := append([]string{"build", "-pgo=off", "-o", binary}, raceFlag...)
	if out, err := exec.Command("go", append(args, "sluice")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	// What sluice.yaml of startHouse takes from the environment.
	os.Setenv("E2E_ADMIN", adminToken)
	os.Setenv("E2E_SECRET", testSecret)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// process is one started sluice.
type process struct {
	t    *testing.T
	args []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan struct{}
	err  error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs sluice with args; it is killed when the test ends.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, args: args, out: &lockedBuffer{}}
	p.start()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			text := p.out.String()
			t.Logf("sluice %s:\n%s", strings.Join(args, " "), text[max(0, len(text)-8000):])
			if strings.Contains(text, "DATA RACE") {
				t.Log("there was a data race")
			}
		}
	})
	return p
}

func (p *process) start() {
	p.t.Helper()
	cmd := exec.Command(binary, p.args...)
	cmd.Dir = p.t.TempDir()
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.done = cmd, done
	p.mu.Unlock()
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(done)
	}()
}

func (p *process) signal(s os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd.Process.Signal(s)
}

// pause stops it, and returns when all of it stands.
func (p *process) pause() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	servers.AwaitStopped(p.t, p.cmd.Process.Pid)
}

func (p *process) resume() { p.signal(syscall.SIGCONT) }

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// term asks it to end and returns how it did.
func (p *process) term(within time.Duration) error {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.err
	case <-time.After(within):
		p.t.Fatalf("not ended %v after SIGTERM", within)
		return nil
	}
}

// awaitReady waits until the admin listener says ready.
func awaitReady(t *testing.T, p *process, admin string) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.done:
			t.Fatalf("ended before it was ready:\n%s", p.out.String())
		default:
		}
		res, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			last = err.Error()
			continue
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode == 200 {
			return
		}
		last = string(body)
	}
	t.Fatalf("not ready after a minute: %s\n%s", last, p.out.String())
}

// eventually tries f until it returns nil.
func eventually(t *testing.T, within time.Duration, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("not within %v: %v", within, err)
}

// sluice runs a command to its end.
func sluice(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("sluice %v: %v", args, err)
	}
	return stdout.String() + stderr.String(), cmd.ProcessState.ExitCode()
}

// mustSluice is sluice for commands that must succeed.
func mustSluice(t *testing.T, args ...string) string {
	t.Helper()
	out, code := sluice(t, args...)
	if code != 0 {
		t.Fatalf("sluice %s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
	return strings.TrimSpace(out)
}

// client speaks to one listener with one token.
type client struct {
	url, token string
	http       *http.Client
}

func newClient(addr, token string) *client {
	return &client{"http://" + addr, token, &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}
}

// answer is what came back.
type answer struct {
	Status int
	Header http.Header
	Body   string
	JSON   map[string]any
}

func (a answer) str(path ...string) string {
	v := any(a.JSON)
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	s, _ := v.(string)
	return s
}

func (a answer) num(key string) int64 {
	f, _ := a.JSON[key].(float64)
	return int64(f)
}

// try sends a request; header pairs come last.
func (c *client) try(method, path, body string, header ...string) (answer, error) {
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{Status: res.StatusCode, Header: res.Header, Body: string(text)}
	json.Unmarshal(text, &a.JSON)
	return a, nil
}

// do is try for calls that must be answered; like a client it comes back when
// it is told "later", as admission does on a machine that others keep busy.
func (c *client) do(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	for tries := 0; ; tries++ {
		a, err := c.try(method, path, body, header...)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		if !a.later() || tries == 100 {
			return a
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (a answer) later() bool { return a.Status == 503 && a.str("error", "code") == "later" }
