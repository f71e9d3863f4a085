package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"hash"
	"strconv"
	"time"
)

// Minter appends signed tokens of one key.
type Minter struct {
	kid    string
	secret []byte
	mac    hash.Hash
	head   []byte // base64 of the header, and the dot
	tail   []byte // ,"exp":NNN}
	claims []byte
	sum    []byte
	exp    time.Time
}

// New makes a minter; kid may hold anything that JSON can.
func New(kid string, secret []byte, expires time.Time) *Minter {
	header, _ := json.Marshal(map[string]string{"alg": "HS256", "typ": "JWT", "kid": kid}) // strings always marshal
	head := append([]byte(base64.RawURLEncoding.EncodeToString(header)), '.')
	tail := strconv.AppendInt([]byte(`","exp":`), expires.Unix(), 10)
	return &Minter{kid: kid, secret: secret, mac: hmac.New(sha256.New, secret), head: head, tail: tail, exp: expires}
}

// Clone is a minter of the same key for another goroutine.
func (m *Minter) Clone() *Minter { return New(m.kid, m.secret, m.exp) }

// Append appends the token of uid to dst. uid and scope must not need escaping in JSON: they come
// from the scenario, which admits [A-Za-z0-9_-] and spaces only.
func (m *Minter) Append(dst []byte, uid []byte, scope string) []byte {
	c := append(append(m.claims[:0], `{"sub":"`...), uid...)
	c = append(c, m.tail...)
	if scope != "" {
		c = append(append(append(c, `,"scope":"`...), scope...), '"')
	}
	m.claims = append(c, '}')
	start := len(dst)
	dst = append(dst, m.head...)
	dst = base64.RawURLEncoding.AppendEncode(dst, m.claims)
	m.mac.Reset()
	m.mac.Write(dst[start:])
	m.sum = m.mac.Sum(m.sum[:0])
	return base64.RawURLEncoding.AppendEncode(append(dst, '.'), m.sum)
}
