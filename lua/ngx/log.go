package ngx

import (
	"strconv"
	"strings"

	"sluice/lua/vm"
)

func apiLog(t *vm.Thread) int {
	if t.NArgs() < 1 {
		t.TypeError(1, "number")
	}
	level := t.CheckInt(1)
	if level < LevelStderr || level > LevelDebug {
		t.ArgError(1, "bad log level: "+strconv.Itoa(level))
	}
	return logLine(t, level, 2)
}

// apiPrintLog is the global print: a log line of level notice.
func apiPrintLog(t *vm.Thread) int { return logLine(t, LevelNotice, 1) }

func logLine(t *vm.Thread, level, from int) int {
	v := vmOf(t)
	h := v.host
	r := v.cur.req
	if h.Level != nil && !h.Level(level) {
		return 0
	}
	var b strings.Builder
	b.WriteString("[lua] ")
	where := strings.TrimSuffix(t.Where(1), " ")
	if !strings.Contains(where, "(") { // the last part of a path is enough
		where = where[strings.LastIndexByte(where, '/')+1:]
	}
	b.WriteString(where)
	b.WriteByte(' ')
	if name := callerName(t); name != "" {
		b.WriteString(name)
		b.WriteString("(): ")
	}
	b.Write(appendLogArgs(t, from))
	h.log(r, level, b.String())
	return 0
}

// callerName is the name of the Lua function that logs, as nginx shows it.
func callerName(t *vm.Thread) string {
	tb := t.Traceback("")
	lines := strings.Split(tb, "\n")
	for i, l := range lines {
		if strings.Contains(l, "[C]:") || !strings.HasPrefix(l, "\t") {
			continue
		}
		_ = i
		if j := strings.Index(l, "in function '"); j >= 0 {
			return strings.TrimSuffix(l[j+len("in function '"):], "'")
		}
		return ""
	}
	return ""
}

// maxLogLine is where nginx cuts a line off.
const maxLogLine = 4096

func appendLogArgs(t *vm.Thread, from int) []byte {
	var b []byte
	for i := from; i <= t.NArgs() && len(b) < maxLogLine; i++ {
		v := t.Arg(i)
		switch v.Type() {
		case vm.TypeString:
			s, _ := v.AsString()
			b = append(b, s...)
		case vm.TypeNumber:
			b = appendNumber(b, v)
		case vm.TypeNil:
			b = append(b, "nil"...)
		case vm.TypeBoolean:
			b = strconv.AppendBool(b, v.Truthy())
		case vm.TypeTable:
			mt := v.AsTable().Metatable()
			if mt == nil || mt.GetStr("__tostring").IsNil() {
				t.ArgError(i-from+1, "expected table to have __tostring metamethod")
			}
			b = append(b, t.ToString(v)...)
		case vm.TypeLightUserdata:
			b = append(b, "null"...)
		default:
			t.ArgError(i-from+1, "string, number, boolean, or nil expected, got "+v.Type().String())
		}
	}
	return b[:min(len(b), maxLogLine)]
}
