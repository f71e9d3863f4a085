package vm_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/lua/vm"
)

var programs = flag.Int("programs", 1000, "random programs to compare with luajit")

// generator writes small random programs. They always end and use nothing that luajit
// itself answers at random (addresses, the order of pairs over several keys).
type generator struct {
	r      *rand.Rand
	lines  []string
	depth  int
	locals []string // in scope: any value
	funcs  []string // in scope: functions
	tables []string // in scope: tables
	inLoop bool
	vararg bool
	inCo   bool
	inFunc bool // inside a function of an expression, which has no varargs
	n      int
}

func (g *generator) pick(choices ...string) string { return choices[g.r.IntN(len(choices))] }
func (g *generator) chance(n int) bool             { return g.r.IntN(n) == 0 }

func (g *generator) name(prefix string) string {
	g.n++
	return fmt.Sprintf("%s%d", prefix, g.n)
}

func (g *generator) emit(format string, args ...any) {
	g.lines = append(g.lines, strings.Repeat(" ", g.depth)+fmt.Sprintf(format, args...))
}

func (g *generator) number() string {
	return g.pick("0", "1", "2", "3", "-1", "7", "10", "0.5", "1.25", "-2.5", "1e3", "100", "255", "2^31", "1e15", "0x1F", "1/3", "123456789")
}

func (g *generator) str() string {
	return g.pick(`"a"`, `"b"`, `""`, `"10"`, `"hello"`, `"x y"`, `"0x10"`, `'q"'`, `"A\0B"`, `"%d"`, `"abc"`, `"key"`)
}

func (g *generator) atom() string {
	switch g.r.IntN(12) {
	case 0, 1, 2:
		return g.number()
	case 3:
		return g.str()
	case 4:
		return g.pick("nil", "true", "false")
	case 5:
		if g.vararg && !g.inFunc {
			return g.pick("(...)", `select("#", ...)`, "...")
		}
		return g.number()
	case 6:
		if len(g.tables) > 0 {
			return g.table() + g.field()
		}
	case 7:
		if len(g.tables) > 0 {
			return "#" + g.table()
		}
	}
	if len(g.locals) > 0 {
		return g.locals[g.r.IntN(len(g.locals))]
	}
	return g.number()
}

func (g *generator) table() string { return g.tables[g.r.IntN(len(g.tables))] }

func (g *generator) field() string {
	return g.pick("[1]", ".c", ".a", ".b", ".n", `["k"]`, ".a", "[i or 1]")
}

func (g *generator) exp(depth int) string {
	if depth <= 0 || g.chance(4) {
		return g.atom()
	}
	a := func() string { return g.exp(depth - 1) }
	switch g.r.IntN(20) {
	case 0:
		if g.chance(6) {
			return fmt.Sprintf("(%s %s %s)", a(), g.pick("+", "-", "*", "/", "%", "^"), a())
		}
		fallthrough
	case 1, 2, 3:
		return fmt.Sprintf("(N(%s) %s N(%s))", a(), g.pick("+", "-", "*", "%", "/", "^"), a())
	case 4, 5:
		return fmt.Sprintf("(%s %s %s)", a(), g.pick("==", "~="), a())
	case 6:
		return fmt.Sprintf("(N(%s) %s N(%s))", a(), g.pick("<", "<=", ">", ">="), a())
	case 7:
		if g.chance(6) {
			return fmt.Sprintf("(%s %s %s)", a(), g.pick("<", "<="), a())
		}
		return fmt.Sprintf("(S(%s) %s S(%s))", a(), g.pick("<", "<=", ">", ">="), a())
	case 8, 9:
		return fmt.Sprintf("(%s %s %s)", a(), g.pick("and", "or"), a())
	case 10:
		return fmt.Sprintf("%s(%s)", g.pick("not ", "-N", "not not ", "#S"), a())
	case 11:
		return fmt.Sprintf("S(%s) .. S(%s)", a(), a())
	case 12:
		if g.chance(6) {
			return fmt.Sprintf("(%s .. %s .. %s)", a(), g.atom(), a())
		}
		return fmt.Sprintf("(%s .. S(%s) .. %s)", g.number(), a(), g.str())
	case 13:
		if len(g.funcs) > 0 {
			return g.call(depth)
		}
	case 14:
		return fmt.Sprintf("tostring(%s)", g.pick(a(), "nil"))
	case 15:
		return fmt.Sprintf("%s(%s, %s)", g.pick("math.max", "math.min", "math.fmod", "bit.band", "bit.bxor", "bit.lshift"), g.number(), g.number())
	case 16:
		return g.stringCall(depth)
	case 17:
		return fmt.Sprintf("tonumber(%s)", g.pick(a(), g.str()))
	case 18:
		old := g.inFunc
		g.inFunc = true
		defer func() { g.inFunc = old }()
		return fmt.Sprintf("select(2, pcall(function() return %s end))", a())
	case 19:
		return fmt.Sprintf("type(%s)", g.pick(a(), "nil"))
	}
	return g.atom()
}

