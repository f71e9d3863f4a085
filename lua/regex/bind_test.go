package regex

import (
	"fmt"
	"strings"
	"testing"

	"sluice/lua/vm"
)

// run runs a chunk that returns strings, and joins them; errors give their text.
func run(t testing.TB, c Config, source string) string {
	t.Helper()
	s := vm.NewState(vm.Options{})
	ngx := vm.NewTable(0, 1)
	Install(ngx, c)
	s.Globals().SetStr("re", ngx.GetStr("re"))
	p, err := vm.Compile("=t", source)
	if err != nil {
		t.Fatal(err)
	}
	vals, err := s.Call(s.Load(p, s.Globals()))
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, v := range vals {
		out = append(out, s.Main().ToString(v))
	}
	return strings.Join(out, " ")
}

func TestScriptsSeeUpstreamsAnswers(t *testing.T) {
	cache := NewCache(10)
	var logged string
	c := Config{Cache: cache, Log: func(_ *vm.Thread, msg string) { logged = msg }}
	f := func(source, want string) {
		t.Helper()
		for range 2 { // the second time from the cache
			if got := run(t, c, source); got != want {
				t.Errorf("%s\n got %q\nwant %q", source, got, want)
			}
		}
	}
	f(`local m = re.match("hello, 1234", "([a-z]+).*?([0-9]{2})[0-9]+", "o") return m[0], m[1], m[2], m[3]`, "hello, 1234 hello 12 nil")
	f(`local m = re.match("hello, world", "(world)|(hello)|(?<named>howdy)", "jo") return m[0], m[1], m[2], m[3], m.named`, "hello false hello false false")
	f(`local m = re.match("hello, world", [[(?<named>\w+), (?<named>\w+)]], "D") return table.concat(m.named, "-")`, "hello-world")
	f(`return re.match("hello", "(abc")`, `nil pcre_compile() failed: missing ) in "(abc"`)
	f(`return re.match("hello", "foo")`, "nil")
	f(`return (re.match("x", "x", "H"))`, `t:1: unknown flag "H" (flags "H")`)
	f(`local ctx = {pos = 3} local m = re.match("1234, hello", "([0-9]+)", "", ctx) return m[0], ctx.pos`, "34 5")
	f(`local ctx = {pos = 13} return re.match("1234", "x", "", ctx)`, "nil pcre_exec() failed: -24")
	f(`local res = {"a", "b", "c"} local m = re.match("hi", "(h)", "", nil, res) return m == res, res[0], res[1], res[2]`, "true h h b")
	f(`local m = re.match("hello", "(he|hell)", "d") return m[0], m[1]`, "hell nil")
	f(`return re.match("\228\189", ".", "u")`, "nil pcre_exec() failed: -10")
	f(`return re.find("hello, 1234", "([0-9])([0-9]+)", "jo", nil, 2)`, "9 11")
	f(`return re.find("hello, 1234", "([0-9])([0-9]+)", "jo", nil, 3)`, "nil nil nth out of bound")
	f(`return re.find("hello, 1234", "(hello world)|([0-9])", "jo", nil, 1)`, "nil nil")
	f(`return re.find("hello", "[0-9]*")`, "1 0")
	f(`return re.find("hello", "(x")`, `nil nil pcre_compile() failed: missing ) in "(x"`)
	f(`return re.find(12345, "34")`, "3 4")
	f(`local r = {} for m in re.gmatch("{foobarbaz}", "(?<=foo)bar|(?<=bar)baz") do r[#r+1] = m[0] end return table.concat(r, ",")`, "bar,baz")
	f(`local it = re.gmatch("12 hello 34", "[0-9]", "a") return it()[0], it()[0], it(), it()`, "1 2 nil nil")
	f(`local n = 0 for m in re.gmatch("abc", "") do n = n + 1 end return n`, "4")
	f(`return re.gmatch("a", "(")`, `nil pcre_compile() failed: missing ) in "("`)
	f(`return re.sub("hello, 1234", "([0-9])[0-9]", "[$0][$1]")`, "hello, [12][1]34 1")
	f(`return re.gsub("hello, world", "([a-z])[a-z]+", "[$0,$1]", "i")`, "[hello,h], [world,w] 2")
	f(`return re.gsub("abcd", "a|(?=c)", ".")`, ".b.cd 2")
	f(`return re.gsub("hello", "a|", function() return "b" end)`, "bhbeblblbob 6")
	f(`return re.sub("hello", "[a-z]+", "ho$$wdy")`, "ho$wdy 1")
	f(`return re.gsub("hello", "l", function(m) return m[0] .. "L" end)`, "helLlLo 2")
	f(`return re.gsub("hello", "l", function(m) return 5 end)`, "he55o 2")
	f(`return re.sub("a b c d", "(b) (c)", "[$0] [$1] [$2] [$3] [$134]")`, "a [b c] [b] [c] [] [] d 1")
	f(`return re.sub("abc", "[", "")`, `nil nil pcre_compile() failed: missing terminating ] for character class in "["`)
	f(`return re.gsub("你好", ".", "a", "u")`, "aa 2")
	f(`return re.gsub("hello, 1234 5678", "[0-9]|[0-9][0-9]", "world", "do")`, "hello, worldworld worldworld 4")
	f(`return (re.gsub("x", "x", function() error("oops") end))`, "t:1: oops")

	bad := func(replacement, want string) {
		t.Helper()
		f(`return re.sub("b c d", "(b) (c)", "`+replacement+`")`, "nil nil failed to compile the replacement template")
		if logged != want {
			t.Errorf("logged %q, want %q", logged, want)
		}
	}
	bad("[$0] [${2}] [$", `lua script: invalid capturing variable name found in "[$0] [${2}] [$"`)
	bad("[${", `lua script: invalid capturing variable name found in "[${"`)
	bad("[${134]", `the closing bracket in "134" variable is missing`)
	bad("$name", `attempt to use named capturing variable "name" (named captures not supported yet)`)
	if cache.Len() == 0 || cache.Len() > 10 {
		t.Errorf("%d patterns in the cache", cache.Len())
	}
}

