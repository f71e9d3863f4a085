package vm

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"time"
)

var osLib = library([]libFunc{
	{"clock", osClock}, {"date", osDate}, {"difftime", osDifftime}, {"execute", osExecute}, {"exit", osExit},
	{"getenv", osGetenv}, {"remove", osRemove}, {"rename", osRename}, {"setlocale", osSetlocale}, {"time", osTime},
	{"tmpname", osTmpname},
}, nil)

// refuse ends a call that Options.Unsafe would allow.
func (t *Thread) refuse(name string) {
	if !t.state.opts.Unsafe {
		t.Errorf("%s is not allowed here", name)
	}
}

func osExit(t *Thread) int {
	t.Errorf("os.exit is not allowed here: return from the script instead")
	return 0
}

func osExecute(t *Thread) int {
	t.refuse("os.execute")
	if t.NArgs() == 0 {
		t.PushNumber(1)
		return 1
	}
	code := 0
	if err := exec.Command("/bin/sh", "-c", t.CheckString(1)).Run(); err != nil {
		code = 256
	}
	t.PushNumber(float64(code))
	return 1
}

func (t *Thread) pushResult(err error) int {
	if err == nil {
		t.PushBool(true)
		return 1
	}
	t.PushNil()
	t.PushString(err.Error())
	t.PushNumber(1)
	return 3
}

func osRemove(t *Thread) int {
	t.refuse("os.remove")
	return t.pushResult(os.Remove(t.CheckString(1)))
}

func osRename(t *Thread) int {
	t.refuse("os.rename")
	return t.pushResult(os.Rename(t.CheckString(1), t.CheckString(2)))
}

func osTmpname(t *Thread) int {
	t.refuse("os.tmpname")
	f, err := os.CreateTemp("", "lua_")
	if err != nil {
		t.Errorf("unable to generate a unique filename")
	}
	f.Close()
	t.PushString(f.Name())
	return 1
}

func osGetenv(t *Thread) int {
	name := t.CheckString(1)
	if get := t.state.opts.Getenv; get != nil {
		if v, ok := get(name); ok {
			t.PushString(v)
			return 1
		}
	}
	t.PushNil()
	return 1
}

func osSetlocale(t *Thread) int {
	switch t.OptString(1, "C") {
	case "", "C", "POSIX":
		t.PushString("C")
	default:
		t.PushNil()
	}
	return 1
}

func osClock(t *Thread) int {
	// The processor's time of one state is unknown; what scripts measure are differences.
	t.PushNumber(math.Trunc(t.state.now().Sub(t.state.born).Seconds()*1e6) / 1e6)
	return 1
}

func osDifftime(t *Thread) int {
	t.PushNumber(math.Trunc(t.CheckNumber(1)) - math.Trunc(t.OptNumber(2, 0)))
	return 1
}

func (s *State) location() *time.Location {
	if s.opts.Location != nil {
		return s.opts.Location
	}
	return time.Local
}

func osTime(t *Thread) int {
	if t.Arg(1).IsNil() {
		t.PushNumber(float64(t.state.now().Unix()))
		return 1
	}
	tab := t.CheckTable(1)
	field := func(name string, def int) int {
		v := t.Index(tab.Value(), String(name))
		if f, ok := v.ToNumber(); ok {
			return int(int32(toInt(f)))
		}
		if def < 0 {
			t.callerError("field '" + name + "' missing in date table")
		}
		return def
	}
	sec, min, hour := field("sec", 0), field("min", 0), field("hour", 12)
	day, month, year := field("day", -1), field("month", -1), field("year", -1)
	tm := time.Date(year, time.Month(month), day, hour, min, sec, 0, t.state.location())
	if u := tm.Unix(); u == -1 {
		t.PushNil()
	} else {
		t.PushNumber(float64(u))
	}
	return 1
}

