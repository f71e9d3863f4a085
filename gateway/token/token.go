package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
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
}

// Ring is the set of keys tokens are checked with.
type Ring struct {
	keys   map[string]material
	signer string
	now    func() time.Time
	parser *jwt.Parser
	seen   *cache
}

// NewRing prepares the keys; leeway is allowed between clocks.
func NewRing(keys []Key, leeway time.Duration, now func() time.Time) (*Ring, error) {
	r := &Ring{keys: map[string]material{}, now: now, seen: newCache(1 << 16)}
	for _, k := range keys {
		m, err := k.material()
		if err != nil {
			return nil, fmt.Errorf("token key %q: %w", k.ID, err)
		}
		r.keys[k.ID] = m
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
		return material{jwt.SigningMethodHS256, []byte(k.Secret), []byte(k.Secret)}, nil
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

// Check verifies a bare token. The error wraps ErrInvalid and says why.
func (r *Ring) Check(text string) (Claims, error) {
	now := r.now()
	if c, ok := r.seen.get(text); ok && now.Before(c.Expires) {
		return c, nil
	}
	if len(text) > 4096 {
		return Claims{}, fmt.Errorf("%w: longer than 4096 bytes", ErrInvalid)
	}
	var w wire
	if _, err := r.parser.ParseWithClaims(text, &w, r.keyOf); err != nil {
		return Claims{}, fmt.Errorf("%w: %s", ErrInvalid, reason(err))
	}
	if !ValidUID(w.Subject) {
		return Claims{}, fmt.Errorf("%w: sub must be 1-64 characters of [A-Za-z0-9_-]", ErrInvalid)
	}
	c := Claims{UID: w.Subject, Scope: w.Scope, Expires: w.ExpiresAt.Time}
	r.seen.put(text, c)
	return c, nil
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