func (g *generator) stringCall(depth int) string {
	s := fmt.Sprintf("S(%s)", g.exp(depth-1))
	switch g.r.IntN(9) {
	case 0:
		return fmt.Sprintf("(%s):sub(%d, %d)", s, g.r.IntN(9)-4, g.r.IntN(9)-4)
	case 1:
		return fmt.Sprintf("#%s", s)
	case 2:
		return fmt.Sprintf("(%s):rep(%d)", s, g.r.IntN(4))
	case 3:
		return fmt.Sprintf("(%s):upper():reverse()", s)
	case 4:
		return fmt.Sprintf("(%s):find(%s)", s, g.pick(`"a"`, `"%d+"`, `"."`, `"(%a)(%w)"`, `"^%s*"`, `"[^%d]"`, `"x-$"`, `"%f[%w]%w+"`))
	case 5:
		return fmt.Sprintf("((%s):gsub(%s, %s))", s, g.pick(`"a"`, `"%d"`, `"%w+"`, `"."`, `""`, `"(%w)(%w)"`), g.pick(`"<%0>"`, `"%%"`, `"%1"`, `"z"`, "string.upper", `{a = "T"}`))
	case 6:
		return fmt.Sprintf("(%s):byte(%d)", s, g.r.IntN(4)-1)
	case 7:
		return fmt.Sprintf("string.format(%s, N(%s))", g.pick(`"%d"`, `"%5.2f"`, `"%g"`, `"%x"`, `"%e"`, `"%-8d|"`, `"%+.3g"`, `"%.14g"`, `"%05d"`), g.exp(depth-1))
	}
	return fmt.Sprintf("string.format(%s, %s)", g.pick(`"%s"`, `"%q"`, `"%10s"`, `"%.2s"`), s)
}

func (g *generator) call(depth int) string {
	args := make([]string, g.r.IntN(4))
	for i := range args {
		args[i] = g.exp(depth - 1)
	}
	return fmt.Sprintf("%s(%s)", g.funcs[g.r.IntN(len(g.funcs))], strings.Join(args, ", "))
}

func (g *generator) target() string {
	if len(g.tables) > 0 && g.chance(2) {
		return g.table() + g.field()
	}
	if len(g.locals) > 0 {
		return g.locals[g.r.IntN(len(g.locals))]
	}
	return g.pick("G1", "G2", "G3")
}

func (g *generator) list(n, depth int) string {
	e := make([]string, n)
	for i := range e {
		e[i] = g.exp(depth)
	}
	return strings.Join(e, ", ")
}

// scoped runs f with the variables in scope restored after it.
func (g *generator) scoped(f func()) {
	l, fn, t, loop, va, co := len(g.locals), len(g.funcs), len(g.tables), g.inLoop, g.vararg, g.inCo
	g.depth++
	f()
	g.depth--
	g.locals, g.funcs, g.tables = g.locals[:l:l], g.funcs[:fn:fn], g.tables[:t:t]
	g.inLoop, g.vararg, g.inCo = loop, va, co
}

func (g *generator) block(n int) {
	g.scoped(func() {
		for range n {
			g.statement()
		}
	})
}

func (g *generator) function(head string, params []string, body int) {
	g.emit("%s", head)
	g.scoped(func() {
		g.inLoop, g.vararg, g.inCo = false, false, false
		for _, p := range params {
			if p == "..." {
				g.vararg = true
			} else {
				g.locals = append(g.locals, p)
			}
		}
		for range body {
			g.statement()
		}
		switch g.r.IntN(4) {
		case 0:
			if len(g.funcs) > 0 {
				g.emit("return %s", g.call(1))
			} else {
				g.emit("return")
			}
		case 1:
			g.emit("return %s", g.list(1+g.r.IntN(3), 2))
		case 2:
			g.emit("return %s", g.exp(2))
		}
	})
}

