package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	secret = strings.Repeat("s", 32)
	seed   = []byte(strings.Repeat("e", 32))
	public = ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newRing(t *testing.T, keys ...Key) (*Ring, *clock) {
	t.Helper()
	c := &clock{time.Unix(1_800_000_000, 0)}
	r, err := NewRing(keys, 0, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

func hs(id string) Key { return Key{ID: id, Algorithm: "HS256", Secret: secret} }
func ed(id string) Key {
	return Key{ID: id, Algorithm: "EdDSA", Public: base64.StdEncoding.EncodeToString(public), Private: base64.StdEncoding.EncodeToString(seed)}
}

func TestAMintedTokenIsValidUntilItExpires(t *testing.T) {
	for _, key := range []Key{hs("a"), ed("a")} {
		r, c := newRing(t, key)
		text, err := r.Mint(Claims{UID: "u_1-x", Scope: "fund other"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time from the cache
			got, err := r.Check(text)
			if err != nil || got.UID != "u_1-x" || !got.Has("fund") || !got.Has("other") || got.Has("fun") {
				t.Fatalf("%s: %+v, %v", key.Algorithm, got, err)
			}
		}
		c.t = c.t.Add(time.Hour)
		if _, err := r.Check(text); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "expired") {
			t.Fatalf("after its time: %v", err)
		}
	}
}

func TestKeysRotate(t *testing.T) {
	older, _ := newRing(t, hs("2026"))
	text, _ := older.Mint(Claims{UID: "u"}, time.Hour)
	both, _ := newRing(t, ed("2027"), hs("2026"))
	if _, err := both.Check(text); err != nil {
		t.Fatalf("a token of the older key: %v", err)
	}
	newer, _ := newRing(t, ed("2027"))
	if _, err := newer.Check(text); err == nil {
		t.Fatal("a token of a removed key was accepted")
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	r, c := newRing(t, hs("h"), ed("e"))
	sign := func(method jwt.SigningMethod, kid any, key any, claims jwt.MapClaims) string {
		tok := jwt.NewWithClaims(method, claims)
		if kid != nil {
			tok.Header["kid"] = kid
		}
		text, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	exp := c.t.Add(time.Hour).Unix()
	good := jwt.MapClaims{"sub": "u", "exp": exp}
	f := func(name, text string) {
		t.Helper()
		if got, err := r.Check(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	f("alg none", sign(jwt.SigningMethodNone, "h", jwt.UnsafeAllowNoneSignatureType, good))
	f("public key as HMAC secret", sign(jwt.SigningMethodHS256, "e", []byte(public), good))
	f("another algorithm of the same secret", sign(jwt.SigningMethodHS512, "h", []byte(secret), good))
	f("no key id", sign(jwt.SigningMethodHS256, nil, []byte(secret), good))
	f("key id of another type", sign(jwt.SigningMethodHS256, 7, []byte(secret), good))
	f("no exp", sign(jwt.SigningMethodHS256, "h", []byte(secret), jwt.MapClaims{"sub": "u"}))
	f("nbf ahead", sign(jwt.SigningMethodHS256, "h", []byte(secret), jwt.MapClaims{"sub": "u", "exp": exp, "nbf": exp}))
	for _, uid := range []string{"", "a b", "a\nb", "a{b}", "é", strings.Repeat("u", 65), "../x", "a:b"} {
		f(fmt.Sprintf("uid %q", uid), sign(jwt.SigningMethodHS256, "h", []byte(secret), jwt.MapClaims{"sub": uid, "exp": exp}))
	}
	f("empty", "")
	f("garbage", "a.b.c")
	f("10 KB", strings.Repeat("x", 10<<10))
}

func TestTheCacheIsBounded(t *testing.T) {
	c := newCache(1 << 10)
	for i := range 100_000 {
		c.put(fmt.Sprint(i), Claims{})
	}
	n := 0
	for i := range c.parts {
		n += len(c.parts[i].young) + len(c.parts[i].old)
	}
	if n > 1<<10 {
		t.Fatalf("holds %d, bound 1024", n)
	}
	if _, ok := c.get("99999"); !ok {
		t.Fatal("the newest is gone")
	}
}
