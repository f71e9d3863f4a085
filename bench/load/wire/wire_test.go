package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

var answers = []struct{ text, body string }{
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"},
	{"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", ""},
	{"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""},
	{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nCONTENT-LENGTH: 2\r\n\r\nok", "ok"},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", "hello world"},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nTrail: er\r\n\r\n", "0123456789"},
}

func TestAnswersAreReadHoweverTheyAreCut(t *testing.T) {
	for _, a := range answers {
		for step := 1; step <= len(a.text); step++ {
			var p Parser
			for range 2 { // twice: Reset must leave nothing behind
				for i := 0; i < len(a.text); i += step {
					if err := p.Feed([]byte(a.text[i:min(i+step, len(a.text))])); err != nil {
						t.Fatalf("%q in steps of %d: %v", a.text, step, err)
					}
				}
				if !p.Done() || string(p.Body) != a.body || p.Size != int64(len(a.body)) {
					t.Fatalf("%q in steps of %d: done %v, body %q", a.text, step, p.Done(), p.Body)
				}
				p.Reset()
			}
		}
	}
}

func TestBodyWithoutLengthEndsWithTheConnection(t *testing.T) {
	var p Parser
	for _, part := range []string{"HTTP/1.0 200 OK\r\n\r\nab", "cd"} {
		if err := p.Feed([]byte(part)); err != nil || p.Done() {
			t.Fatalf("%v, done %v", err, p.Done())
		}
	}
	if err := p.End(); err != nil || !p.Done() || string(p.Body) != "abcd" || !p.Close {
		t.Errorf("%v, %q, close %v", err, p.Body, p.Close)
	}
}

func TestConnectionHeaderIsFollowed(t *testing.T) {
	f := func(head string, want bool) {
		t.Helper()
		var p Parser
		if err := p.Feed([]byte(head + "\r\nContent-Length: 0\r\n\r\n")); err != nil || p.Close != want {
			t.Errorf("%q: close %v, %v", head, p.Close, err)
		}
	}
	f("HTTP/1.1 200 OK", false)
	f("HTTP/1.1 200 OK\r\nConnection: close", true)
	f("HTTP/1.1 200 OK\r\nconnection: Close", true)
	f("HTTP/1.0 200 OK", true)
	f("HTTP/1.0 200 OK\r\nConnection: keep-alive", false)
}

func TestLargeBodiesAreCountedNotKept(t *testing.T) {
	var p Parser
	if err := p.Feed([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if err := p.Feed(make([]byte, 100000)); err != nil {
			t.Fatal(err)
		}
	}
	if !p.Done() || p.Size != 3000000 || len(p.Body) != MaxBody {
		t.Errorf("done %v, size %d, kept %d", p.Done(), p.Size, len(p.Body))
	}
}

func TestMalformedAnswersAreErrors(t *testing.T) {
	for _, bad := range []string{"garbage of the worst kind\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc"} {
		var p Parser
		if err := p.Feed([]byte(bad)); err == nil {
			t.Errorf("%q was taken: %+v", bad, p)
		}
	}
}

func TestFieldFindsScalarsAndIsNotFooled(t *testing.T) {
	f := func(body, key, want string) {
		t.Helper()
		if got := string(Field([]byte(body), key)); got != want {
			t.Errorf("Field(%s, %s) = %q, want %q", body, key, got, want)
		}
	}
	f(`{"outcome":"won","amount":123}`, "outcome", "won")
	f(`{"outcome": "won", "amount" : 123 }`, "amount", "123")
	f(`{"x":"\"outcome\":\"fake\"","outcome":"real"}`, "outcome", "real")
	f(`{"x":"outcome","y":"\\"}`, "outcome", "")
	f(`{"error":{"code":"later"}}`, "code", "later")
	f(`{"a":["id",{"id":true}]}`, "id", "true")
	f(`{"id":{"id":"deep"}}`, "id", "deep")
	f(`{"id":"unfinished`, "id", "")
}

func FuzzParserAgreesWithNetHTTP(f *testing.F) {
	for _, a := range answers {
		f.Add([]byte(a.text), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		var p Parser
		step = max(1, step%64)
		for i := 0; i < len(b); i += step {
			if err := p.Feed(b[i:min(i+step, len(b))]); err != nil {
				return
			}
		}
		if !p.Done() || bytes.Contains(b, []byte(" 1")) || bytes.Contains(b, []byte("P/1.0")) { // net/http differs by design
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
		if err != nil {
			return // net/http is stricter
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode == p.Status && len(resp.TransferEncoding) == 0 && !bytes.Equal(body, p.Body) {
			t.Fatalf("%q: body %q, net/http %q", b, p.Body, body)
		}
	})
}

func FuzzFieldStaysInsideAndFindsWhatJSONFinds(f *testing.F) {
	f.Add(`{"id":"x"}`, "id")
	f.Fuzz(func(t *testing.T, body, key string) {
		got := string(Field([]byte(body), key))
		var flat map[string]string
		if json.Unmarshal([]byte(body), &flat) == nil && len(flat) == 1 && !strings.ContainsAny(body, `\`) && json.Valid([]byte(body)) {
			if want, ok := flat[key]; ok && strings.ToValidUTF8(want, "") == want && want != got && strings.Contains(body, want) {
				t.Fatalf("%s: %q, want %q", body, got, want)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte("HTTP/1.1 200 OK\r\nServer: sluice\r\nDate: Sat, 21 Nov 2026 01:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 42\r\nX-Request-Id: 0123456789abcdef\r\n\r\n{\"outcome\":\"won\",\"amount\":123,\"share\":777}")
	b.ReportAllocs()
	var p Parser
	for b.Loop() {
		if err := p.Feed(text); err != nil || !p.Done() {
			b.Fatal(err)
		}
		Field(p.Body, "outcome")
		p.Reset()
	}
}