func (g *generator) params() []string {
	p := []string{"p", "q", "r"}[:g.r.IntN(4)]
	for i := range p {
		p = append([]string{}, p...)
		p[i] = g.name("p")
	}
	if g.chance(3) {
		p = append(p, "...")
	}
	return p
}

func (g *generator) statement() {
	if g.depth == 0 && g.chance(3) { // an error ends one statement, not the program
		g.emit("out(pcall(function(...)")
		g.scoped(func() {
			g.vararg = true
			for range 1 + g.r.IntN(3) {
				g.statement()
			}
			g.emit("return %s", g.list(1+g.r.IntN(2), 2))
		})
		g.emit("end, %s))", g.list(2, 1))
		return
	}
	if g.depth > 5 || len(g.lines) > 90 {
		g.emit("out(%s)", g.exp(2))
		return
	}
	switch g.r.IntN(27) {
	case 0, 1, 2:
		n := g.name("v")
		g.emit("local %s = %s", n, g.exp(3))
		g.locals = append(g.locals, n)
	case 3:
		a, b := g.name("v"), g.name("v")
		g.emit("local %s, %s = %s", a, b, g.list(1+g.r.IntN(3), 2))
		g.locals = append(g.locals, a, b)
	case 4, 5:
		g.emit("%s = %s", g.target(), g.exp(3))
	case 6, 7:
		n := 2 + g.r.IntN(2)
		t := make([]string, n)
		for i := range t {
			t[i] = g.target()
		}
		g.emit("%s = %s", strings.Join(t, ", "), g.list(n-1+g.r.IntN(3), 2))
	case 8:
		n := g.name("t")
		g.emit("local %s = {%s}", n, g.pick("", g.list(2, 2), "a = "+g.exp(1)+", "+g.exp(2), "1, 2, 3", `[1] = 5, k = `+g.exp(1), g.exp(2)+", n = 2, b = "+g.exp(2)))
		g.tables = append(g.tables, n)
	case 9, 10:
		g.emit("out(%s)", g.list(1+g.r.IntN(4), 3))
	case 11:
		g.emit("if %s then", g.exp(3))
		g.block(1 + g.r.IntN(3))
		if g.chance(2) {
			g.emit("elseif %s then", g.exp(2))
			g.block(1 + g.r.IntN(2))
		}
		if g.chance(2) {
			g.emit("else")
			g.block(1 + g.r.IntN(2))
		}
		g.emit("end")
	case 12, 13:
		v := g.name("i")
		g.emit("for %s = %d, %d%s do", v, g.r.IntN(4), g.r.IntN(5), g.pick("", ", 1", ", 2", ", -1", ", 0.5"))
		g.scoped(func() {
			g.locals = append(g.locals, v)
			g.inLoop = true
			for range 1 + g.r.IntN(3) {
				g.statement()
			}
			if g.chance(4) {
				g.emit("if %s then break end", g.exp(2))
			}
		})
		g.emit("end")
	case 14:
		v := g.name("w")
		g.emit("local %s = 0", v)
		switch g.r.IntN(2) {
		case 0:
			g.emit("while %s < %d do %s = %s + 1", v, g.r.IntN(4), v, v)
			g.block(1 + g.r.IntN(2))
			g.emit("end")
		default:
			g.inFunc = false
			g.emit("repeat %s = %s + 1 local u%s = %s", v, v, v, g.exp(1))
			g.block(1 + g.r.IntN(2))
			g.emit("local c%s = function() return u%s end until %s > %d or c%s() == 7", v, v, v, g.r.IntN(3), v)
		}
	case 15, 16:
		n, p := g.name("f"), g.params()
		g.function(fmt.Sprintf("local function %s(%s)", n, strings.Join(p, ", ")), p, 1+g.r.IntN(3))
		g.emit("end")
		g.funcs = append(g.funcs, n)
	case 17, 18: // closures over caught errors
		g.emit("out(pcall(function(...)")
		g.scoped(func() {
			g.inLoop, g.vararg, g.inCo = false, true, false
			for range 1 + g.r.IntN(3) {
				g.statement()
			}
			g.emit(g.pick("error(%s)", "error(%s, 0)", "error({%s})", "return %s", "error(%s, 2)"), g.exp(2))
		})
		g.emit("end, %s))", g.list(1+g.r.IntN(2), 1))
	case 19:
		g.inFunc = true
		g.emit("out(xpcall(function() %s end, function(m) return 'H:' .. S(m) end))", g.pick("local z = nil; return z.x", "return "+g.exp(2), "error("+g.exp(1)+")", "return 1 + {}", "local t = {} t.x.y = 1"))
		g.inFunc = false
	case 20: // goto
		l, v := g.name("L"), g.name("g")
		g.emit("local %s = 0", v)
		g.emit("::%s::", l)
		g.emit("do local k = %s + 1 %s = k CL[#CL + 1] = function() k = k + 1 return k end", v, v)
		g.block(1)
		g.emit("if %s < %d then goto %s end end", v, 1+g.r.IntN(3), l)
	case 21: // continue
		l, v := g.name("C"), g.name("i")
		g.emit("for %s = 1, 3 do", v)
		g.scoped(func() {
			g.locals = append(g.locals, v)
			g.emit("do local x = %s if x == 2 then goto %s end end", v, l)
			g.block(1)
		})
		g.emit("::%s:: end", l)
	case 22, 23: // coroutines, yields across pcall, metamethods and iterators
		n := g.name("co")
		g.emit("local %s = coroutine.wrap(function(...)", n)
		g.scoped(func() {
			g.inLoop, g.vararg, g.inCo = false, true, true
			for range 1 + g.r.IntN(3) {
				g.statement()
				g.coStatement()
			}
			g.emit("return %s", g.exp(2))
		})
		g.emit("end)")
		for range 1 + g.r.IntN(4) {
			g.emit("out(pcall(%s, %s))", n, g.list(1+g.r.IntN(2), 1))
		}
	case 24: // metatables
		n := g.name("m")
		g.inFunc = true
		ev := g.pick("add", "sub", "concat", "eq", "lt", "le", "index", "call", "unm", "mod")
		g.emit("local %s = setmetatable({}, {__%s = function(a, b) return %s end})", n, ev, g.exp(1))
		use := map[string]string{"add": "m + 1", "sub": "1 - m", "concat": `"x" .. m .. "y"`, "eq": "m == setmetatable({}, getmetatable(m))", "lt": "m < m",
			"le": "not (m <= m)", "index": "m.foo", "call": "m(1)", "unm": "-m", "mod": "m % m"}[ev]
		g.inFunc = false
		g.emit("out(%s)", strings.ReplaceAll(use, "m", n))
	case 25:
		g.emit("for _, c in ipairs(CL) do out(c()) end CL = {}")
	case 26:
		if len(g.tables) > 0 {
			t := g.table()
			g.emit("%s", g.pick("table.insert("+t+", "+g.number()+")", "out(table.remove("+t+"))", "for k, v in ipairs("+t+") do out(k, v) end",
				"for k, v in pairs({"+g.exp(1)+"}) do out(k, v) end", "out(pcall(table.concat, "+t+", ','))", "out(unpack("+t+", 1, 3))", "out(#"+t+", next({"+g.atom()+"}))"))
		}
	}
}

