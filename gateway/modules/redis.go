package modules

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"

	"sluice/cachesync/resp"
	"sluice/lua"
	"sluice/lua/vm"
)

// Redis is the region's Redis on its shared, pipelined connections (*resp.Client).
type Redis interface {
	Do(ctx context.Context, cmd *resp.Cmd) error
	DoAll(ctx context.Context, cmds []*resp.Cmd) error
}

// redisModule is sluice.redis: commands of the scripts' own on the connections
// that the gateway has anyway. Replies are shaped as resty.redis shapes them.
type redisModule struct{ client Redis }

func (m redisModule) open(*lua.VM) vm.Value {
	return table("redis", map[string]vm.GoFunc{"call": m.call, "pipeline": m.pipeline})
}

// maxCommands is how many commands one pipeline may hold.
const maxCommands = 1000

// allowed are the commands that neither wait, nor change the connection that
// all share, nor look at or change the server itself.
var allowed = func() map[string]bool {
	m := map[string]bool{}
	for name := range strings.FieldsSeq(`
		APPEND BITCOUNT BITFIELD BITFIELD_RO BITOP BITPOS COPY DECR DECRBY DEL DUMP ECHO EVAL EVALSHA EVALSHA_RO EVAL_RO EXISTS
		EXPIRE EXPIREAT EXPIRETIME GEOADD GEODIST GEOHASH GEOPOS GEOSEARCH GEOSEARCHSTORE GET GETBIT GETDEL GETEX GETRANGE GETSET
		HDEL HEXISTS HGET HGETALL HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HRANDFIELD HSCAN HSET HSETNX HSTRLEN HVALS
		INCR INCRBY INCRBYFLOAT LCS LINDEX LINSERT LLEN LMOVE LMPOP LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM
		MGET MSET MSETNX PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD PFCOUNT PFMERGE PING PSETEX PTTL PUBLISH
		RENAME RENAMENX RPOP RPOPLPUSH RPUSH RPUSHX SADD SCARD SDIFF SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTER SINTERCARD
		SINTERSTORE SISMEMBER SMEMBERS SMISMEMBER SMOVE SPOP SRANDMEMBER SREM SSCAN STRLEN SUNION SUNIONSTORE TIME TOUCH TTL TYPE
		UNLINK XACK XADD XDEL XINFO XLEN XRANGE XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY ZINTER ZINTERCARD
		ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM
		ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE`) {
		m[name] = true
	}
	return m
}()

// house tells whether an argument names a key of the house: of a bucket, where
// the money is ("{b07}:..."), or of the control state ("sluice:...").
func house(arg string) bool {
	return strings.HasPrefix(arg, "sluice:") || len(arg) >= 5 && arg[0] == '{' && arg[1] == 'b' && arg[4] == '}' &&
		arg[2] >= '0' && arg[2] <= '9' && arg[3] >= '0' && arg[3] <= '9'
}

// keyAt is where the first key of a command stands among its arguments; -1
// when it has none. In a cluster it picks the node.
func keyAt(name string, args []string) int {
	switch name {
	case "PING", "ECHO", "TIME", "PUBLISH":
		return -1
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO":
		if len(args) < 3 || args[1] == "0" {
			return -1
		}
		return 2
	case "BITOP", "XINFO", "LMPOP", "ZMPOP", "ZDIFF", "ZINTER", "ZUNION", "SINTERCARD", "ZINTERCARD":
		return 1
	}
	return 0
}

// command makes a command of a name and values; what is wrong is raised as an
// error of argument arg.
func command(t *vm.Thread, arg int, vals []vm.Value) *resp.Cmd {
	name, ok := "", false
	if len(vals) > 0 {
		name, ok = vals[0].AsString()
	}
	if !ok {
		t.ArgError(arg, "name of a Redis command expected")
	}
	name = strings.ToUpper(name)
	if !allowed[name] {
		t.ArgError(arg, "the command "+name+" is not open to scripts: it would wait, change the shared connection, or reach the server itself")
	}
	args := make([]string, len(vals)-1)
	total := 0
	for i, v := range vals[1:] {
		s, ok := v.ToStringValue()
		switch {
		case v.Type() == vm.TypeNumber && isWhole(v):
			f, _ := v.AsNumber()
			s = strconv.FormatInt(int64(f), 10)
		case !ok && v.Type() == vm.TypeBoolean:
			t.ArgError(arg, "argument of "+name+" is a boolean: say what it is to be, '1' or 'true'")
		case !ok:
			t.ArgError(arg, "arguments of "+name+" must be strings or numbers, found a "+v.Type().String())
		}
		if house(s) {
			t.ArgError(arg, "the key "+s+" is the house's own")
		}
		args[i] = s
		total += len(s)
	}
	t.State().Charge(t, int64(total))
	at := keyAt(name, args)
	cmd := new(resp.Cmd).Reset(name)
	for i, s := range args {
		if i == at {
			cmd.Key(s)
		} else {
			cmd.Arg(s)
		}
	}
	return cmd
}

