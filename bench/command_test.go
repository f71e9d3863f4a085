package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/bench/load/record"
)

func serve(t *testing.T, h fasthttp.RequestHandler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fasthttp.Server{Handler: h}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { ln.Close() })
	return "http://" + ln.Addr().String()
}

// bench runs the command and returns its exit code and output.
func bench(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := Command()
	if args[0] == "plan" {
		cmd, args = PlanCommand(), args[1:]
	}
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	var code interface{ ExitCode() int }
	switch {
	case err == nil:
		return 0, out.String()
	case errors.As(err, &code):
		return code.ExitCode(), out.String() + err.Error()
	}
	return 1, out.String() + err.Error()
}

func TestExitCodesSayWhatHappened(t *testing.T) {
	url := serve(t, func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello") })
	slow := serve(t, func(ctx *fasthttp.RequestCtx) { time.Sleep(30 * time.Millisecond); ctx.SetBodyString("hello") })
	dir := t.TempDir()
	file := filepath.Join(dir, "base.json")
	f := func(want int, args ...string) {
		t.Helper()
		if got, out := bench(t, append(args, "-d", "300ms")...); got != want {
			t.Errorf("%v: exit %d, want %d\n%s", args, got, want, out)
		}
	}
	f(0, url+"/hello", "--rate", "200", "--slo", "p50<1s,errors<1%", "--json", file, "--html", filepath.Join(dir, "p.html"), "--max-lag", "1s")
	f(2)
	f(2, "ftp://127.0.0.1")
	f(2, url, "--nonsense")
	f(2, url, "--arrivals", "ramp:x=1")
	f(2, url, "--slo", "p99")
	f(2, url, "--scenario", "preset:none")
	f(2, url, "--scenario", "preset:draw", "--var", "rp=x") // no secret
	f(2, "http://192.0.2.1/")
	f(2, url, "--find-max")
	f(1, "http://127.0.0.1:1/", "--timeout", "100ms")
	f(3, slow, "--rate", "50", "--slo", "p50<5ms", "--max-lag", "1s")
	f(4, url, "--rate", "200", "--max-lag", "1ns")
	f(5, slow+"/hello", "--rate", "50", "--baseline", file, "--max-lag", "1s")
	if page, err := os.ReadFile(filepath.Join(dir, "p.html")); err != nil || !bytes.Contains(page, []byte("</html>")) {
		t.Errorf("page: %v", err)
	}
}

func TestFindMaxMergeAndPlanWorkTogether(t *testing.T) {
	url := serve(t, func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello") })
	dir := t.TempDir()
	one, all := filepath.Join(dir, "1.json"), filepath.Join(dir, "all.json")
	// A limit on the rate itself makes the search short and its answer known.
	code, out := bench(t, url, "--find-max", "--slo", "rate<=900", "--rate", "400", "--trial", "300ms", "--hold", "300ms", "--json", one, "--max-lag", "1s")
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	r, err := record.Read(one)
	if err != nil || r.FindMax == nil || r.FindMax.Rate < 700 || r.FindMax.Rate > 950 {
		t.Fatalf("%v, %+v", err, r.FindMax)
	}
	run := filepath.Join(dir, "run.json")
	if code, out := bench(t, url, "--rate", "100", "-d", "300ms", "--json", run, "--max-lag", "1s"); code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if code, out := bench(t, "merge", one, run); code != 2 || !strings.Contains(out, "search") {
		t.Errorf("merging a search: exit %d\n%s", code, out)
	}
	if code, out := bench(t, "merge", run, run, "--json", all); code != 0 || !strings.Contains(out, "2 workers") && !strings.Contains(out, "requests") {
		t.Errorf("merge: exit %d\n%s", code, out)
	}
	if code, out := bench(t, "plan", one, "--users", "1000000", "--html", filepath.Join(dir, "plan.html")); code != 0 || !strings.Contains(out, "error bar") {
		t.Errorf("plan: exit %d\n%s", code, out)
	}
	if code, _ := bench(t, "plan", one); code != 2 {
		t.Errorf("plan without users: exit %d", code)
	}
}

func TestARehearsalMarksAndClosesWhatItFunded(t *testing.T) {
	dir := t.TempDir()
	var unmarked, closed int
	admin := serve(t, func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Request.Header.Peek("Authorization")) == "Bearer an-admin-token-of-16" && string(ctx.Path()) == "/admin/redpackets/rp1/close" {
			closed++
		}
		ctx.SetBodyString("{}")
	})
	url := serve(t, func(ctx *fasthttp.RequestCtx) {
		if len(ctx.Request.Header.Peek("X-Sluice-Rehearsal")) == 0 {
			unmarked++
		}
		switch {
		case string(ctx.Path()) == "/v1/redpackets":
			ctx.SetStatusCode(202)
			ctx.SetBodyString(`{"id":"rp1","state":"open"}`)
		case ctx.IsPost():
			ctx.SetBodyString(`{"outcome":"won"}`)
		default:
			ctx.SetBodyString(`{"state":"open"}`)
		}
	})
	conf := filepath.Join(dir, "sluice.yaml")
	text := "admin: {listen: " + strings.TrimPrefix(admin, "http://") + ", token: an-admin-token-of-16}\ntokens:\n  keys:\n    - {id: k, algorithm: HS256, secret: 0123456789012345678901234567890123456789}\nother: 1\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "list")
	code, out := bench(t, url, "-c", conf, "--scenario", "preset:draw", "--rehearsal", "--rehearsal-list", list, "--rate", "100", "-d", "300ms", "--max-lag", "1s")
	if code != 0 || unmarked != 0 || closed != 1 || !strings.Contains(out, "rehearsal-b-: 1 red packets") {
		t.Errorf("exit %d, %d unmarked, %d closed\n%s", code, unmarked, closed, out)
	}
	if _, err := os.Stat(list); err == nil {
		t.Error("the list of a clean rehearsal was left behind")
	}
}