func (g *generator) coStatement() {
	g.inFunc = true
	defer func() { g.inFunc = false }()
	switch g.r.IntN(6) {
	case 0:
		g.emit("out(coroutine.yield(%s))", g.list(1+g.r.IntN(2), 2))
	case 1:
		g.emit("out(pcall(function() local u = coroutine.yield(%s) CL[#CL + 1] = function() return u end error(u, 0) end))", g.exp(1))
	case 2:
		g.emit("out(setmetatable({}, {__%s = function(a, b) return coroutine.yield(%s) end}) %s)", g.pick("add", "sub"), g.exp(1), g.pick("+ 1", "- 1"))
	case 3:
		g.emit("for a, b in coroutine.yield, 1, 2 do out(a, b) if N(a) > 3 then break end end")
	case 4:
		g.emit("out(xpcall(coroutine.yield, S, %s))", g.exp(1))
	case 5:
		g.emit("if setmetatable({}, {__lt = function() return coroutine.yield('lt') end}) < setmetatable({}, {}) then out(1) end")
	}
}

const prelude = `
local function show(v)
  if type(v) == "table" then return "T" .. tostring(v[1]):gsub("0x%x+", "P") elseif type(v) == "function" then return "F" elseif type(v) == "thread" then return "C" end
  return (tostring(v):gsub("0x%x+", "P"))
end
local lines = 0
local function out(...) lines = lines + 1 if lines > 200 then return end local r = {} for i = 1, select("#", ...) do r[i] = show((select(i, ...))) end io.write(table.concat(r, "\t"), "\n") end
local function N(v) return tonumber(v) or 1 end
local function S(v) return type(v) == "string" and v or type(v) == "number" and v .. "" or show(v) end
local CL, i = {}, 1
local G1, G2, G3 = 1, "g", nil
`

