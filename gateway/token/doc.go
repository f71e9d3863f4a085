// Package token checks and makes users' tokens: JWTs that carry the uid.
//
// Each key id fixes one algorithm, so that a token cannot choose how it is
// checked ("alg": "none", or an Ed25519 public key used as an HMAC secret).
// exp is required. sub is the uid: 1 to 64 characters of [A-Za-z0-9_-], so
// that it can never break out of a cache key. scope is a space-separated list
// (RFC 8693); `fund` allows funding red packets.
//
//	ring, err := token.NewRing(keys, 0, time.Now)
//	text, err := ring.Mint(token.Claims{UID: "u1", Scope: "fund"}, time.Hour)
//	claims, err := ring.Check(text)
//
// The common token is checked by hand (lean.go), in a tenth of the library's time; whatever
// is unusual about one, golang-jwt decides.
//
//	text -> header known? -> claims scanned, signature right? -> Claims
//	              | no                      | no
//	              +---------> golang-jwt <--+
//
// A Ring is immutable but for the headers it has met and its cache of EdDSA tokens already
// checked, and may be used by all goroutines at once.
package token
