package token

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

const (
	hsHeader = `{"alg":"HS256","kid":"h","typ":"JWT"}`
	edHeader = `{"alg":"EdDSA","kid":"e","typ":"JWT"}`
)

// signed signs any header and claims, also such as no library would write.
func signed(header, claims string) string {
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
	if strings.Contains(header, "EdDSA") {
		return text + "." + enc.EncodeToString(ed25519.Sign(ed25519.NewKeyFromSeed(seed), []byte(text)))
	}
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return text + "." + enc.EncodeToString(h.Sum(nil))
}

// compare holds Check against the library alone.
func compare(t *testing.T, r *Ring, text string) {
	t.Helper()
	want, _, wrong := r.strict(text)
	for range 2 { // the second time with what the first has left behind
		got, err := r.Check(text)
		if (err == nil) != (wrong == nil) {
			t.Fatalf("%q: Check says %v, the library %v", text, err, wrong)
		}
		if err != nil && (!errors.Is(err, ErrInvalid) || len(text) <= 4096 && err.Error() != wrong.Error()) {
			t.Fatalf("%q: Check says %q, the library %q", text, err, wrong)
		}
		if got.UID != want.UID || got.Scope != want.Scope || !got.Expires.Equal(want.Expires) {
			t.Fatalf("%q: %+v, the library %+v", text, got, want)
		}
	}
}

