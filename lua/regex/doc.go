// Package regex is ngx.re: regular expressions with PCRE's syntax, semantics
// and error texts, on a backtracking engine of our own.
//
//	pattern --parse--> tree --compile--> instructions --run--> captures
//
// Why an engine: Go's regexp has no lookaround, backreferences or possessive
// quantifiers, and regexp2 works on runes, so that bytes which are no UTF-8,
// the "d" option (longest match) and PCRE's match limit cannot be had from
// either. The engine works on bytes, decodes UTF-8 only under "u", keeps its
// backtracking points on a heap stack with a limit, and counts steps: a
// pattern bomb ends with PCRE's error -8, not with a stalled process.
//
// A Regexp is immutable and may be used by many goroutines at once; so may a
// Cache.
package regex
