package ngx

import (
	"time"

	"sluice/lua/vm"
)

func (h *Host) now() time.Time { return h.Now() }

func apiNow(t *vm.Thread) int {
	t.PushNumber(float64(vmOf(t).host.now().UnixMilli()) / 1000)
	return 1
}

func apiTime(t *vm.Thread) int {
	t.PushNumber(float64(vmOf(t).host.now().Unix()))
	return 1
}

func apiUpdateTime(t *vm.Thread) int { return 0 }

func pushTime(t *vm.Thread, layout string, utc bool) int {
	n := vmOf(t).host.now()
	if utc {
		n = n.UTC()
	} else {
		n = n.Local()
	}
	t.PushString(n.Format(layout))
	return 1
}

func apiToday(t *vm.Thread) int     { return pushTime(t, "2006-01-02", false) }
func apiLocaltime(t *vm.Thread) int { return pushTime(t, "2006-01-02 15:04:05", false) }
func apiUTCTime(t *vm.Thread) int   { return pushTime(t, "2006-01-02 15:04:05", true) }

func secArg(t *vm.Thread) int64 {
	if t.NArgs() != 1 {
		t.Errorf("number argument only")
	}
	f, ok := t.Arg(1).ToNumber()
	if !ok {
		t.Errorf("number argument only")
	}
	return int64(f)
}

func apiHTTPTime(t *vm.Thread) int {
	t.PushString(httpTime(secArg(t)))
	return 1
}

func apiCookieTime(t *vm.Thread) int {
	d := time.Unix(secArg(t), 0).UTC()
	layout := "Mon, 02-Jan-06 15:04:05 GMT"
	if d.Year() > 2037 || d.Year() < 1970 {
		layout = "Mon, 02-Jan-2006 15:04:05 GMT"
	}
	t.PushString(d.Format(layout))
	return 1
}

func apiParseHTTPTime(t *vm.Thread) int {
	s, ok := t.Arg(1).AsString()
	if !ok {
		t.Errorf("string argument only")
	}
	n, ok := parseHTTPTime(s)
	if !ok {
		t.PushNil()
		return 1
	}
	t.PushNumber(float64(n))
	return 1
}