// The limits are those of upstream's own tests.
func TestMatchLimit(t *testing.T) {
	const source = `
local re1 = [==[(?i:([\s'\"` + "`" + `´’‘\(\)]*)?([\d\w]+)([\s'\"` + "`" + `´’‘\(\)]*)?(?:=|<=>|r?like|sounds\s+like|regexp)([\s'\"` + "`" + `´’‘\(\)]*)?\2|([\s'\"` + "`" + `´’‘\(\)]*)?([\d\w]+)([\s'\"` + "`" + `´’‘\(\)]*)?(?:!=|<=|>=|<>|<|>|\^|is\s+not|not\s+like|not\s+regexp)([\s'\"` + "`" + `´’‘\(\)]*)?(?!\6)([\d\w]+))]==]
return re.match(string.rep("ABCDEFG", n), re1, opts)`
	f := func(head string, limit int, want string) {
		t.Helper()
		if got := run(t, Config{MatchLimit: limit}, head+source); got != want {
			t.Errorf("%s, limit %d: %s", head, limit, got)
		}
	}
	f(`local n, opts = 10, "o"`, 5000, "nil pcre_exec() failed: -8")
	f(`local n, opts = 10, "o"`, 5100, "nil")
	f(`local n, opts = 21, "jo"`, 2940, "nil pcre_exec() failed: -8")
	f(`local n, opts = 21, "jo"`, 2950, "nil")
}

func TestABombEndsAtTheInstructionBudget(t *testing.T) {
	s := vm.NewState(vm.Options{})
	ngx := vm.NewTable(0, 1)
	Install(ngx, Config{})
	s.SetBudget(vm.Budget{Instructions: 200000})
	find := ngx.GetStr("re").AsTable().GetStr("find")
	_, err := s.Call(find, vm.String(strings.Repeat("ab", 200)), vm.String("(.*)*[xyz]"))
	if be, ok := err.(*vm.BudgetError); !ok || be.Kind != "instructions" {
		t.Errorf("got %v", err)
	}
}

func TestAReplacementThatGrowsEndsAtTheMemoryBudget(t *testing.T) {
	s := vm.NewState(vm.Options{})
	ngx := vm.NewTable(0, 1)
	Install(ngx, Config{})
	s.SetBudget(vm.Budget{MemoryBytes: 1 << 20})
	gsub := ngx.GetStr("re").AsTable().GetStr("gsub")
	_, err := s.Call(gsub, vm.String(strings.Repeat("a", 10000)), vm.String("a"), vm.String(strings.Repeat("b", 10000)))
	if be, ok := err.(*vm.BudgetError); !ok || be.Kind != "memory" {
		t.Errorf("got %v", err)
	}
}

func TestTheCacheForgetsTheLeastUsed(t *testing.T) {
	c := NewCache(2)
	for i := range 5 {
		run(t, Config{Cache: c}, fmt.Sprintf(`re.find("a", "a", "o") re.find("a", "%d", "o")`, i))
	}
	if c.Len() != 2 || c.get(cacheKey{pattern: "a"}) == nil {
		t.Error("the pattern in use must stay")
	}
}

// No combination of arguments makes a Go panic.
func FuzzBindings(f *testing.F) {
	f.Add("hello", "(h)(?<n>e)|l+", "oj", "$1${2}$$", uint8(0), uint8(1), 2.0)
	f.Add("\xff\x00", `\K(?=a)`, "ud", "$", uint8(4), uint8(9), -1.0)
	f.Fuzz(func(t *testing.T, subject, pattern, opts, repl string, which, order uint8, n float64) {
		s := vm.NewState(vm.Options{})
		s.SetBudget(vm.Budget{Instructions: 1e6, MemoryBytes: 16 << 20})
		ngx := vm.NewTable(0, 1)
		Install(ngx, Config{MatchLimit: 5000})
		name := []string{"match", "find", "gmatch", "sub", "gsub"}[which%5]
		ctx := vm.NewTable(0, 1)
		ctx.SetStr("pos", vm.Number(n))
		vals := []vm.Value{vm.String(subject), vm.String(pattern), vm.String(opts), vm.String(repl), ctx.Value(), vm.Number(n), vm.Nil, vm.True}
		args := []vm.Value{vm.String(subject), vm.String(pattern)}
		for i := range int(order) % 5 {
			args = append(args, vals[(int(order)+i*int(which|1)+2)%len(vals)])
		}
		got, err := s.Call(ngx.GetStr("re").AsTable().GetStr(name), args...)
		if err == nil && name == "gmatch" && got[0].AsFunction() != nil {
			for range 10 {
				s.Call(got[0])
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	s := vm.NewState(vm.Options{})
	ngx := vm.NewTable(0, 1)
	Install(ngx, Config{Cache: NewCache(10)})
	match := ngx.GetStr("re").AsTable().GetStr("match")
	args := []vm.Value{vm.String("/v1/redpackets/b07-abc/draw"), vm.String("^/v1/redpackets/([^/]+)/([a-z]+)$"), vm.String("jo")}
	b.ReportAllocs()
	for b.Loop() {
		s.Call(match, args...)
	}
}