func osDate(t *Thread) int {
	format := t.OptString(1, "%c")
	when := t.state.now()
	if !t.Arg(2).IsNil() {
		when = time.Unix(int64(toInt(t.CheckNumber(2))), 0)
	}
	if format != "" && format[0] == '!' {
		format = format[1:]
		when = when.UTC()
	} else {
		when = when.In(t.state.location())
	}
	if when.Year() > 1<<31 || when.Year() < -1<<31 {
		t.PushNil()
		return 1
	}
	if format == "*t" {
		tab := NewTable(0, 9)
		for _, f := range []struct {
			name string
			v    int
		}{
			{"sec", when.Second()}, {"min", when.Minute()}, {"hour", when.Hour()}, {"day", when.Day()},
			{"month", int(when.Month())}, {"year", when.Year()}, {"wday", int(when.Weekday()) + 1}, {"yday", when.YearDay()},
		} {
			tab.SetStr(f.name, Int(f.v))
		}
		tab.SetStr("isdst", Bool(when.IsDST()))
		t.charge(tableBytes + tab.footprint())
		t.Push(tab.Value())
		return 1
	}
	t.charge(int64(len(format)) * 16) // the longest conversion is %c
	out := strftime(nil, format, when)
	t.chargeString(len(out))
	t.Push(String(string(out)))
	return 1
}

// strftime formats as C does in the "C" locale.
func strftime(b []byte, format string, w time.Time) []byte {
	pad := func(n, width int, fill byte) {
		s := strconv.Itoa(n)
		b = appendN(b, fill, width-len(s))
		b = append(b, s...)
	}
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b = append(b, format[i])
			continue
		}
		i++
		start := i
		for i+1 < len(format) && (format[i] == 'E' || format[i] == 'O') {
			i++
		}
		hour12 := (w.Hour()+11)%12 + 1
		isoYear, isoWeek := w.ISOWeek()
		switch format[i] {
		case 'a':
			b = append(b, w.Weekday().String()[:3]...)
		case 'A':
			b = append(b, w.Weekday().String()...)
		case 'b', 'h':
			b = append(b, w.Month().String()[:3]...)
		case 'B':
			b = append(b, w.Month().String()...)
		case 'c':
			b = strftime(b, "%a %b %e %H:%M:%S %Y", w)
		case 'C':
			pad(w.Year()/100, 2, '0')
		case 'd':
			pad(w.Day(), 2, '0')
		case 'D', 'x':
			b = strftime(b, "%m/%d/%y", w)
		case 'e':
			pad(w.Day(), 2, ' ')
		case 'F':
			b = strftime(b, "%Y-%m-%d", w)
		case 'g':
			pad(isoYear%100, 2, '0')
		case 'G':
			pad(isoYear, 1, '0')
		case 'H':
			pad(w.Hour(), 2, '0')
		case 'I':
			pad(hour12, 2, '0')
		case 'j':
			pad(w.YearDay(), 3, '0')
		case 'k':
			pad(w.Hour(), 2, ' ')
		case 'l':
			pad(hour12, 2, ' ')
		case 'm':
			pad(int(w.Month()), 2, '0')
		case 'M':
			pad(w.Minute(), 2, '0')
		case 'n':
			b = append(b, '\n')
		case 'p', 'P':
			half := "AM"
			if w.Hour() >= 12 {
				half = "PM"
			}
			if format[i] == 'P' {
				half = map[string]string{"AM": "am", "PM": "pm"}[half]
			}
			b = append(b, half...)
		case 'r':
			b = strftime(b, "%I:%M:%S %p", w)
		case 'R':
			b = strftime(b, "%H:%M", w)
		case 's':
			b = strconv.AppendInt(b, w.Unix(), 10)
		case 'S':
			pad(w.Second(), 2, '0')
		case 't':
			b = append(b, '\t')
		case 'T', 'X':
			b = strftime(b, "%H:%M:%S", w)
		case 'u':
			pad((int(w.Weekday())+6)%7+1, 1, '0')
		case 'U':
			pad((w.YearDay()+6-int(w.Weekday()))/7, 2, '0')
		case 'V':
			pad(isoWeek, 2, '0')
		case 'w':
			pad(int(w.Weekday()), 1, '0')
		case 'W':
			pad((w.YearDay()+6-(int(w.Weekday())+6)%7)/7, 2, '0')
		case 'y':
			pad(((w.Year()%100)+100)%100, 2, '0')
		case 'Y':
			pad(w.Year(), 1, '0')
		case 'z':
			_, off := w.Zone()
			sign := byte('+')
			if off < 0 {
				sign, off = '-', -off
			}
			b = append(b, sign)
			b = fmt.Appendf(b, "%02d%02d", off/3600, off/60%60)
		case 'Z':
			name, _ := w.Zone()
			if name == "UTC" {
				name = "GMT"
			}
			b = append(b, name...)
		case '%':
			b = append(b, '%')
		default:
			b = append(b, '%')
			b = append(b, format[start:i+1]...)
		}
	}
	return b
}
