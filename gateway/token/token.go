package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Key is one key of a Ring.
type Key struct {
	ID        string
	Algorithm string // HS256 or EdDSA
	Secret    string // HS256
	Public    string // EdDSA: base64 of 32 bytes
	Private   string // EdDSA: base64 of the 32-byte seed; "" checks only
}

// Claims is what a valid token says.
type Claims struct {
	UID     string
	Scope   string
	Expires time.Time
}

// Has says whether the token carries the scope.
func (c Claims) Has(scope string) bool {
	for rest := c.Scope; rest != ""; {
		var one string
		if one, rest, _ = strings.Cut(rest, " "); one == scope {
			return true
		}
	}
	return false
}

// ErrInvalid is the reason of every refusal; its text is fit for the client.
var ErrInvalid = errors.New("token is not valid")

// ErrNoSigner is returned by Mint of a Ring that can only check.
var ErrNoSigner = errors.New("no key can sign: give an HS256 secret or an EdDSA private_key")

// ValidUID says whether uid is 1-64 characters of [A-Za-z0-9_-].
func ValidUID(uid string) bool {
	if len(uid) == 0 || len(uid) > 64 {
		return false
	}
	for i := range len(uid) {
		c := uid[i]
		if c-'a' > 25 && c-'A' > 25 && c-'0' > 9 && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

type material struct {
	method jwt.SigningMethod
	check  any
	sign   any
	macs   *sync.Pool // of *mac, for HS256
}

// Ring is the set of keys tokens are checked with.
type Ring struct {
	keys   map[string]*material
	signer string
	now    func() time.Time
	leeway time.Duration
	parser *jwt.Parser
	heads  headers
	seen   *cache // of EdDSA: an HMAC costs less than to look one up
}

// NewRing prepares the keys; leeway is allowed between clocks.
func NewRing(keys []Key, leeway time.Duration, now func() time.Time) (*Ring, error) {
	r := &Ring{keys: map[string]*material{}, now: now, leeway: leeway, seen: newCache(1 << 16)}
	for _, k := range keys {
		m, err := k.material()
		if err != nil {
			return nil, fmt.Errorf("token key %q: %w", k.ID, err)
		}
		r.keys[k.ID] = &m
		if r.signer == "" && m.sign != nil {
			r.signer = k.ID
		}
	}
	r.parser = jwt.NewParser(jwt.WithExpirationRequired(), jwt.WithTimeFunc(now), jwt.WithLeeway(leeway),
		jwt.WithValidMethods([]string{"HS256", "EdDSA"}))
	return r, nil
}

func (k Key) material() (material, error) {
	switch k.Algorithm {
	case "HS256":
		secret := []byte(k.Secret)
		return material{jwt.SigningMethodHS256, secret, secret, newMacs(secret)}, nil
	case "EdDSA":
		public, err := base64.StdEncoding.DecodeString(k.Public)
		if err != nil || len(public) != ed25519.PublicKeySize {
			return material{}, errors.New("the public key is not the base64 of 32 bytes")
		}
		m := material{method: jwt.SigningMethodEdDSA, check: ed25519.PublicKey(public)}
		if k.Private != "" {
			seed, err := base64.StdEncoding.DecodeString(k.Private)
			if err != nil || len(seed) != ed25519.SeedSize {
				return material{}, errors.New("the private key is not the base64 of a 32-byte seed")
			}
			m.sign = ed25519.NewKeyFromSeed(seed)
		}
		return m, nil
	}
	return material{}, fmt.Errorf("algorithm %q is not HS256 or EdDSA", k.Algorithm)
}

type wire struct {
	Scope string `json:"scope,omitempty"`
	jwt.RegisteredClaims
}

// ErrNoBearer is said of an Authorization header that holds no bearer token.
var ErrNoBearer = errors.New("send Authorization: Bearer <token>")

// Bearer verifies the token of a whole Authorization header; the error is ErrNoBearer or Check's.
func (r *Ring) Bearer(authorization string) (Claims, error) {
	const scheme = "Bearer "
	if len(authorization) < len(scheme) || !strings.EqualFold(authorization[:len(scheme)], scheme) {
		return Claims{}, ErrNoBearer
	}
	return r.Check(strings.TrimSpace(authorization[len(scheme):]))
}

// Check verifies a bare token. The error wraps ErrInvalid and says why.
func (r *Ring) Check(text string) (Claims, error) {
	now := r.now()
	if len(text) > 4096 {
		return Claims{}, fmt.Errorf("%w: longer than 4096 bytes", ErrInvalid)
	}
	head := strings.IndexByte(text, '.')
	if head < 0 {
		return Claims{}, fmt.Errorf("%w: malformed", ErrInvalid)
	}
	m := r.heads.of(text[:head])
	if m == nil {
		c, m, err := r.strict(text)
		if err == nil {
			r.heads.learn(text[:head], m)
		}
		return c, err
	}
	keep := m.macs == nil
	if keep {
		if c, ok := r.seen.get(text); ok && now.Before(c.Expires) {
			return c, nil
		}
	}
	c, ok := r.lean(m, text, head, now)
	if !ok {
		var err error
		if c, _, err = r.strict(text); err != nil {
			return c, err
		}
	}
	if keep {
		r.seen.put(text, c)
	}
	return c, nil
}

// strict is the library's check; it also returns the key.
func (r *Ring) strict(text string) (Claims, *material, error) {
	var w wire
	t, err := r.parser.ParseWithClaims(text, &w, r.keyOf)
	if err != nil {
		return Claims{}, nil, fmt.Errorf("%w: %s", ErrInvalid, reason(err))
	}
	if !ValidUID(w.Subject) {
		return Claims{}, nil, fmt.Errorf("%w: sub must be 1-64 characters of [A-Za-z0-9_-]", ErrInvalid)
	}
	id, _ := t.Header["kid"].(string)
	return Claims{UID: w.Subject, Scope: w.Scope, Expires: w.ExpiresAt.Time}, r.keys[id], nil
}

func (r *Ring) keyOf(t *jwt.Token) (any, error) {
	id, _ := t.Header["kid"].(string)
	m, ok := r.keys[id]
	if !ok {
		return nil, errors.New("unknown key id")
	}
	if t.Method != m.method {
		return nil, errors.New("the algorithm is not the key's")
	}
	return m.check, nil
}

// reason keeps the library's inner words from the client.
func reason(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return "not valid yet"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "exp is missing"
	case errors.Is(err, jwt.ErrTokenMalformed):
		return "malformed"
	default:
		return "signature or key"
	}
}

// Mint makes a token that is valid for life from now.
func (r *Ring) Mint(c Claims, life time.Duration) (string, error) {
	if !ValidUID(c.UID) {
		return "", fmt.Errorf("uid %q: must be 1-64 characters of [A-Za-z0-9_-]", c.UID)
	}
	if r.signer == "" {
		return "", ErrNoSigner
	}
	key, now := r.keys[r.signer], r.now()
	t := jwt.NewWithClaims(key.method, wire{Scope: c.Scope, RegisteredClaims: jwt.RegisteredClaims{
		Subject: c.UID, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life)),
	}})
	t.Header["kid"] = r.signer
	return t.SignedString(key.sign)
}