func program(seed uint64) []string {
	g := &generator{r: rand.New(rand.NewPCG(seed, 7))}
	g.locals = []string{"G1", "G2", "G3"}
	for range 4 + g.r.IntN(8) {
		g.statement()
	}
	g.emit("for _, c in ipairs(CL) do out(c()) end")
	return g.lines
}

// driver runs each program of a list in one luajit process, between marks.
const driver = `
local n = %d
for i = 1, n do
  local f = assert(io.open(("p%%d.lua"):format(i)))
  local src = f:read("*a") f:close()
  local fn, err = loadstring(src, "=p")
  io.write("\1", i, "\n")
  if fn then
    local ok, e = coroutine.resume(coroutine.create(fn))
    if not ok then io.write("ERR ", (tostring(e):gsub("0x%%x+", "P")), "\n") end
  else io.write("SYNTAX ", err, "\n") end
end
`

func referenceAll(t testing.TB, sources []string) []string {
	t.Helper()
	dir := t.TempDir()
	for i, s := range sources {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("p%d.lua", i+1)), []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "driver.lua"), fmt.Appendf(nil, driver, len(sources)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, words := reference(t, dir, "driver.lua")
	if words != "" {
		t.Fatal("luajit: ", words)
	}
	res := strings.Split(out, "\x01")[1:]
	for i := range res {
		_, res[i], _ = strings.Cut(res[i], "\n")
	}
	if len(res) != len(sources) {
		t.Fatalf("luajit ran %d of %d programs", len(res), len(sources))
	}
	return res
}

func oursOne(source string) string {
	var out bytes.Buffer
	s := vm.NewState(vm.Options{Stdout: &out})
	s.SetBudget(vm.Budget{Instructions: 2e7})
	p, err := vm.Compile("=p", source)
	if err != nil {
		return "SYNTAX " + err.Error() + "\n"
	}
	run, _ := vm.Compile("=run", `
		local fn = ...
		local ok, e = coroutine.resume(coroutine.create(fn))
		if not ok then io.write("ERR ", (tostring(e):gsub("0x%x+", "P")), "\n") end`)
	if _, err := s.Call(s.Load(run, nil), s.Load(p, nil)); err != nil {
		return out.String() + "FATAL " + err.Error() + "\n"
	}
	return out.String()
}

// shrink drops lines while the two still differ.
func shrink(t *testing.T, lines []string) []string {
	differs := func(l []string) bool {
		src := prelude + strings.Join(l, "\n")
		got := oursOne(src)
		return !strings.HasPrefix(got, "SYNTAX") && got != referenceAll(t, []string{src})[0]
	}
	for size := len(lines) / 2; size >= 1; {
		cut := false
		for at := 0; at+size <= len(lines); {
			l := append(append([]string{}, lines[:at]...), lines[at+size:]...)
			if differs(l) {
				lines, cut = l, true
			} else {
				at += size
			}
		}
		if !cut {
			size /= 2
		}
	}
	return lines
}

func TestRandomProgramsAnswerAsLuaJIT(t *testing.T) {
	const batch = 250
	failures := 0
	for from := 0; from < *programs && failures < 3; from += batch {
		n := min(batch, *programs-from)
		sources := make([]string, n)
		for i := range sources {
			sources[i] = prelude + strings.Join(program(uint64(from+i)), "\n")
		}
		want := referenceAll(t, sources)
		for i := range sources {
			if got := oursOne(sources[i]); got != want[i] && failures < 3 {
				failures++
				small := shrink(t, program(uint64(from+i)))
				src := prelude + strings.Join(small, "\n")
				t.Errorf("program %d:\n%s", from+i, strings.Join(small, "\n"))
				compareText(t, oursOne(src), referenceAll(t, []string{src})[0])
			}
		}
	}
}
