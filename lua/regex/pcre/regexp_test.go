package pcre

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

func options(s string) Options {
	has := func(c string) bool { return strings.Contains(s, c) }
	return Options{Fold: has("i"), Multi: has("m"), DotAll: has("s"), Extended: has("x"), Anchored: has("a"),
		UTF: has("u"), DupNames: has("D"), JS: has("J")}
}

// verdict is what a search says, in the form the golden file has.
func verdict(opts, pattern, subject string) string {
	re, err := Compile(pattern, options(opts))
	var ce *CompileError
	if errors.As(err, &ce) {
		return fmt.Sprintf("ERR\t%s\t%d", ce.Msg, ce.Offset)
	}
	find := re.Find
	if strings.Contains(opts, "d") {
		find = re.FindLongest
	}
	caps, err := find(subject, 0, nil, Limits{Match: 100000})
	var xe *ExecError
	switch {
	case errors.As(err, &xe):
		return fmt.Sprintf("RC\t%d", xe.Code)
	case caps == nil:
		return "RC\t-1"
	}
	return "OK\t" + strings.Trim(fmt.Sprint(caps), "[]")
}

// testdata/pcre.tsv: options, pattern, subject, and what libpcre 8.39 said.
func TestAgreesWithPCRE(t *testing.T) {
	f, err := os.Open("testdata/pcre.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		p := strings.Split(sc.Text(), "\t")
		pattern, _ := strconv.Unquote(p[1])
		subject, _ := strconv.Unquote(p[2])
		if got := strings.ReplaceAll(verdict(p[0], pattern, subject), "\t", " "); got != p[3] {
			t.Errorf("/%s/%s on %q: got %s, PCRE says %s", pattern, p[0], subject, got, p[3])
		}
	}
}

