package vm

import (
	"fmt"
	"strconv"
)

type token int

// Tokens of one character are themselves; 0..255.
const (
	tkAnd token = iota + 256
	tkBreak
	tkDo
	tkElse
	tkElseif
	tkEnd
	tkFalse
	tkFor
	tkFunction
	tkGoto
	tkIf
	tkIn
	tkLocal
	tkNil
	tkNot
	tkOr
	tkRepeat
	tkReturn
	tkThen
	tkTrue
	tkUntil
	tkWhile
	tkConcat
	tkDots
	tkEq
	tkGe
	tkLe
	tkNe
	tkLabel
	tkNumber
	tkName
	tkString
	tkEOF
)

var tokenNames = [...]string{
	"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
	"not", "or", "repeat", "return", "then", "true", "until", "while", "..", "...", "==", ">=", "<=", "~=", "::",
	"<number>", "<name>", "<string>", "<eof>",
}

var reserved = func() map[string]token {
	m := make(map[string]token)
	for i, s := range tokenNames[:tkWhile-tkAnd+1] {
		m[s] = tkAnd + token(i)
	}
	return m
}()

func (t token) String() string {
	if t >= tkAnd {
		return tokenNames[t-tkAnd]
	}
	if t < 32 || t == 127 {
		return fmt.Sprintf("char(%d)", int(t))
	}
	return string([]byte{byte(t)})
}

// lexeme is a token with its value.
type lexeme struct {
	tok token
	num float64
	str string
}

// lexer splits the source; p is the next byte.
type lexer struct {
	src      string
	p        int
	line     int // of the next byte
	lastLine int // of the token consumed last
	chunk    string
	lexeme          // the current token
	ahead    lexeme // one token of look-ahead
	hasAhead bool
	start    int    // where the token being read begins
	raw      []byte // what an error about a string shows: the text with escapes replaced
	strs     map[string]string
	effort   int // steps of loops that are not linear in the source
}

// spend bounds those loops.
func (ls *lexer) spend(n int) {
	if ls.effort += n; ls.effort > 50_000_000 {
		ls.failTok(ls.tok, "control structure too long")
	}
}

const eof = -1

func (ls *lexer) peek() int {
	if ls.p < len(ls.src) {
		return int(ls.src[ls.p])
	}
	return eof
}

// fail raises a SyntaxError; the parser's entry recovers it.
func (ls *lexer) fail(near string, hasNear bool, format string, args ...any) {
	msg := fmt.Sprintf("%s:%d: %s", displayName(ls.chunk), ls.line, fmt.Sprintf(format, args...))
	if hasNear {
		for i := 0; i < len(near); i++ { // C's idea of a string
			if near[i] == 0 {
				near = near[:i]
				break
			}
		}
		msg += " near '" + near + "'"
	}
	panic(&SyntaxError{Chunk: displayName(ls.chunk), Line: ls.line, Msg: msg})
}

// failTok is an error near a token.
func (ls *lexer) failTok(tok token, format string, args ...any) {
	switch tok {
	case 0:
		ls.failPlain(format, args...)
	case tkName, tkNumber:
		ls.fail(ls.src[ls.start:ls.p], true, format, args...)
	case tkString:
		if ls.raw != nil {
			ls.fail(string(ls.raw), true, format, args...)
		}
		ls.fail(ls.src[ls.start:ls.p], true, format, args...)
	default:
		ls.fail(tok.String(), true, format, args...)
	}
}

func (ls *lexer) failPlain(format string, args ...any) { ls.fail("", false, format, args...) }

func (ls *lexer) next() {
	ls.lastLine = ls.line
	if ls.hasAhead {
		ls.lexeme, ls.hasAhead = ls.ahead, false
		return
	}
	ls.scan(&ls.lexeme)
}

func (ls *lexer) lookahead() token {
	ls.scan(&ls.ahead)
	ls.hasAhead = true
	return ls.ahead.tok
}

func (ls *lexer) newline() {
	old := ls.src[ls.p]
	ls.p++
	if c := ls.peek(); (c == '\n' || c == '\r') && byte(c) != old {
		ls.p++
	}
	ls.line++
}

// intern gives equal strings of a chunk one address.
func (ls *lexer) intern(s string) string {
	if known, ok := ls.strs[s]; ok {
		return known
	}
	s = string(append([]byte(nil), s...)) // do not keep the source alive
	ls.strs[s] = s
	return s
}

func (ls *lexer) scan(out *lexeme) {
	for {
		ls.start, ls.raw = ls.p, nil
		c := ls.peek()
		if c != eof && isIdent(byte(c)) {
			if isDigit(byte(c)) {
				ls.number(out)
				return
			}
			for ls.p < len(ls.src) && isIdent(ls.src[ls.p]) {
				ls.p++
			}
			word := ls.src[ls.start:ls.p]
			out.str = ls.intern(word)
			if t, ok := reserved[word]; ok {
				out.tok = t
			} else {
				out.tok = tkName
			}
			return
		}
		switch c {
		case '\n', '\r':
			ls.newline()
			continue
		case ' ', '\t', '\v', '\f':
			ls.p++
			continue
		case '-':
			ls.p++
			if ls.peek() != '-' {
				out.tok = '-'
				return
			}
			ls.p++
			if ls.peek() == '[' {
				if sep := ls.skipEq(); sep >= 0 {
					ls.longString(sep, true)
					continue
				}
			}
			for ls.p < len(ls.src) && ls.src[ls.p] != '\n' && ls.src[ls.p] != '\r' {
				ls.p++
			}
			continue
		case '[':
			if sep := ls.skipEq(); sep >= 0 {
				out.str = ls.longString(sep, false)
				out.tok = tkString
			} else if sep == -1 {
				out.tok = '['
			} else {
				ls.failTok(tkString, "invalid long string delimiter")
			}
			return
		case '"', '\'':
			out.str = ls.quoted(byte(c))
			out.tok = tkString
			return
		case '.':
			ls.p++
			switch c := ls.peek(); {
			case c == '.':
				ls.p++
				out.tok = tkConcat
				if ls.peek() == '.' {
					ls.p++
					out.tok = tkDots
				}
			case c != eof && isDigit(byte(c)):
				ls.number(out)
			default:
				out.tok = '.'
			}
			return
		case '=':
			out.tok = ls.pair('=', '=', tkEq)
			return
		case '<':
			out.tok = ls.pair('<', '=', tkLe)
			return
		case '>':
			out.tok = ls.pair('>', '=', tkGe)
			return
		case '~':
			out.tok = ls.pair('~', '=', tkNe)
			return
		case ':':
			out.tok = ls.pair(':', ':', tkLabel)
			return
		case eof:
			out.tok = tkEOF
			return
		}
		ls.p++
		out.tok = token(c)
		return
	}
}