func TestWhatCannotBeMeantIsRefusedBeforeAnythingIsDone(t *testing.T) {
	requests := 0
	url := serve(t, func(ctx *fasthttp.RequestCtx) { requests++ })
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := write("secret", "0123456789012345678901234567890123456789")
	scenario := write("s.yaml", "name: s\nvars: {rp: [x]}\nsteps: [{draw: {redpacket: \"${rp}\"}}]")
	other := write("other.json", `{"schema":"sluice.bench/1","valid":true,"scenario":"draw"}`)
	f := func(says string, args ...string) {
		t.Helper()
		if code, out := bench(t, args...); code != 2 || !strings.Contains(out, says) {
			t.Errorf("%v: exit %d, want 2 and %q\n%s", args, code, says, out)
		}
	}
	for _, flag := range []string{"duration", "trial", "timeout", "max-lag"} {
		f("--"+flag+" must be above 0", url, "--"+flag, "0s")
	}
	f("--connections must be above 0", url, "--connections", "-5")
	f("--loops must be above 0", url, "--loops", "0")
	f("--rate must be above 0", url, "--rate", "0")
	f("--max-users must be 0 or more", url, "--max-users", "-1")
	f("--hold must be 0 or more", url, "--hold", "-1s")
	f("--tolerance must be 0 or more", url, "--tolerance", "NaN")
	f("above --max-connections 3", url, "--connections", "4", "--max-connections", "3")
	f("--part", url, "--part", "1/4x")
	f("--part", url, "--part", "5/4")
	f("searches alone", url, "--find-max", "--slo", "p99<1s", "--part", "1/2")
	f("searches alone", url, "--find-max", "--slo", "p99<1s", "-d", "1m")
	f("more than this process may open", url, "--connections", "100000000")
	f("is over", url, "--start-at", "2020-01-01T00:00:00Z")
	f("status 99999", url, "--expect", "99999")
	f("--server-pid", url, "--server-pid", "999999999")
	f("--json", url, "--json", filepath.Join(dir, "none", "x.json"))
	f("--html", url, "--html", dir)
	f("run ends", url, "-d", "10s", "--arrivals", "surge:base=1,before=9s")
	f("run ends", url, "-d", "10s", "--arrivals", "herd:users=100,at=30s")
	f("--baseline", url, "-d", "100ms", "--baseline", other)
	f("bad.json", url, "-d", "100ms", "--baseline", write("bad.json", "{}"))
	for _, flag := range [][]string{{"--method", "PUT"}, {"--body", "x"}, {"-H", "a: b"}, {"--expect", "404"}} {
		f("--scenario says what is sent", append([]string{url, "--scenario", scenario}, flag...)...)
	}
	f("only http://host:port", url+"/x", "--scenario", scenario)
	f("says ${nosuch}", url, "--scenario", scenario, "--var", "nosuch=1")
	f("has a space", url, "--scenario", scenario, "--var", "rp=a b")
	f("control character", url, "--scenario", scenario, "--var", "rp=a\r\nX: y")
	list := write("list", "rp7\n")
	rehearse := []string{url, "--rehearsal", "--admin", url, "--token-kid", "k", "--token-secret-file", secret, "--rehearsal-list", list}
	t.Setenv("SLUICE_ADMIN_TOKEN", "t")
	f("must not draw real money", append(rehearse, "--scenario", scenario)...)
	f("sluice bench cleanup "+list, append(rehearse, "--scenario", "preset:draw")...)
	if text, err := os.ReadFile(list); err != nil || string(text) != "rp7\n" {
		t.Errorf("another rehearsal's list is now %q, %v", text, err)
	}
	for _, sub := range []string{"merge", "report", "cleanup"} {
		f("As in: sluice bench "+sub, sub)
	}
	if requests != 0 {
		t.Errorf("%d requests were sent", requests)
	}
	rehearse = append(rehearse[:len(rehearse)-2], "--scenario", "preset:draw", "--rehearsal-list", filepath.Join(dir, "list2"), "--admin")
	f("is not a URL", append(rehearse, "here")...)
	if code, out := bench(t, append(rehearse, "http://127.0.0.1:1")...); code != 1 || requests != 0 || !strings.Contains(out, "nothing was") {
		t.Errorf("a rehearsal that nobody can clean up: exit %d, %d requests\n%s", code, requests, out)
	}
}