func TestCompileErrorsReadAsPCREs(t *testing.T) {
	f := func(pattern, want string) {
		t.Helper()
		_, err := Compile(pattern, Options{})
		if err == nil || err.Error() != "pcre_compile() failed: "+want {
			t.Errorf("%q: got %v, want %s", pattern, err, want)
		}
	}
	f("(abc", `missing ) in "(abc"`)
	f("abc)", `unmatched parentheses in "abc)" at ")"`)
	f("[abc", `missing terminating ] for character class in "[abc"`)
	f("a**", `nothing to repeat in "a**" at "*"`)
	f("*a", `nothing to repeat in "*a" at "*a"`)
	f(`a\`, `\ at end of pattern in "a\"`)
	f("(?z)", `unrecognized character after (? or (?- in "(?z)" at "z)"`)
	f("[z-a]", `range out of order in character class in "[z-a]" at "a]"`)
	f("a{3,1}", `numbers out of order in {} quantifier in "a{3,1}" at "}"`)
	f("(?<n>a)(?<n>b)", `two named subpatterns have the same name in "(?<n>a)(?<n>b)" at ">b)"`)
	f("("+strings.Repeat("x", 200), `missing ) in "(`+strings.Repeat("x", 127-len(`pcre_compile() failed: missing ) in "(`)))
}

func TestBombsEndWithTheMatchLimit(t *testing.T) {
	f := func(pattern, subject string) {
		t.Helper()
		re, err := Compile(pattern, Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = re.Find(subject, 0, nil, Limits{Match: 200000})
		var xe *ExecError
		if !errors.As(err, &xe) || xe.Code != ErrorMatchLimit && xe.Code != ErrorRecursionLimit {
			t.Errorf("%s: got %v, want -8", pattern, err)
		}
	}
	as := strings.Repeat("a", 60) + "!"
	f("(a+)+$", as)
	f("(a|aa)+$", as)
	f("(a*)*$", as)
	f("(.*)*[xyz]", strings.Repeat("ab", 60))
	f("(?:a?){40}a{40}$", strings.Repeat("a", 40)+"b")
}

// The counts are those of PCRE's match() calls, near enough for the limits
// that OpenResty's own tests set.
func TestMatchLimitCountsAsPCREDoes(t *testing.T) {
	re, err := Compile(`(A|AA)+[bc]`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := re.Find("AAAAAAAA", 0, nil, Limits{Match: 340}); err == nil {
		t.Error("340 steps should not do")
	}
	if _, err := re.Find("AAAAAAAA", 0, nil, Limits{Match: 360}); err != nil {
		t.Errorf("360 steps should do: %v", err)
	}
}

type poller struct{ err error }

func (p poller) Poll() error { return p.err }

func TestPollEndsALongSearch(t *testing.T) {
	re, _ := Compile(`a.*b.*c.*[xy]`, Options{DotAll: true})
	stop := errors.New("deadline")
	_, err := re.Find(strings.Repeat("abc", 20000), 0, nil, Limits{Poller: poller{stop}})
	if err != stop {
		t.Errorf("got %v, want the poll's error", err)
	}
}

func TestLongestMatch(t *testing.T) {
	f := func(opts, pattern, subject, want string) {
		t.Helper()
		if got := verdict(opts+"d", pattern, subject); got != want {
			t.Errorf("%s on %s: got %q, want %q", pattern, subject, got, want)
		}
	}
	f("", "he|hell", "hello", "OK\t0 4")
	f("", "(he|hell)", "hello", "OK\t0 4")
	f("", "<.*>", "This is <something> <something else> <something further> no more", "OK\t8 56")
	f("", "<.*?>", "<a><b>", "OK\t0 6")
	f("", "[0-9]|[0-9][0-9]", "hello, 1234", "OK\t7 9")
	f("u", ".", "你好", "OK\t0 3")
	f("", `(a)\1`, "aa", "RC\t-16")
	f("", `a{2,3}b(?=c)`, "aaabc", "OK\t0 4")
}

func TestBytesThatAreNoUTF8(t *testing.T) {
	f := func(opts, pattern, subject, want string) {
		t.Helper()
		if got := verdict(opts, pattern, subject); got != want {
			t.Errorf("%q on %q: got %q, want %q", pattern, subject, got, want)
		}
	}
	f("", "a.b", "a\xffb", "OK\t0 3")
	f("", "a\x00b", "xa\x00b", "OK\t1 4")
	f("", `[\x80-\xff]+`, "a\xe4\xbd\xa0b", "OK\t1 4")
	f("u", "a.b", "a\xffb", "RC\t-10")
	f("u", "x\xff", "", "ERR\tinvalid UTF-8 string\t0")
}

// bitstate: whatever the pattern and the subject, there is an answer.
func FuzzFind(f *testing.F) {
	f.Add("(a|b)*c", "aabc", "i")
	f.Add(`(?<n>\w+)\k<n>(?(1)x|y)(?R)?`, "abab", "u")
	f.Add(`[[:alpha:]\d-z]{2,3}+(?<=a|bc)(?!d)`, "ab", "xsm")
	f.Add(`\Qa\E\x{41}\p{L}(*SKIP)a|b`, "aAé", "u")
	f.Fuzz(func(t *testing.T, pattern, subject, opts string) {
		re, err := Compile(pattern, options(opts))
		if err != nil {
			return
		}
		find := re.Find
		if strings.Contains(opts, "d") {
			find = re.FindLongest
		}
		caps, err := find(subject, 0, nil, Limits{Match: 20000})
		if err != nil {
			return
		}
		for i := 0; i+1 < len(caps); i += 2 {
			if caps[i] > len(subject) || caps[i+1] > len(subject) || caps[i] < -1 || caps[i+1] < -1 {
				t.Fatalf("%q on %q: places %v", pattern, subject, caps)
			}
		}
	})
}

func BenchmarkCaptures(b *testing.B) {
	re, _ := Compile(`([a-z]+).*?([0-9]{2})[0-9]+`, Options{})
	var caps []int
	b.ReportAllocs()
	for b.Loop() {
		caps, _ = re.Find("hello, 1234", 0, caps, Limits{})
	}
}

func BenchmarkLongText(b *testing.B) {
	re, _ := Compile(`\b(\w+)@(\w+)\.com\b`, Options{Fold: true})
	s := strings.Repeat("lorem ipsum dolor sit amet ", 1000) + "joe@example.com"
	var caps []int
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		caps, _ = re.Find(s, 0, caps, Limits{})
	}
}
