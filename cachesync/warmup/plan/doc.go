// Package plan turns a row of a source into a record for memcached: which rows,
// under which key, with which payload, version and expiry.
//
//	p, err := plan.Compile(plan.Config{Key: "u:{uid}", VersionColumn: "updated_at", KeepUntil: t})
//	item, err := p.Convert(row, buf)   // plan.ErrFiltered, or a *source.BadRow with file and line
//
// Version = source epoch | the version column (else when the run opened the
// source) | 0, so that a live change, minted by the same clock, wins over the
// older row and loses to a newer one.
//
// Expiry = KeepUntil + hash(key) mod Spread: never before KeepUntil, and not all
// in one second.
//
// A Plan belongs to one goroutine.
package plan
