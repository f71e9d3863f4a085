package bench

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
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
	f(5, slow, "--rate", "50", "--baseline", file, "--max-lag", "1s")
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
	if code, out := bench(t, "merge", one, one, "--json", all); code != 0 || !strings.Contains(out, "2 workers") && !strings.Contains(out, "requests") {
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
