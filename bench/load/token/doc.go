// Package token mints users' tokens at the speed of a load generator.
//
// A token is a JWT signed with HS256, as the gateway checks it: header with the key's id, claims
// sub (the uid), exp and, where asked for, scope. Header and signing state are prepared once, so a
// token costs one HMAC of some hundred bytes (below a microsecond) and no allocation; millions of
// distinct users need no list made beforehand.
//
//	m := token.New("k1", secret, expires)
//	buf = m.Append(buf, "u42", "")       // "" is no scope
//
// A Minter belongs to one goroutine; Clone gives another of the same key.
package token
