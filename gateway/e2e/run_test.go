package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/servers"
)

// tryOut is `sluice run`.
type tryOut struct {
	*process
	addr, admin, data, scripts string
	tokens                     map[string]string // by uid and scope
}

func startRun(t *testing.T) *tryOut {
	t.Helper()
	r := &tryOut{
		addr: fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t)), admin: fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t)),
		data: filepath.Join(t.TempDir(), "data"), scripts: copyScripts(t), tokens: map[string]string{},
	}
	r.process = start(t, "run", "--data", r.data, "--scripts", r.scripts, "--listen", r.addr, "--admin", r.admin)
	awaitReady(t, r.process, r.admin)
	return r
}

func (r *tryOut) token(uid, scope string) string {
	r.t.Helper()
	key := uid + " " + scope
	if r.tokens[key] == "" {
		r.tokens[key] = mustSluice(r.t, "token", "--data", r.data, "--uid", uid, "--scope", scope)
	}
	return r.tokens[key]
}

func TestTheCurlLinesOfRunWorkWhenPasted(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	var lines [][]string
	eventually(t, 30*time.Second, func() error {
		if lines = regexp.MustCompile(`(?m)^ *(curl .*)$`).FindAllStringSubmatch(r.out.String(), -1); len(lines) != 3 {
			return fmt.Errorf("%d curl lines in\n%s", len(lines), r.out.String())
		}
		return nil
	})
	// One shell, as somebody pastes them one after the other.
	var script strings.Builder
	for _, line := range lines {
		script.WriteString(line[1] + "\necho\nsleep 1\n")
	}
	cmd := exec.Command("bash", "-c", script.String())
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	cmd.Dir = r.cmd.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`"state":"splitting"`, `"outcome":"won"`, `"room":{`, `"push":["ws://`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

func TestARestartLosesNoMoney(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	sender := newClient(r.addr, r.token("sender", "fund"))
	id := fund(t, sender, `{"amount":100000,"count":200}`)
	won := map[string]answer{}
	draw := func(uid string) answer {
		return newClient(r.addr, r.token(uid, "")).do(t, "POST", "/v1/redpackets/"+id+"/draw", "")
	}
	for i := range 20 {
		uid := fmt.Sprintf("u%d", i)
		won[uid] = draw(uid)
	}
	late := sender.do(t, "POST", "/v1/redpackets", `{"amount":5000,"count":10}`)
	r.kill()
	r.start()
	awaitReady(t, r.process, r.admin)
	awaitState(t, sender, late.str("id"), "open")
	for uid, before := range won {
		if a := draw(uid); a.str("outcome") != "already" || a.num("amount") != before.num("amount") || a.num("share") != before.num("share") {
			t.Errorf("%s: %s, after kill -9 and restart %s", uid, before.Body, a.Body)
		}
	}
	if a := draw("new"); a.str("outcome") != "won" || a.num("share") != 20 {
		t.Errorf("the next draw: %s", a.Body)
	}
	if out := mustSluice(t, "redpacket", "reconcile", "--data", r.data, id); !zero(out, "difference") {
		t.Errorf("reconcile:\n%s", out)
	}
	if a := newClient(r.addr, r.token("u3", "")).do(t, "GET", "/v1/me/wins", ""); !strings.Contains(a.Body, id) {
		t.Errorf("my wins: %s", a.Body)
	}
}

func TestASavedHandlerIsLiveAtOnceAndABrokenOneNever(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	file := filepath.Join(r.scripts, "me_wins.lua")
	user := newClient(r.addr, r.token("u1", ""))
	var failed atomic.Int64
	stop, wg := make(chan struct{}), sync.WaitGroup{}
	for range 4 {
		c := newClient(r.addr, user.token)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a, err := c.try("GET", "/v1/me/wins", ""); err != nil || a.Status != 200 && !a.later() {
					failed.Add(1)
				}
			}
		})
	}
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	awaitBody := func(want string) {
		t.Helper()
		eventually(t, 30*time.Second, func() error {
			if a := user.do(t, "GET", "/v1/me/wins", ""); !strings.Contains(a.Body, want) {
				return fmt.Errorf("%d %s", a.Status, a.Body)
			}
			return nil
		})
	}
	for i := range 10 {
		save(fmt.Sprintf("ngx.say('version %d')", i))
		awaitBody(fmt.Sprintf("version %d", i))
	}
	admin := newClient(r.admin, "")
	admin.token = adminTokenOf(t, r.data)
	for text, want := range map[string]string{
		"ngx.say('broken'": "me_wins.lua:1:",
		"\n\nlocal x = require 'no.such.module'\nreturn x.y": "no.such.module",
	} {
		save(text)
		eventually(t, 30*time.Second, func() error {
			a := admin.do(t, "GET", "/admin/scripts", "")
			if a.JSON["last_error"] == nil || !strings.Contains(a.Body, want) {
				return fmt.Errorf("%s", a.Body)
			}
			return nil
		})
		awaitBody("version 9")
	}
	mustSluice(t, "script", "rollback", "--data", r.data)
	awaitBody("version 8")
	close(stop)
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d requests failed meanwhile", n)
	}
}