// Whole numbers beyond 1e14 would be written with an exponent.
func isWhole(v vm.Value) bool {
	f, _ := v.AsNumber()
	return f == math.Trunc(f) && math.Abs(f) <= 1<<53
}

// call(command, ...) -> reply | false, err (Redis refused) | nil, err (no answer)
func (m redisModule) call(t *vm.Thread) int {
	vals := make([]vm.Value, t.NArgs())
	for i := range vals {
		vals[i] = t.Arg(i + 1)
	}
	cmd := command(t, 1, vals)
	begin(t)
	var err error
	lua.Block(t, func() { err = m.client.Do(background(), cmd) })
	if err == nil {
		t.Push(reply(t, cmd.Reply))
		return 1
	}
	var refused resp.ReplyError
	if errors.As(err, &refused) {
		t.PushBool(false)
		t.PushString(string(refused))
		return 2
	}
	return fail(t, redisWord(err))
}

// pipeline({{command, ...}, ...}) -> {reply, ...} | nil, err: a reply that is
// an error is {false, err}. Without an answer a part may have run all the same.
func (m redisModule) pipeline(t *vm.Thread) int {
	list := t.CheckTable(1)
	n := list.Len()
	if n > maxCommands {
		t.ArgError(1, "at most 1000 commands at a time")
	}
	cmds := make([]*resp.Cmd, n)
	for i := range cmds {
		one := list.GetInt(i + 1).AsTable()
		if one == nil {
			t.ArgError(1, "array of {command, ...} expected, found a "+list.GetInt(i+1).Type().String())
		}
		vals := make([]vm.Value, one.Len())
		for j := range vals {
			vals[j] = one.GetInt(j + 1)
		}
		cmds[i] = command(t, 1, vals)
	}
	begin(t)
	lua.Block(t, func() { _ = m.client.DoAll(background(), cmds) })
	replies := vm.NewTable(n, 0)
	for i, cmd := range cmds {
		var refused resp.ReplyError
		switch {
		case cmd.Err == nil:
			replies.SetInt(i+1, reply(t, cmd.Reply))
		case errors.As(cmd.Err, &refused):
			replies.SetInt(i+1, refusal(string(refused)))
		default:
			return fail(t, redisWord(cmd.Err))
		}
	}
	t.Push(replies.Value())
	return 1
}

func refusal(text string) vm.Value {
	pair := vm.NewTable(2, 0)
	pair.SetInt(1, vm.False)
	pair.SetInt(2, vm.String(text))
	return pair.Value()
}

// reply is a Redis reply in Lua: nil as ngx.null, status and bulk as strings.
func reply(t *vm.Thread, v resp.Value) vm.Value {
	switch v.Kind {
	case resp.KindInt:
		return vm.Number(float64(v.Int))
	case resp.KindStatus, resp.KindBulk:
		t.State().Charge(t, int64(len(v.Bytes)))
		return vm.String(string(v.Bytes))
	case resp.KindError:
		return refusal(string(v.Bytes))
	case resp.KindArray:
		tab := vm.NewTable(len(v.Array), 0)
		for i := range v.Array {
			tab.SetInt(i+1, reply(t, v.Array[i]))
		}
		return tab.Value()
	}
	return lua.Null
}

// redisWord is why there is no answer, in the words of sluice.cache.
func redisWord(err error) string {
	for _, e := range []struct {
		err  error
		word string
	}{{resp.ErrTimeout, "timeout"}, {resp.ErrNodeDown, "down"}, {resp.ErrLost, "lost"}, {resp.ErrBusy, "busy"}, {resp.ErrClosed, "closed"}} {
		if errors.Is(err, e.err) {
			return e.word
		}
	}
	return err.Error()
}
