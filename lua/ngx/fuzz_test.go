package ngx

import (
	"strings"
	"testing"

	"sluice/lua/vm"
)

func FuzzNormalPathStaysBelowTheRoot(f *testing.F) {
	for _, s := range []string{"/", "/a//b/../c", "/%2e%2e/x", "/a/./b/..", "http://h/x?y", "", "/%zz%", "//..//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := normalPath("/" + s)
		if !strings.HasPrefix(p, "/") {
			t.Errorf("%q: %q", s, p)
		}
		if strings.HasPrefix(p, "/../") || p == "/.." {
			t.Errorf("%q climbs: %q", s, p)
		}
	})
}

func FuzzEscapingRoundTrips(f *testing.F) {
	f.Add("a b&c=%\x00\xff+~")
	f.Fuzz(func(t *testing.T, s string) {
		if got := unescape(escape(s, &escComponent)); got != s {
			t.Errorf("%q: %q", s, got)
		}
	})
}

func FuzzDecodeArgsNeverFails(f *testing.F) {
	f.Add("a=1&b&=c&&d=%zz&a=2", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		tb := vm.NewTable(0, 0)
		decodeArgs(s, limit, tb)
		n, k := 0, vm.Nil
		for {
			key, _, more, err := tb.Next(k)
			if err != nil || !more {
				break
			}
			k = key
			n++
		}
		if limit > 0 && n > limit {
			t.Errorf("%d names, limit %d", n, limit)
		}
	})
}

func TestNormalPathIsNginxs(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := normalPath(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f("/a/b", "/a/b")
	f("/a//b///c/", "/a/b/c/")
	f("/a/./b/../c", "/a/c")
	f("/a/..", "/")
	f("/%41%20b?x#y", "/A b")
	f("http://host/p", "/p")
	f("/../../etc", "/etc")
}

func TestHTTPTimesOfEveryForm(t *testing.T) {
	for _, s := range []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"} {
		if n, ok := parseHTTPTime(s); !ok || n != 784111777 {
			t.Errorf("%s: %d %v", s, n, ok)
		}
	}
	if _, ok := parseHTTPTime("yesterday"); ok {
		t.Error("yesterday is no time")
	}
}