func adminTokenOf(t *testing.T, data string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "sluice.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^admin:\n(?: .*\n)*? +token: (\S+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no admin token in\n%s", text)
	}
	return string(m[1])
}

func TestSIGTERMFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	file := filepath.Join(r.scripts, "me_wins.lua")
	if err := os.WriteFile(file, []byte("ngx.sleep(1)\nngx.say('slept')"), 0o644); err != nil {
		t.Fatal(err)
	}
	user := newClient(r.addr, r.token("u1", ""))
	eventually(t, 30*time.Second, func() error {
		if a := user.do(t, "GET", "/v1/me/wins", ""); !strings.Contains(a.Body, "slept") {
			return fmt.Errorf("%s", a.Body)
		}
		return nil
	})
	var a answer
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		a, err = newClient(r.addr, user.token).try("GET", "/v1/me/wins", "")
	}()
	time.Sleep(300 * time.Millisecond)
	if ended := r.term(10 * time.Second); ended != nil {
		t.Errorf("exit: %v", ended)
	}
	<-done
	if err != nil || !strings.Contains(a.Body, "slept") {
		t.Errorf("the request in flight: %v %s", err, a.Body)
	}
}

func TestRoomEntry(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	admin := newClient(r.admin, adminTokenOf(t, r.data))
	f := func(method, path, body string, status int) answer {
		t.Helper()
		a := admin.do(t, method, path, body)
		if a.Status != status {
			t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
		}
		return a
	}
	enter := func(uid, room string, status int, code string) answer {
		t.Helper()
		var a answer
		eventually(t, 30*time.Second, func() error { // a change is in the cache within milliseconds
			a = newClient(r.addr, r.token(uid, "")).do(t, "POST", "/v1/rooms/"+room+"/enter", "")
			if a.Status != status || a.str("error", "code") != code {
				return fmt.Errorf("%s into %s: %d %s", uid, room, a.Status, a.Body)
			}
			return nil
		})
		return a
	}
	f("PUT", "/admin/rooms/gala", `{"title":"Gala","capacity":1}`, 200)
	if a := enter("u1", "gala", 200, ""); a.str("room", "title") != "Gala" || a.str("token") == "" {
		t.Errorf("%s", a.Body)
	}
	enter("u1", "gala", 200, "") // the same viewer takes no second place
	enter("u2", "gala", 503, "room_full")
	f("PUT", "/admin/rooms/gala", `{"title":"Gala"}`, 200)
	enter("u2", "gala", 200, "")
	f("PUT", "/admin/rooms/gala/bans/u2", ``, 200)
	enter("u2", "gala", 403, "banned")
	f("DELETE", "/admin/rooms/gala/bans/u2", ``, 200)
	enter("u2", "gala", 200, "")
	f("PUT", "/admin/rooms/gala", `{"title":"Gala","state":"closed"}`, 200)
	enter("u1", "gala", 409, "room_closed")
	f("PUT", "/admin/rooms/gala", `{"colour":"red"}`, 400)
	f("PUT", "/admin/rooms/a%20b", `{}`, 400)
}