func TestASearchThatFindsNothingMissesItsObjectivesAndSaysSo(t *testing.T) {
	url := serve(t, func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(500) })
	file := filepath.Join(t.TempDir(), "none.json")
	code, out := bench(t, url, "--find-max", "--slo", "errors<1%", "--rate", "20", "--trial", "300ms", "--json", file, "--max-lag", "1s")
	r, err := record.Read(file)
	if err != nil || code != 3 && code != 4 || r.FindMax == nil || r.FindMax.Rate != 0 || len(r.FindMax.Trials) < 3 || !strings.Contains(out, "no rate held") {
		t.Fatalf("exit %d, %v, %+v\n%s", code, err, r, out)
	}
	if code, out := bench(t, "plan", file, "--users", "1000"); code != 2 || !strings.Contains(out, "no rate") {
		t.Errorf("plan: exit %d\n%s", code, out)
	}
}

func TestEachTrialOfASearchHasUsersAndRedPacketsOfItsOwn(t *testing.T) {
	var mu sync.Mutex
	funded, draws := 0, map[string]int{} // by token, and that is by user
	url := serve(t, func(ctx *fasthttp.RequestCtx) {
		mu.Lock()
		defer mu.Unlock()
		switch path := string(ctx.Path()); {
		case path == "/v1/redpackets":
			funded++
			fmt.Fprintf(ctx, `{"id":"rp%d","state":"open"}`, funded)
		case ctx.IsPost():
			if want := fmt.Sprintf("/v1/redpackets/rp%d/draw", funded); path != want {
				t.Errorf("%s, want %s", path, want)
			}
			draws[string(ctx.Request.Header.Peek("Authorization"))]++
			fmt.Fprint(ctx, `{"outcome":"won"}`)
		default:
			fmt.Fprint(ctx, `{"state":"open"}`)
		}
	})
	t.Setenv("SLUICE_BENCH_SECRET", "0123456789012345678901234567890123456789")
	code, out := bench(t, url, "--token-kid", "k", "--scenario", "preset:draw", "--find-max", "--slo", "rate<=120,errors<1%", "--rate", "50", "--trial", "300ms", "--hold", "300ms", "--max-lag", "1s")
	mu.Lock()
	defer mu.Unlock()
	if code != 0 || funded < 4 {
		t.Errorf("exit %d, %d red packets\n%s", code, funded, out)
	}
	for _, n := range draws {
		if n != 1 {
			t.Fatalf("a user drew %d times", n)
		}
	}
}

func TestWhoComesBackInAHerdIsWhoCameBefore(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	url := serve(t, func(ctx *fasthttp.RequestCtx) {
		mu.Lock()
		defer mu.Unlock()
		seen[string(ctx.PostBody())]++
	})
	code, out := bench(t, url, "--method", "POST", "--body", "${uid}", "--arrivals", "herd:users=20,at=100ms,skew=10ms,reaction=20ms,repeats=2,every=200ms", "-d", "1s", "--max-lag", "1s")
	mu.Lock()
	defer mu.Unlock()
	if code != 0 || len(seen) != 20 {
		t.Errorf("exit %d, %d users\n%s", code, len(seen), out)
	}
	for uid, n := range seen {
		if n != 3 {
			t.Errorf("%s came %d times", uid, n)
		}
	}
}
