package shdict

import (
	"strings"
	"testing"
	"time"

	"sluice/lua/vm"
)

// run runs a chunk that returns a string, and gives that or the error's text.
func run(t *testing.T, z *Zones, source string) string {
	t.Helper()
	s := vm.NewState(vm.Options{})
	ngx := vm.NewTable(0, 1)
	Install(ngx, z)
	s.Globals().SetStr("ngx", ngx.Value())
	p, err := vm.Compile("=t", `local dogs = ngx.shared.dogs
local function show(...) local r = {} for i = 1, select("#", ...) do r[i] = tostring((select(i, ...))) end return table.concat(r, " ") end
`+source)
	if err != nil {
		t.Fatal(err)
	}
	vals, err := s.Call(s.Load(p, s.Globals()))
	if err != nil {
		return err.Error()
	}
	if len(vals) == 0 {
		return ""
	}
	got, _ := vals[0].ToStringValue()
	return got
}

func TestScriptsSeeUpstreamsAnswers(t *testing.T) {
	now := time.Unix(1e9, 0)
	z := NewZones(map[string]int64{"dogs": 100 << 10, "cats": 100 << 10}, func() time.Time { return now })
	f := func(source, want string) {
		t.Helper()
		z.Dict("dogs").FlushAll()
		z.Dict("dogs").FlushExpired(0)
		if got := run(t, z, source); got != want && (!strings.HasPrefix(want, "...") || !strings.HasSuffix(got, want[3:])) {
			t.Errorf("%s\n got %q\nwant %q", source, got, want)
		}
	}
	f(`return show(dogs:set(1234, "cat"))`, "true nil false")
	f(`dogs:set(1234, "cat") return show(dogs:get("1234"))`, "cat")
	f(`dogs:set("a", 3.14, 0, 5) return show(dogs:get("a"))`, "3.14 5")
	f(`dogs:set("a", true) return show(dogs:get_stale("a"))`, "true nil false")
	f(`return show(dogs:get_stale("a"))`, "nil")
	f(`return show(dogs:set(nil, 1))`, "nil nil key")
	f(`return show(dogs:set("", 1))`, "nil empty key")
	f(`return show(dogs:get(string.rep("a", 65536)))`, "nil key too long")
	f(`return show(dogs:set("a", {}))`, "nil bad value type")
	f(`return show(dogs:add("a", nil))`, "false attempt to add or replace nil values false")
	f(`dogs:set("a", 1) return show(dogs:add("a", 2))`, "false exists false")
	f(`return show(dogs:replace("a", 2))`, "false not found false")
	f(`return show(dogs:delete("a"))`, "true nil false")
	f(`return show(dogs:incr("a", 1))`, "nil not found")
	f(`return show(dogs:incr("a", 1, 5))`, "6 nil false")
	f(`dogs:set("a", true) return show(dogs:incr("a", 1))`, "nil not a number")
	f(`return show(dogs:incr("a", 1, "bar"))`, "...bad init arg: number expected, got string")
	f(`return show(dogs:incr("a", 1, 1, -1))`, `...bad "init_ttl" argument`)
	f(`return show(dogs:incr("a", 1, nil, 1))`, `...must provide "init" when providing "init_ttl"`)
	f(`return show(dogs:set("a", 1, -1))`, `...bad "exptime" argument`)
	f(`dogs.set(nil, "foo", 32)`, `...bad "zone" argument`)
	f(`dogs.get({1}, "foo")`, `...bad "zone" argument`)
	f(`dogs:set("a", 1, 2.5) return show(dogs:ttl("a"))`, "2.5")
	f(`return show(dogs:ttl("a"))`, "nil not found")
	f(`return show(dogs:expire("a", 1))`, "nil not found")
	f(`dogs:set("a", 1) return show(dogs:expire("a", 1), dogs:ttl("a"))`, "true 1")
	f(`dogs:expire("a")`, `...bad "exptime" argument`)
	f(`return show(dogs:lpush("l", "x"), dogs:rpush("l", 2), dogs:llen("l"), dogs:lpop("l"), dogs:rpop("l"), dogs:rpop("l"))`, "1 2 2 x 2 nil")
	f(`dogs:lpush("l", "x") return show(dogs:get("l"))`, "nil value is a list")
	f(`dogs:set("l", "x") return show(dogs:lpush("l", 1))`, "nil value not a list")
	f(`return show(dogs:lpush("l", true))`, "nil bad value type")
	f(`dogs:lpush("l")`, "...expecting 3 arguments, but only seen 2")
	f(`dogs:set("a", 1) dogs:set("b", 2) return table.concat(dogs:get_keys(), ",")`, "a,b")
	f(`return show(dogs:flush_expired(1, 2))`, "...expecting 1 or 2 argument(s), but saw 3")
	f(`return show(dogs:capacity(), dogs:free_space() > 0)`, "102400 true")
	f(`dogs:set("a", 1) return show(ngx.shared.cats:get("a"))`, "nil")
}

// No combination of arguments makes a Go panic.
func FuzzBindings(f *testing.F) {
	f.Add("key", "value", 1.5, uint8(3), uint8(1))
	z := NewZones(map[string]int64{"dogs": 12 << 10}, nil)
	names := []string{"get", "get_stale", "set", "safe_set", "add", "safe_add", "replace", "delete", "incr", "ttl",
		"expire", "flush_all", "flush_expired", "get_keys", "capacity", "free_space", "lpush", "rpush", "lpop", "rpop", "llen"}
	s := vm.NewState(vm.Options{})
	ngx := vm.NewTable(0, 1)
	Install(ngx, z)
	f.Fuzz(func(t *testing.T, a, b string, n float64, method, order uint8) {
		d := ngx.GetStr("shared").AsTable().GetStr("dogs")
		m := d.AsTable().Metatable().GetStr("__index").AsTable().GetStr(names[int(method)%len(names)])
		vals := []vm.Value{vm.String(a), vm.String(b), vm.Number(n), vm.Nil, vm.True, d, vm.NewTable(0, 0).Value()}
		args := []vm.Value{d}
		for i := range int(order) % 6 {
			args = append(args, vals[(int(order)*7+i*int(method|1))%len(vals)])
		}
		s.Call(m, args...)
	})
}
