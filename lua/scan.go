package lua

import (
	"fmt"
	"strings"
)

// token is a word, number, string or sign of a Lua source.
type token struct {
	kind byte // 'n' name, 's' string, 'd' number, 'p' sign
	text string
	line int
}

// scan splits a source that compiles into tokens.
func scan(src string) []token {
	var out []token
	line := 1
	i := 0
	if strings.HasPrefix(src, "#") {
		for i < len(src) && src[i] != '\n' {
			i++
		}
	}
	for i < len(src) {
		c := src[i]
		switch {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case strings.HasPrefix(src[i:], "--"):
			if n := longEnd(src, i+2); n > 0 {
				line += strings.Count(src[i:n], "\n")
				i = n
				continue
			}
			for i < len(src) && src[i] != '\n' {
				i++
			}
		case c == '[' && longEnd(src, i) > 0:
			n := longEnd(src, i)
			out = append(out, token{'s', src[i:n], line})
			line += strings.Count(src[i:n], "\n")
			i = n
		case c == '"' || c == '\'':
			j := i + 1
			for j < len(src) && src[j] != c {
				if src[j] == '\\' {
					j++
				}
				j++
			}
			j = min(j, len(src)-1)
			out = append(out, token{'s', src[i+1 : j], line})
			line += strings.Count(src[i:j], "\n")
			i = j + 1
		case isLetter(c):
			j := i
			for j < len(src) && (isLetter(src[j]) || src[j] >= '0' && src[j] <= '9') {
				j++
			}
			out = append(out, token{'n', src[i:j], line})
			i = j
		case c >= '0' && c <= '9':
			j := i
			for j < len(src) && (isLetter(src[j]) || src[j] >= '0' && src[j] <= '9' || src[j] == '.') {
				j++
			}
			out = append(out, token{'d', src[i:j], line})
			i = j
		default:
			n := 1
			for _, s := range []string{"...", "..", "==", "~=", "<=", ">=", "::"} {
				if strings.HasPrefix(src[i:], s) {
					n = len(s)
					break
				}
			}
			out = append(out, token{'p', src[i : i+n], line})
			i += n
		}
	}
	return out
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// longEnd is the end of a [[ ]] that starts at i, or 0.
func longEnd(s string, i int) int {
	if i >= len(s) || s[i] != '[' {
		return 0
	}
	j := i + 1
	for j < len(s) && s[j] == '=' {
		j++
	}
	if j >= len(s) || s[j] != '[' {
		return 0
	}
	end := "]" + strings.Repeat("=", j-i-1) + "]"
	k := strings.Index(s[j+1:], end)
	if k < 0 {
		return 0
	}
	return j + 1 + k + len(end)
}

var keywords = map[string]bool{"and": true, "break": true, "do": true, "else": true, "elseif": true, "end": true, "false": true,
	"for": true, "function": true, "goto": true, "if": true, "in": true, "local": true, "nil": true, "not": true, "or": true,
	"repeat": true, "return": true, "then": true, "true": true, "until": true, "while": true}

// checkSource looks for names nobody defines and loops nothing leaves. It
// knows no scopes: a name that is local or assigned anywhere in the file
// passes everywhere in it, so what it says is worth reading.
func checkSource(file, src string, known names) []Finding {
	toks := scan(src)
	at := func(i int) token {
		if i < 0 || i >= len(toks) {
			return token{}
		}
		return toks[i]
	}
	var out []Finding
	warn := func(t token, format string, a ...any) {
		out = append(out, Finding{File: file, Line: t.line, Severity: "warning", Message: fmt.Sprintf(format, a...)})
	}
	defined := definedNames(toks)
	told := make(map[string]bool)
	for i, t := range toks {
		if t.kind != 'n' || keywords[t.text] {
			continue
		}
		prev, next := at(i-1).text, at(i+1)
		if at(i-1).kind == 'p' && (prev == "." || prev == ":" || prev == "::") || at(i-1).text == "goto" {
			continue
		}
		if next.kind == 'p' && next.text == "=" && (prev == "{" || prev == "," || prev == ";") && inTable(toks, i) {
			continue // a field of a table constructor
		}
		if !defined[t.text] && !known[t.text] && !told[t.text] {
			told[t.text] = true
			warn(t, "global '%s' is defined nowhere", t.text)
			continue
		}
		if defined[t.text] || !known[t.text] {
			continue
		}
		full, j := t.text, i
		for at(j+1).text == "." && at(j+1).kind == 'p' && at(j+2).kind == 'n' {
			full += "." + at(j+2).text
			j += 2
			if !hasFields(known, full) {
				break
			}
		}
		if j > i && !known[full] && hasFields(known, full[:strings.LastIndexByte(full, '.')]) && !told[full] && at(j+1).text != "=" {
			told[full] = true
			warn(t, "'%s' does not exist here", full)
		}
	}
	return append(out, endless(file, toks)...)
}

// hasFields reports whether the fields of a table are all known.
func hasFields(known names, table string) bool {
	switch table {
	case "ngx", "ngx.req", "ngx.resp", "ngx.location", "ngx.timer", "ngx.thread", "ngx.worker", "ngx.config", "ngx.re",
		"string", "table", "math", "os", "coroutine", "bit":
		return true
	}
	return false
}

// definedNames are the names that a file makes local, takes as parameters or
// assigns.
func definedNames(toks []token) map[string]bool {
	d := make(map[string]bool)
	for i := 0; i < len(toks); i++ {
		switch t := toks[i]; {
		case t.kind == 'n' && t.text == "local", t.kind == 'n' && t.text == "for":
			for j := i + 1; j < len(toks) && (toks[j].kind == 'n' || toks[j].text == ","); j++ {
				if toks[j].text == "in" {
					break
				}
				if toks[j].kind == 'n' && !keywords[toks[j].text] {
					d[toks[j].text] = true
				}
				if j+1 < len(toks) && toks[j].kind == 'n' && toks[j].text != "function" && toks[j+1].text != "," {
					break
				}
			}
		case t.kind == 'n' && t.text == "function":
			j := i + 1
			for ; j < len(toks) && toks[j].text != "("; j++ {
				if toks[j].kind == 'n' && toks[j-1].text == "function" {
					d[toks[j].text] = true
				}
				if toks[j].text == ":" {
					d["self"] = true
				}
			}
			for ; j < len(toks) && toks[j].text != ")"; j++ {
				if toks[j].kind == 'n' {
					d[toks[j].text] = true
				}
			}
		case t.kind == 'n' && !keywords[t.text] && i+1 < len(toks) && toks[i+1].kind == 'p' && toks[i+1].text == "=":
			if i == 0 || toks[i-1].kind != 'p' || toks[i-1].text == ")" || toks[i-1].text == ";" {
				d[t.text] = true
			}
		}
	}
	return d
}

// inTable reports whether token i stands directly inside a table constructor.
func inTable(toks []token, i int) bool {
	depth := 0
	for j := i - 1; j >= 0; j-- {
		switch toks[j].text {
		case "}", ")", "]":
			if toks[j].kind == 'p' {
				depth++
			}
		case "(", "[":
			if toks[j].kind == 'p' {
				if depth == 0 {
					return false
				}
				depth--
			}
		case "{":
			if depth == 0 {
				return true
			}
			depth--
		}
	}
	return false
}

// endless finds "while true do" and "repeat ... until false" without a way
// out: no break, return, goto, error or ngx.exit inside.
func endless(file string, toks []token) []Finding {
	var out []Finding
	for i, t := range toks {
		if t.kind != 'n' || t.text != "while" || i+2 >= len(toks) || toks[i+2].text != "do" {
			continue
		}
		if toks[i+1].text != "true" && toks[i+1].kind != 'd' {
			continue
		}
		depth, way := 1, false
		for j := i + 3; j < len(toks) && depth > 0; j++ {
			if toks[j].kind != 'n' {
				continue
			}
			switch toks[j].text {
			case "do", "if", "function", "repeat":
				depth++
			case "end", "until":
				depth--
			case "break", "return", "goto", "error", "exit", "exec", "redirect", "yield", "assert":
				way = true
			}
		}
		if !way {
			out = append(out, Finding{File: file, Line: t.line, Severity: "warning", Message: "this loop cannot end: no break or return inside"})
		}
	}
	return out
}