func (ls *lexer) pair(one token, second int, both token) token {
	ls.p++
	if ls.peek() == second {
		ls.p++
		return both
	}
	return one
}

func (ls *lexer) number(out *lexeme) {
	last, exp := ls.src[ls.p], byte('e')
	ls.p++
	if last == '0' && ls.p < len(ls.src) && ls.src[ls.p]|0x20 == 'x' {
		exp = 'p'
	}
	for ls.p < len(ls.src) {
		c := ls.src[ls.p]
		if !isIdent(c) && c != '.' && !((c == '-' || c == '+') && last|0x20 == exp) {
			break
		}
		last = c
		ls.p++
	}
	text := ls.src[ls.start:ls.p]
	f, ok := parseUnsigned(text)
	if !ok || isSpace(text[0]) {
		ls.failTok(tkNumber, "malformed number")
	}
	out.tok, out.num = tkNumber, f
}

// skipEq reads [==[ up to the second bracket and counts the equal signs; negative when it is none.
func (ls *lexer) skipEq() int {
	s := ls.peek()
	n := 0
	ls.p++
	for ls.peek() == '=' {
		ls.p++
		n++
	}
	if ls.peek() == s {
		return n
	}
	return -n - 1
}

func (ls *lexer) longString(sep int, comment bool) string {
	ls.p++
	if c := ls.peek(); c == '\n' || c == '\r' {
		ls.newline()
	}
	var buf []byte
	for {
		switch c := ls.peek(); c {
		case eof:
			if comment {
				ls.failTok(tkEOF, "unfinished long comment")
			}
			ls.failTok(tkEOF, "unfinished long string")
		case ']':
			from := ls.p
			if ls.skipEq() == sep {
				ls.p++
				return ls.intern(string(buf))
			}
			buf = append(buf, ls.src[from:ls.p]...)
		case '\n', '\r':
			buf = append(buf, '\n')
			ls.newline()
		default:
			buf = append(buf, byte(c))
			ls.p++
		}
	}
}

func (ls *lexer) quoted(delim byte) string {
	buf := []byte{delim}
	ls.p++
	bad := func() {
		ls.raw = buf
		ls.failTok(tkString, "invalid escape sequence")
	}
	hex := func() uint32 {
		c := ls.peek()
		if c == eof || !isHex(byte(c)) {
			bad()
		}
		d, _ := strconv.ParseUint(ls.src[ls.p:ls.p+1], 16, 8)
		ls.p++
		return uint32(d)
	}
	for {
		c := ls.peek()
		switch {
		case c == int(delim):
			ls.p++
			s := ls.intern(string(buf[1:]))
			ls.raw = append(buf, delim)
			return s
		case c == eof:
			ls.failTok(tkEOF, "unfinished string")
		case c == '\n' || c == '\r':
			ls.raw = buf
			ls.failTok(tkString, "unfinished string")
		case c != '\\':
			buf = append(buf, byte(c))
			ls.p++
			continue
		}
		ls.p++
		c = ls.peek()
		switch c {
		case eof:
			continue
		case '\n', '\r':
			buf = append(buf, '\n')
			ls.newline()
			continue
		case 'x':
			ls.p++
			d := hex() << 4
			buf = append(buf, byte(d|hex()))
			continue
		case 'u':
			ls.p++
			if ls.peek() != '{' {
				bad()
			}
			ls.p++
			r := hex()
			for ls.peek() != '}' {
				r = r<<4 | hex()
				if r >= 0x110000 {
					bad()
				}
			}
			if r >= 0xd800 && r < 0xe000 {
				bad()
			}
			ls.p++
			buf = append(buf, string(rune(r))...)
			continue
		case 'z':
			ls.p++
			for ls.p < len(ls.src) && isSpace(ls.src[ls.p]) {
				if ch := ls.src[ls.p]; ch == '\n' || ch == '\r' {
					ls.newline()
				} else {
					ls.p++
				}
			}
			continue
		}
		if isDigit(byte(c)) {
			n := 0
			for i := 0; i < 3 && ls.p < len(ls.src) && isDigit(ls.src[ls.p]); i++ {
				n = n*10 + int(ls.src[ls.p]-'0')
				if n > 255 {
					bad()
				}
				ls.p++
			}
			buf = append(buf, byte(n))
			continue
		}
		const from, to = `abfnrtv\"'`, "\a\b\f\n\r\t\v\\\"'"
		i := 0
		for i < len(from) && from[i] != byte(c) {
			i++
		}
		if i == len(from) {
			bad()
		}
		buf = append(buf, to[i])
		ls.p++
	}
}
