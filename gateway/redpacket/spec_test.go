package redpacket

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestBadRequestsNameTheField(t *testing.T) {
	f := func(body, field, code string) {
		t.Helper()
		_, err := ParseFund([]byte(body))
		var fe *FieldError
		if !errors.As(err, &fe) || fe.Field != field || fe.Code != code {
			t.Errorf("%.120s: got %v, want %s %s", body, err, field, code)
		}
	}
	for _, name := range []string{"amount", "count", "min", "max"} {
		with := func(v string) string {
			fields := map[string]string{"amount": "10000", "count": "20"}
			fields[name] = v
			body := "{"
			for k, v := range fields {
				body += fmt.Sprintf("%q:%s,", k, v)
			}
			return body[:len(body)-1] + "}"
		}
		f(with("0"), name, CodeTooSmall)
		f(with("-1"), name, CodeTooSmall)
		f(with("-9223372036854775809"), name, CodeTooSmall)
		f(with("9223372036854775807"), name, CodeTooLarge)
		f(with("9223372036854775808"), name, CodeTooLarge)
		f(with("18446744073709551617"), name, CodeTooLarge)
		f(with("1e400"), name, CodeNotInteger)
		f(with("1e2"), name, CodeNotInteger)
		f(with(`"12"`), name, CodeNotInteger)
		f(with("12.5"), name, CodeNotInteger)
		f(with("12.0"), name, CodeNotInteger)
		f(with("null"), name, CodeNotInteger)
		f(with("true"), name, CodeNotInteger)
		f(with("[1]"), name, CodeNotInteger)
	}
	f(`{"count":20}`, "amount", CodeMissing)
	f(`{"amount":10000}`, "count", CodeMissing)
	f(`{"amount":10000,"count":20,"extra":1}`, "extra", CodeUnknownField)
	f(`{"amount":10000,"amount":1,"count":20}`, "amount", CodeUnknownField)
	f(`{"amount":10000,"count":20,"mode":"luck"}`, "mode", CodeInvalid)
	f(`{"amount":10000,"count":20,"mode":1}`, "mode", CodeNotString)
	f(`{"amount":10000,"count":20,"audience":"all"}`, "audience", CodeInvalid)
	f(`{"amount":10000,"count":20,"audience":"list"}`, "list", CodeInfeasible)
	f(`{"amount":10000,"count":20,"audience":"list","list":["a b"]}`, "list", CodeInvalid)
	f(`{"amount":10000,"count":20,"list":["a"]}`, "list", CodeInfeasible)
	f(`{"amount":999,"count":20}`, "amount", CodeInfeasible)
	f(`{"amount":400001,"count":20}`, "amount", CodeInfeasible)
	f(`{"amount":10000,"count":20,"min":600,"max":500}`, "min", CodeInfeasible)
	f(`{"amount":10000,"count":3,"mode":"equal"}`, "amount", CodeInfeasible)
	f(`{"amount":10000,"count":20,"opens_at":"soon"}`, "opens_at", CodeInvalid)
	f(`{"amount":10000,"count":20,"opens_at":1}`, "opens_at", CodeNotString)
	f(`{"amount":10000,"count":20,"opens_at":"2027-02-05T20:00:00+08:00","closes_at":"2027-02-05T20:00:00+08:00"}`, "closes_at", CodeInfeasible)
	f(`{"amount":10000,"count":20,"password":""}`, "password", CodeTooSmall)
	f(`{"amount":10000,"count":20,"password":"`+strings.Repeat("x", 500_000)+`"}`, "password", CodeTooLarge)
	f(`{"amount":10000,"count":20,"password":"`+strings.Repeat("x", 2<<20)+`"}`, "", CodeTooLarge)
	f(`{"amount":10000,"count":20} x`, "", CodeMalformed)
	f(`{"amount":10000,"count":20`, "", CodeMalformed)
	f(`[]`, "", CodeMalformed)
	f(``, "", CodeMalformed)
	f(`{"amount":10000,"count":20,"mode":"portal"}`, "prizes", CodeMissing)
	f(`{"amount":1,"count":2,"mode":"portal","prizes":[{"name":"a","amount":1,"count":1,"chance_ppm":5}]}`, "count", CodeInfeasible)
	f(`{"amount":1,"count":1,"mode":"portal","prizes":[{"name":"a","amount":1,"count":1,"chance_ppm":5,"x":1}]}`, "prizes[0].x", CodeUnknownField)
	f(`{"amount":1,"count":1,"mode":"portal","prizes":[{"name":"a","amount":1.5,"count":1,"chance_ppm":5}]}`, "prizes[0].amount", CodeNotInteger)
	f(`{"amount":1,"count":1,"cap":3}`, "cap", CodeInvalid)
	// Only a portal without cash prizes holds nothing.
	f(`{"amount":0,"count":5,"mode":"equal"}`, "amount", CodeTooSmall)
	f(`{"amount":0,"count":1,"mode":"portal","prizes":[{"name":"a","amount":1,"count":1,"chance_ppm":5}]}`, "amount", CodeInfeasible)
	f(`{"amount":1,"count":1,"mode":"portal","prizes":[{"name":"a","kind":"coupon","count":1,"chance_ppm":5}]}`, "amount", CodeInfeasible)
	f(`{"amount":-1,"count":1,"mode":"portal","prizes":[{"name":"a","kind":"coupon","count":1,"chance_ppm":5}]}`, "amount", CodeTooSmall)
	f(`{"count":1,"mode":"portal","prizes":[{"name":"a","kind":"coupon","count":1,"chance_ppm":5}]}`, "amount", CodeMissing)
	f(`{"amount":0,"count":1,"mode":"portal","prizes":[{"name":"a","kind":"coupon","amount":1,"count":1,"chance_ppm":5}]}`, "prizes[0].amount", CodeInfeasible)
}

