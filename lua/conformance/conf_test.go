package main

import (
	"strings"
	"testing"
)

func TestDirectivesAreReadAsNginxReadsThem(t *testing.T) {
	ds, err := parseConf(`a b "c d" 'e\'f';
location = /x { # comment
    content_by_lua_block { ngx.say("}") -- }
    }
    set $v ${w}z;
}`)
	if err != nil {
		t.Fatal(err)
	}
	if len(ds) != 2 || strings.Join(ds[0].args, "|") != "b|c d|e'f" {
		t.Fatalf("%+v", ds[0])
	}
	loc := ds[1]
	if len(loc.block) != 2 || loc.block[0].line != 3 || !strings.Contains(loc.block[0].lua, `ngx.say("}")`) {
		t.Fatalf("%+v", loc.block[0])
	}
	if got := loc.block[1].args[1]; got != "${w}z" {
		t.Errorf("%q", got)
	}
}

func FuzzParseConfNeverPanics(f *testing.F) {
	f.Add("a { b_by_lua_block { [[x]] -- \n } } '\\")
	f.Fuzz(func(t *testing.T, s string) { _, _ = parseConf(s) })
}

func TestPerlPatternsAreUnderstood(t *testing.T) {
	f := func(re, s string, want bool) {
		t.Helper()
		if ok, err := match(re, s, 0); err != nil || ok != want {
			t.Errorf("%s on %q: %v %v", re, s, ok, err)
		}
	}
	f(`(?^:a\d+)`, "xa12", true)
	f(`(?^s:a.b)`, "a\nb", true)
	f(`(?^:a.b)`, "a\nb", false)
	f(`(?^:\A[12]\z)`, "3", false)
}

func TestABodyIsReadHoweverItIsFramed(t *testing.T) {
	if latin1("\u00ff\u0001a") != "\xff\x01a" || runes("\xff") != "\u00ff" {
		t.Error("latin-1")
	}
}