func TestALiveChangeOfAUserCountsAtOnce(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	admin := newClient(r.admin, adminTokenOf(t, r.data))
	id := fund(t, newClient(r.addr, r.token("sender", "fund")), `{"amount":1000,"count":5}`)
	draw := func(status int, code string) {
		t.Helper()
		eventually(t, 30*time.Second, func() error {
			a := newClient(r.addr, r.token("mallory", "")).do(t, "POST", "/v1/redpackets/"+id+"/draw", "")
			if a.Status != status || a.str("error", "code") != code {
				return fmt.Errorf("%d %s", a.Status, a.Body)
			}
			return nil
		})
	}
	change := func(method, path, body string, status int) {
		t.Helper()
		if a := admin.do(t, method, path, body); a.Status != status {
			t.Errorf("%s %s %s: %d %s", method, path, body, a.Status, a.Body)
		}
	}
	change("PUT", "/admin/users/mallory", `{"blocked":true}`, 200)
	draw(403, "blocked")
	change("POST", "/admin/users", `{"mallory":{"blocked":false},"other":null}`, 200)
	draw(200, "")
	change("PUT", "/admin/users/mallory", `"text"`, 400)
	change("PUT", "/admin/users/a%20b", `{}`, 400)
	change("POST", "/admin/users", `[1]`, 400)
	change("POST", "/admin/users/stream", `{"uid":"mallory","state":{"blocked":false}}
{"uid":"mallory","state":{"blocked":true}} {"uid":"other","state":null}`, 200)
	draw(403, "blocked")
	change("POST", "/admin/users/stream", `{"uid":"mallory","state":null} {"uid":"a b","state":{}}`, 400)
	draw(200, "") // what came before the bad line is taken
	change("POST", "/admin/users/stream", `{"uid":"mallory","stat":{}}`, 400)
	change("POST", "/admin/users/stream", `{"uid":"mallory"}`, 400)
	change("DELETE", "/admin/users/mallory", ``, 200)

	// A login queue goes on sending: what it has sent is taken at once.
	pipe, queue := io.Pipe()
	req, err := http.NewRequest("POST", "http://"+r.admin+"/admin/users/stream", pipe)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminTokenOf(t, r.data))
	done := make(chan error, 1)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode != 200 {
				err = fmt.Errorf("status %d", res.StatusCode)
			}
		}
		done <- err
	}()
	fmt.Fprintln(queue, `{"uid":"mallory","state":{"blocked":true}}`)
	draw(403, "blocked")
	fmt.Fprintln(queue, `{"uid":"mallory","state":null}`)
	draw(200, "")
	queue.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Who is blocked hears what is over for everybody, and always so; a draw that the home would decide is 403.
func TestABlockedUserWinsNothingAndHearsWhatIsOver(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	admin := newClient(r.admin, adminTokenOf(t, r.data))
	id := fund(t, newClient(r.addr, r.token("sender", "fund")), `{"amount":400,"count":2}`)
	draw := func(uid string) answer {
		return newClient(r.addr, r.token(uid, "")).do(t, "POST", "/v1/redpackets/"+id+"/draw", "")
	}
	draw("lucky")
	if a := admin.do(t, "PUT", "/admin/users/mallory", `{"blocked":true}`); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	eventually(t, 30*time.Second, func() error {
		if a := draw("mallory"); a.Status != 403 || a.str("error", "code") != "blocked" {
			return fmt.Errorf("%d %s", a.Status, a.Body)
		}
		return nil
	})
	draw("other") // takes the last share
	for _, uid := range []string{"mallory", "anybody"} {
		eventually(t, 20*time.Second, func() error { // when the winners' filter is out
			if a := draw(uid); a.str("outcome") != "soldout" {
				return fmt.Errorf("%d %s", a.Status, a.Body)
			}
			return nil
		})
		for range 20 { // with a copy in the process and without
			if a := draw(uid); a.str("outcome") != "soldout" {
				t.Fatalf("%s: %d %s", uid, a.Status, a.Body)
			}
		}
	}
}