func FuzzParseFund(f *testing.F) {
	f.Add([]byte(twenty))
	f.Add([]byte(`{"amount":1,"count":1,"min":1,"mode":"portal","prizes":[{"name":"a"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := ParseFund(body)
		if err == nil && (req.Amount < 0 || req.Amount == 0 && req.Mode != ModePortal || req.Amount > MaxAmount || req.Count < 1 || req.Count > MaxCount) {
			t.Fatalf("%+v", req)
		}
		var fe *FieldError
		if err != nil && !errors.As(err, &fe) {
			t.Fatalf("%v is no FieldError", err)
		}
	})
}

func FuzzParseID(f *testing.F) {
	ids, _ := NewIDs([]byte("a secret of 16 bytes or more"))
	f.Add(ids.Derive(3, "u", "k").String())
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ids.Parse(text); err == nil && id.String() != text {
			t.Fatalf("%q parses as %q", text, id.String())
		}
	})
}

func TestIDsAreCheckedWithoutIO(t *testing.T) {
	ids, err := NewIDs([]byte("a secret of 16 bytes or more"))
	if err != nil {
		t.Fatal(err)
	}
	other, _ := NewIDs([]byte("another secret, as long"))
	id := ids.Derive(3, "sender", "key")
	text := id.String()
	if len(text) != IDLen || id.Home() != 3 || id.Bucket() >= Buckets || text != strings.ToLower(text) {
		t.Fatal(text)
	}
	if back, err := ids.Parse(text); err != nil || back != id {
		t.Fatal(back, err)
	}
	if ids.Derive(3, "sender", "key") != id || ids.Derive(3, "sender", "kez") == id || ids.Derive(3, "sende", "rkey") == id {
		t.Error("the id does not follow from sender and key")
	}
	f := func(text string, ids *IDs) {
		t.Helper()
		if _, err := ids.Parse(text); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", text, err)
		}
	}
	f(text, other)
	f(text[:23], ids)
	f(text+"a", ids)
	f(strings.ToUpper(text), ids)
	f("", ids)
	f(strings.Repeat("a", 10_000), ids)
	f("{b07}:meta\r\nFLUSHALL\r\n..", ids)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 { // a change of any one character
		b := []byte(text)
		i := rng.IntN(len(b))
		b[i] = "abcdefghijklmnopqrstuvwxyz234567"[rng.IntN(32)]
		if string(b) != text {
			f(string(b), ids)
		}
	}
	if n := testing.AllocsPerRun(100, func() { ids.Parse(text) }); n > 0 {
		t.Errorf("parsing an id allocates %v times", n)
	}
}

// Red packets that were funded by older programs read as before.
func TestAStoredSpecKeepsItsNames(t *testing.T) {
	s, err := parseSpec([]byte(`{"id":"x","sender":"s","amount":9000000,"count":3000,"mode":"lucky","parts":1024,"spread":8,"hash":"00","funded_ms":5}`))
	if err != nil || s.WinnerHashes != 1024 || s.parts() != 8 {
		t.Fatalf("%+v, %v", s, err)
	}
	var names map[string]any
	if err := json.Unmarshal(s.json(), &names); err != nil || names["parts"] != 1024.0 || names["spread"] != 8.0 {
		t.Fatalf("%v, %v", names, err)
	}
}
