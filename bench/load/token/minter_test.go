package token

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestMintedTokensPassAnIndependentCheck(t *testing.T) {
	secret, exp := []byte("a secret of 32 characters at least"), time.Now().Add(time.Hour).Truncate(time.Second)
	m := New("k1", secret, exp)
	for _, scope := range []string{"", "fund"} {
		for _, uid := range []string{"u1", "rehearsal-0000000042"} {
			text := string(m.Clone().Append(nil, []byte(uid), scope))
			if again := string(m.Append([]byte("x"), []byte(uid), scope)); again != "x"+text {
				t.Fatalf("two minters differ: %s and %s", text, again)
			}
			tok, err := jwt.Parse(text, func(tok *jwt.Token) (any, error) { return secret, nil }, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
			if err != nil || tok.Header["kid"] != "k1" {
				t.Fatalf("%s: %v", text, err)
			}
			claims := tok.Claims.(jwt.MapClaims)
			if claims["sub"] != uid || int64(claims["exp"].(float64)) != exp.Unix() || scope != "" && claims["scope"] != scope {
				t.Errorf("claims %v", claims)
			}
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	m := New("k1", []byte("a secret of 32 characters at least"), time.Now())
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0], []byte("b0000000042"), "")
	}
}
