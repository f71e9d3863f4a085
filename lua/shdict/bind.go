package shdict

import (
	"maps"
	"slices"
	"time"

	"sluice/lua/vm"
)

// Install sets ngx.shared in ngx, with one table for each dictionary. As in
// OpenResty such a table is {userdata} with the methods in its metatable.
func Install(ngx *vm.Table, zones *Zones) {
	methods := vm.NewTable(0, 22)
	for name, f := range map[string]vm.GoFunc{
		"get": get, "get_stale": getStale, "set": store(0), "safe_set": store(Safe), "add": store(Add),
		"safe_add": store(Add | Safe), "replace": store(Replace), "delete": remove, "incr": incr,
		"ttl": ttl, "expire": expire, "flush_all": flushAll, "flush_expired": flushExpired,
		"get_keys": getKeys, "capacity": capacity, "free_space": freeSpace,
		"lpush": push(true), "rpush": push(false), "lpop": pop(true), "rpop": pop(false), "llen": length,
	} {
		methods.SetStr(name, vm.NewFunc(name, f))
	}
	methods.SetStr("__index", methods.Value()) // one table is both, as in OpenResty

	dicts := zones.all()
	shared := vm.NewTable(0, len(dicts))
	for _, name := range slices.Sorted(maps.Keys(dicts)) {
		t := vm.NewTable(1, 0)
		t.SetInt(1, vm.NewUserdata(dicts[name], nil).Value())
		t.SetMetatable(methods)
		shared.SetStr(name, t.Value())
	}
	ngx.SetStr("shared", shared.Value())
}

const maxKey = 65535

// dictOf finds the dictionary in the first argument, or raises.
func dictOf(t *vm.Thread) *Dict {
	if tab := t.Arg(1).AsTable(); tab != nil {
		if u := tab.GetInt(1).AsUserdata(); u != nil {
			if d, ok := u.Data.(*Dict); ok {
				return d
			}
		}
	}
	t.Errorf(`bad "zone" argument`)
	return nil
}

// keyOf reads the key; what is wrong with it is in the second result.
func keyOf(t *vm.Thread) (key, problem string) {
	k := t.Arg(2)
	if k.IsNil() {
		return "", "nil key"
	}
	key, ok := k.AsString()
	if !ok {
		key = t.ToString(k)
	}
	switch {
	case key == "":
		return "", "empty key"
	case len(key) > maxKey:
		return "", "key too long"
	}
	return key, ""
}

// no answers nil and a message.
func no(t *vm.Thread, msg string) int {
	t.PushNil()
	t.PushString(msg)
	return 2
}

func (v Value) push(t *vm.Thread) {
	switch v.Kind {
	case Boolean:
		t.PushBool(v.Num != 0)
	case Number:
		t.PushNumber(v.Num)
	case String:
		t.PushString(v.Str)
	default:
		t.PushNil()
	}
}

// valueOf turns a Lua value into what can be stored; ok is false for others.
func valueOf(v vm.Value) (_ Value, ok bool) {
	switch v.Type() {
	case vm.TypeNil:
		return Value{}, true
	case vm.TypeBoolean:
		b := Value{Kind: Boolean}
		if v.Truthy() {
			b.Num = 1
		}
		return b, true
	case vm.TypeNumber:
		n, _ := v.AsNumber()
		return Value{Kind: Number, Num: n}, true
	case vm.TypeString:
		s, _ := v.AsString()
		return Value{Kind: String, Str: s}, true
	}
	return Value{}, false
}

func get(t *vm.Thread) int {
	d := dictOf(t)
	key, problem := keyOf(t)
	if problem != "" {
		return no(t, problem)
	}
	v, flags, err := d.Get(key)
	if err != nil {
		return no(t, err.Error())
	}
	v.push(t)
	if flags == 0 {
		return 1
	}
	t.PushNumber(float64(int32(flags)))
	return 2
}

func getStale(t *vm.Thread) int {
	d := dictOf(t)
	key, problem := keyOf(t)
	if problem != "" {
		return no(t, problem)
	}
	v, flags, stale, err := d.GetStale(key)
	if err != nil {
		return no(t, err.Error())
	}
	v.push(t)
	if v.Kind == None {
		return 1
	}
	if flags == 0 {
		t.PushNil()
	} else {
		t.PushNumber(float64(int32(flags)))
	}
	t.PushBool(stale)
	return 3
}

// seconds turns a number of seconds into a duration; what is too long for one
// lasts a century.
func seconds(s float64) time.Duration {
	const century = 100 * 365 * 24 * time.Hour
	if s != s {
		return 0
	}
	if s >= century.Seconds() {
		return century
	}
	if s <= -century.Seconds() {
		return -century
	}
	return time.Duration(int64(s*1000)) * time.Millisecond
}

func store(op Op) vm.GoFunc {
	return func(t *vm.Thread) int {
		d := dictOf(t)
		exptime := 0.0
		if t.Arg(4).Truthy() {
			exptime = t.CheckNumber(4)
			if exptime < 0 {
				t.Errorf(`bad "exptime" argument`)
			}
		}
		flags := 0.0
		if t.Arg(5).Truthy() {
			flags = t.CheckNumber(5)
		}
		key, problem := keyOf(t)
		if problem != "" {
			return no(t, problem)
		}
		v, ok := valueOf(t.Arg(3))
		if !ok {
			return no(t, "bad value type")
		}
		return stored(t, d, op, key, v, seconds(exptime), uint32(int32(int64(flags))))
	}
}

func stored(t *vm.Thread, d *Dict, op Op, key string, v Value, ttl time.Duration, flags uint32) int {
	if v.Kind == String {
		// The bytes outlive the request, whatever the string is a part of.
		v.Str = string([]byte(v.Str))
	}
	forcible, err := d.Store(op, string([]byte(key)), v, ttl, flags)
	t.PushBool(err == nil)
	if err != nil {
		t.PushString(err.Error())
	} else {
		t.PushNil()
	}
	t.PushBool(forcible)
	return 3
}