func TestACloseRefundsAndProves(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	id := fund(t, newClient(r.addr, r.token("sender", "fund")), `{"amount":10000,"count":20}`)
	for _, uid := range []string{"a", "b", "c"} {
		if got := newClient(r.addr, r.token(uid, "")).do(t, "POST", "/v1/redpackets/"+id+"/draw", ""); got.str("outcome") != "won" {
			t.Errorf("%s: %s", uid, got.Body)
		}
	}
	if out, code := sluice(t, "redpacket", "verify", "--data", r.data, id); code != 1 || !strings.Contains(out, "after close") {
		t.Errorf("verify before close: exit %d, %s", code, out)
	}
	mustSluice(t, "redpacket", "close", "--data", r.data, id)
	proof := filepath.Join(t.TempDir(), "proof.json")
	eventually(t, 20*time.Second, func() error {
		out, code := sluice(t, "redpacket", "reconcile", "--data", r.data, "--proof", proof, id)
		if code != 0 || !zero(out, "payable") || !zero(out, "refunding") || !zero(out, "left") || zero(out, "paid") || zero(out, "refunded") {
			return fmt.Errorf("exit %d\n%s", code, out)
		}
		return nil
	})
	if text, err := os.ReadFile(proof); err != nil || !strings.Contains(string(text), id) {
		t.Errorf("proof: %s, %v", text, err)
	}
	if out := mustSluice(t, "redpacket", "verify", "--data", r.data, id); !strings.Contains(out, "3 winners have what the split gives") {
		t.Errorf("verify: %s", out)
	}
}

// The Redis of `sluice run` is gone with the process: a close is told when the ledger has it, of a
// red packet in one bucket as of one that is spread.
func TestACloseThatWasToldOutlivesKill(t *testing.T) {
	t.Parallel()
	r := startRun(t)
	sender := newClient(r.addr, r.token("sender", "fund"))
	for _, body := range []string{`{"amount":10000,"count":20}`, `{"amount":10000,"count":20,"parts":4}`} {
		id := fund(t, sender, body)
		won := newClient(r.addr, r.token("a", "")).do(t, "POST", "/v1/redpackets/"+id+"/draw", "")
		eventually(t, 30*time.Second, func() error { // a ledger that is slow is "later"
			out, code := sluice(t, "redpacket", "close", "--data", r.data, id)
			if code != 0 {
				return fmt.Errorf("exit %d: %s", code, out)
			}
			return nil
		})
		r.kill()
		r.start()
		awaitReady(t, r.process, r.admin)
		if a := newClient(r.addr, r.token("b", "")).do(t, "POST", "/v1/redpackets/"+id+"/draw", ""); a.str("outcome") != "closed" {
			t.Errorf("%s: a draw after the close, kill -9 and a restart: %s", body, a.Body)
		}
		if a := newClient(r.addr, r.token("a", "")).do(t, "POST", "/v1/redpackets/"+id+"/draw", ""); a.num("amount") != won.num("amount") {
			t.Errorf("%s: the winner heard %s, before %s", body, a.Body, won.Body)
		}
		eventually(t, 20*time.Second, func() error {
			out, code := sluice(t, "redpacket", "reconcile", "--data", r.data, id)
			if code != 0 || zero(out, "refunded") {
				return fmt.Errorf("exit %d\n%s", code, out)
			}
			return nil
		})
	}
}
