// Command conformance runs test blocks of lua-nginx-module, given as data,
// against this runtime and against Debian's nginx, so that each verdict is a
// comparison.
//
//	go run ./lua/conformance -corpus blocks.jsonl
//	go run ./lua/conformance -corpus blocks.jsonl -family t/098-uthread-wait.t -v
//	go run ./lua/conformance -corpus blocks.jsonl -target nginx
//
// The corpus is a file of JSON lines: file, name, tier and the sections of a
// Test::Nginx block. For each block the tool writes the nginx.conf that
// Test::Nginx would write, starts Debian's nginx with it in a temporary
// folder, and reads the same text with a small loader of the directives the
// blocks use (conf.go, loader.go, directives.go) to serve it by this runtime.
// Each block runs twice against the same server; client.go sends, check.go
// compares as Test::Nginx does.
//
// A block that nginx itself fails is skipped, and so is one that needs what
// the package comment of lua says we have not. The last line of the report is
//
//	P passed, F failed, S skipped of N
//
// Exit status: 0 when nothing failed, 1 when something did, 2 when a server is
// not installed (the message says what to install).
package main
