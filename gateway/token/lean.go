package token

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"maps"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// The lean check knows only the tokens that issuers really write: a header seen before, claims
// as flat compact JSON without escapes. It accepts nothing that the library would refuse; where
// it does not accept, the library is asked, and has the last word and the reason.

const (
	leanClaims  = 512 // bytes of claims, decoded; longer ones are the library's
	maxHeaders  = 64  // spellings of headers remembered
	hmacSum     = sha256.Size
	hmacEncoded = (hmacSum*8 + 5) / 6
)

// headers remembers which key an encoded header names. Only the library puts one in, after the
// whole token was found good, so nobody without a key can fill it.
type headers struct {
	mu  sync.RWMutex
	key map[string]*material
}

func (h *headers) of(encoded string) *material {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.key[encoded]
}

func (h *headers) learn(encoded string, m *material) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.key) >= maxHeaders {
		return
	}
	more := maps.Clone(h.key)
	if more == nil {
		more = map[string]*material{}
	}
	more[strings.Clone(encoded)] = m
	h.key = more
}

// macs lends HMACs that have the key's two first blocks behind them.
func newMacs(secret []byte) *sync.Pool {
	return &sync.Pool{New: func() any {
		m := &mac{Hash: hmac.New(sha256.New, secret)}
		m.Reset()
		return m
	}}
}

// mac has its buffers with it: what is passed through an interface would else be garbage.
type mac struct {
	hash.Hash
	want, got [hmacSum + 4]byte
}

// verify checks the signature over signed.
func (m *material) verify(signed, signature string) bool {
	if m.macs == nil {
		var raw [ed25519.SignatureSize + 2]byte
		if base64.RawURLEncoding.DecodedLen(len(signature)) != ed25519.SignatureSize {
			return false
		}
		n, err := base64.RawURLEncoding.Decode(raw[:], bytesOf(signature))
		return err == nil && n == ed25519.SignatureSize && ed25519.Verify(m.check.(ed25519.PublicKey), bytesOf(signed), raw[:n])
	}
	if len(signature) != hmacEncoded {
		return false
	}
	k := m.macs.Get().(*mac)
	defer m.macs.Put(k)
	k.Reset()
	k.Write(bytesOf(signed))
	want := k.Sum(k.want[:0])
	n, err := base64.RawURLEncoding.Decode(k.got[:], bytesOf(signature))
	return err == nil && hmac.Equal(want, k.got[:n])
}

// lean checks text under the key that its header names; ok false says nothing about the token.
func (r *Ring) lean(m *material, text string, head int, now time.Time) (c Claims, ok bool) {
	tail := strings.LastIndexByte(text, '.')
	if tail <= head || tail-head > leanClaims {
		return c, false
	}
	body, signature := text[head+1:tail], text[tail+1:]
	s := scans.Get().(*scan)
	defer scans.Put(s)
	n, err := base64.RawURLEncoding.Decode(s.space[:], bytesOf(body)) // a '.' in it is refused here
	if err != nil {
		return c, false
	}
	if !s.claims(n) || s.exp == 0 || !now.Before(time.Unix(s.exp, 0).Add(r.leeway)) ||
		s.nbf != 0 && now.Before(time.Unix(s.nbf, 0).Add(-r.leeway)) || !m.verify(text[:tail], signature) {
		return c, false
	}
	uid := string(s.sub)
	if !ValidUID(uid) {
		return c, false
	}
	return Claims{UID: uid, Scope: string(s.scope), Expires: time.Unix(s.exp, 0)}, true
}

// bytesOf lends a string's bytes to what only reads them.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