func remove(t *vm.Thread) int {
	d := dictOf(t)
	key, problem := keyOf(t)
	if problem != "" {
		return no(t, problem)
	}
	return stored(t, d, 0, key, Value{}, 0, 0)
}

// numberArg reads an optional number, or a string that reads as one.
func numberArg(t *vm.Thread, i int, name string) float64 {
	n, ok := t.Arg(i).ToNumber()
	if !ok {
		t.Errorf("bad %s arg: number expected, got %s", name, t.Arg(i).Type())
	}
	return n
}

func incr(t *vm.Thread) int {
	d := dictOf(t)
	key, problem := keyOf(t)
	if problem != "" {
		return no(t, problem)
	}
	by, ok := t.Arg(3).ToNumber()
	if !ok {
		t.Errorf("cannot convert '%s' to 'double'", t.Arg(3).Type())
	}
	var init *float64
	if t.Arg(4).Truthy() {
		n := numberArg(t, 4, "init")
		init = &n
	}
	life := 0.0
	if !t.Arg(5).IsNil() {
		life = numberArg(t, 5, "init_ttl")
		if life < 0 {
			t.Errorf(`bad "init_ttl" argument`)
		}
		if init == nil {
			t.Errorf(`must provide "init" when providing "init_ttl"`)
		}
	}
	sum, forcible, err := d.Incr(string([]byte(key)), by, init, seconds(life))
	if err != nil {
		return no(t, err.Error())
	}
	t.PushNumber(sum)
	if init == nil {
		return 1
	}
	t.PushNil()
	t.PushBool(forcible)
	return 3
}

// declined is what upstream cannot tell from "not found": NGX_DECLINED.
const declined = -5 * time.Millisecond

func ttl(t *vm.Thread) int {
	d := dictOf(t)
	key, problem := keyOf(t)
	if problem != "" {
		return no(t, problem)
	}
	left, err := d.TTL(key)
	if err != nil || left == declined {
		return no(t, ErrNotFound.Error())
	}
	t.PushNumber(float64(left.Milliseconds()) / 1000)
	return 1
}

func expire(t *vm.Thread) int {
	d := dictOf(t)
	if !t.Arg(3).Truthy() {
		t.Errorf(`bad "exptime" argument`)
	}
	key, problem := keyOf(t)
	if problem != "" {
		return no(t, problem)
	}
	if err := d.Expire(key, seconds(t.CheckNumber(3))); err != nil {
		return no(t, err.Error())
	}
	t.PushBool(true)
	return 1
}

func flushAll(t *vm.Thread) int {
	dictOf(t).FlushAll()
	return 0
}

// countArg checks the arguments of flush_expired and get_keys.
func countArg(t *vm.Thread, def int) (*Dict, int) {
	if n := t.NArgs(); n != 1 && n != 2 {
		t.Errorf("expecting 1 or 2 argument(s), but saw %d", n)
	}
	t.CheckTable(1)
	if t.NArgs() == 2 {
		def = t.CheckInt(2)
	}
	return dictOf(t), def
}

func flushExpired(t *vm.Thread) int {
	d, most := countArg(t, 0)
	t.PushNumber(float64(d.FlushExpired(most)))
	return 1
}

func getKeys(t *vm.Thread) int {
	d, most := countArg(t, 1024)
	keys := d.Keys(most)
	bytes := 0
	out := vm.NewTable(len(keys), 0)
	for i, k := range keys {
		bytes += len(k)
		out.SetInt(i+1, vm.String(k))
	}
	t.State().Charge(t, int64(bytes+16*len(keys)))
	t.Push(out.Value())
	return 1
}

func capacity(t *vm.Thread) int {
	t.PushNumber(float64(dictOf(t).Capacity()))
	return 1
}

func freeSpace(t *vm.Thread) int {
	t.PushNumber(float64(dictOf(t).FreeSpace()))
	return 1
}

// listKey is keyOf for the list methods, which are strict about arguments.
func listKey(t *vm.Thread, nargs int) (d *Dict, key, problem string) {
	if t.NArgs() != nargs {
		t.Errorf("expecting %d arguments, but only seen %d", nargs, t.NArgs())
	}
	d = dictOf(t)
	if t.Arg(2).IsNil() {
		return d, "", "nil key"
	}
	t.CheckString(2)
	key, problem = keyOf(t)
	return d, key, problem
}

func push(left bool) vm.GoFunc {
	return func(t *vm.Thread) int {
		d, key, problem := listKey(t, 3)
		if problem != "" {
			return no(t, problem)
		}
		v, _ := valueOf(t.Arg(3))
		if v.Kind != String && v.Kind != Number {
			return no(t, "bad value type")
		}
		v.Str = string([]byte(v.Str))
		n, err := d.Push(string([]byte(key)), v, left)
		if err != nil {
			return no(t, err.Error())
		}
		t.PushNumber(float64(n))
		return 1
	}
}

func pop(left bool) vm.GoFunc {
	return func(t *vm.Thread) int {
		d, key, problem := listKey(t, 2)
		if problem != "" {
			return no(t, problem)
		}
		v, err := d.Pop(key, left)
		if err != nil {
			return no(t, err.Error())
		}
		v.push(t)
		return 1
	}
}

func length(t *vm.Thread) int {
	d, key, problem := listKey(t, 2)
	if problem != "" {
		return no(t, problem)
	}
	n, err := d.Len(key)
	if err != nil {
		return no(t, err.Error())
	}
	t.PushNumber(float64(n))
	return 1
}