func leanRing(t testing.TB, leeway time.Duration) *Ring {
	now := time.Unix(1_800_000_000, 500)
	r, err := NewRing([]Key{hs("h"), ed("e")}, leeway, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{hsHeader, edHeader} { // known from here on
		if _, err := r.Check(signed(header, `{"sub":"u","exp":1900000000}`)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

var oddClaims = []string{
	`{"sub":"u","exp":1800000001}`, `{"sub":"u","exp":1800000000}`, `{"sub":"u","exp":1799999999}`,
	`{"sub":"u","exp":1800000001,"nbf":1800000000}`, `{"sub":"u","exp":1800000100,"nbf":1800000001}`, `{"sub":"u","exp":1800000100,"nbf":1800000005}`,
	`{"sub":"u","scope":"fund other","iat":1,"iss":"i","jti":"j","exp":1900000000}`,
	`{"sub":"u","exp":1900000000,"sub":"v"}`, `{"sub":"u","exp":1,"exp":1900000000}`, `{"sub":"u","Sub":"v","exp":1900000000}`, `{"SUB":"u","EXP":1900000000}`,
	`{"sub":"\u0075","exp":1900000000}`, `{"sub":"u","exp":1.9e9}`, `{"sub":"u","exp":"1900000000"}`, `{"sub":"u","exp":null}`, `{"sub":"u","exp":01900000000}`,
	`{"sub":"u","exp":-5}`, `{"sub":"u","exp":0}`, `{"sub":"u","exp":99999999999}`, `{"sub":"u","exp":999999999999}`, `{"sub":"u","exp":1e400}`,
	`{"sub":"u","exp":1900000000,"nbf":0}`, `{"sub":"u","exp":1900000000,"nbf":null}`, `{"sub":"u","exp":1900000000,"iat":"x"}`,
	`{"sub":7,"exp":1900000000}`, `{"sub":"u","exp":1900000000,"iss":7}`, `{"sub":"u","exp":1900000000,"aud":["a"]}`, `{"sub":"u","exp":1900000000,"aud":{}}`,
	`{"sub":"u","exp":1900000000,"more":{"deep":[1]}}`, `{ "sub":"u","exp":1900000000}`, `{"sub":"u","exp":1900000000} `, `{"sub":"u","exp":1900000000}}`,
	`{"sub":"u","exp":1900000000,}`, `{"sub":"u","exp":1900000000`, `{"sub":"","exp":1900000000}`, `{"sub":"a b","exp":1900000000}`, `{"exp":1900000000}`, `{"sub":"u"}`,
	`{}`, `[]`, `null`, `"x"`, ``, `{"sub":"` + strings.Repeat("u", 65) + `","exp":1900000000}`, `{"sub":"u","scope":"` + strings.Repeat("s", 600) + `","exp":1900000000}`,
	"{\"sub\":\"u\",\"exp\":1900000000,\"iss\":\"\xff\"}", "{\"sub\":\"u\",\"exp\":1900000000,\"iss\":\"a\nb\"}",
}

func TestTheLeanCheckDecidesAsTheLibraryDoes(t *testing.T) {
	for _, leeway := range []time.Duration{0, 3 * time.Second} {
		r := leanRing(t, leeway)
		for _, claims := range oddClaims {
			for _, header := range []string{hsHeader, edHeader, `{"kid":"h","alg":"HS256"}`, `{"alg":"HS256","kid":"e"}`, `{"alg":"EdDSA","kid":"h"}`, `{"alg":"none","kid":"h"}`} {
				text := signed(header, claims)
				compare(t, r, text)
				compare(t, r, text[:len(text)-1])                  // the last sign of the signature is missing
				compare(t, r, text+"A")                            // one too many
				compare(t, r, text+".")                            // four parts
				compare(t, r, strings.Replace(text, ".", "..", 1)) // an empty part
				compare(t, r, strings.Replace(text, ".", ".\n", 1))
				at := strings.LastIndexByte(text, '.')
				compare(t, r, text[:at+1])
				compare(t, r, text[:at+1]+"\n"+text[at+1:])
				flipped := []byte(text)
				flipped[at+5] ^= 1
				compare(t, r, string(flipped))
				flipped = []byte(text)
				flipped[at-1] ^= 1
				compare(t, r, string(flipped))
			}
		}
		for end := range 64 { // signatures that differ in bits which decode to nothing
			text := signed(hsHeader, `{"sub":"u","exp":1900000000}`)
			compare(t, r, text[:len(text)-1]+string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[end]))
		}
	}
}

func TestATokenOfAnUnknownKeyTeachesNothing(t *testing.T) {
	r := leanRing(t, 0)
	for _, header := range []string{`{"alg":"HS256","kid":"x"}`, `{"alg":"none","kid":"h"}`} {
		if _, err := r.Check(signed(header, `{"sub":"u","exp":1900000000}`)); err == nil {
			t.Fatal(header)
		}
	}
	for i := range 2 * maxHeaders { // many good spellings: bounded
		if _, err := r.Check(signed(strings.Repeat(" ", i)+hsHeader, `{"sub":"u","exp":1900000000}`)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.heads.key); n != maxHeaders {
		t.Fatalf("%d headers are remembered, the bound is %d", n, maxHeaders)
	}
}

func TestACommonTokenCostsOneAllocation(t *testing.T) {
	r := leanRing(t, 0)
	text := signed(hsHeader, `{"sub":"user-1","iat":1799990000,"exp":1900000000}`)
	if n := testing.AllocsPerRun(200, func() {
		if _, err := r.Check(text); err != nil {
			t.Fatal(err)
		}
	}); n > 1 && !raceEnabled { // the uid
		t.Fatalf("%v allocations", n)
	}
}

// FuzzCheck signs what it is given, so that the claims are read at all, and also takes it as a whole token.
func FuzzCheck(f *testing.F) {
	for _, claims := range oddClaims {
		f.Add(hsHeader, claims)
		f.Add(edHeader, claims)
	}
	r := leanRing(f, time.Second)
	f.Fuzz(func(t *testing.T, header, claims string) {
		compare(t, r, signed(hsHeader, claims))
		compare(t, r, signed(header, claims))
		compare(t, r, header+"."+claims)
	})
}

func BenchmarkCheck(b *testing.B) {
	r := leanRing(b, 0)
	text := signed(hsHeader, `{"sub":"user-1","iat":1799990000,"exp":1900000000}`)
	b.Run("lean", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Check(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := r.strict(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
