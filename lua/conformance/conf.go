package main

import (
	"fmt"
	"strings"
)

// directive is one directive of an nginx configuration.
type directive struct {
	name  string
	args  []string
	block []*directive
	isBlk bool
	lua   string // body of a *_by_lua_block
	line  int    // where nginx says it is
}

type confParser struct {
	s    string
	i    int
	line int
}

func parseConf(s string) ([]*directive, error) {
	p := &confParser{s: s, line: 1}
	ds, err := p.block(true)
	if err != nil {
		return nil, fmt.Errorf("nginx.conf:%d: %w", p.line, err)
	}
	return ds, nil
}

func (p *confParser) space() {
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '\n':
			p.line++
			p.i++
		case c == ' ' || c == '\t' || c == '\r':
			p.i++
		case c == '#':
			for p.i < len(p.s) && p.s[p.i] != '\n' {
				p.i++
			}
		default:
			return
		}
	}
}

func (p *confParser) block(top bool) ([]*directive, error) {
	var out []*directive
	for {
		p.space()
		if p.i >= len(p.s) {
			if top {
				return out, nil
			}
			return nil, fmt.Errorf("unexpected end of file, expecting \"}\"")
		}
		if p.s[p.i] == '}' {
			if top {
				return nil, fmt.Errorf("unexpected \"}\"")
			}
			p.i++
			return out, nil
		}
		d, err := p.directive()
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
}

func (p *confParser) directive() (*directive, error) {
	d := &directive{}
	for {
		p.space()
		if p.i >= len(p.s) {
			return nil, fmt.Errorf("unexpected end of file, expecting \";\"")
		}
		switch p.s[p.i] {
		case ';':
			p.i++
			d.line = p.line
			return d, nil
		case '{':
			p.i++
			d.line = p.line
			d.isBlk = true
			if strings.HasSuffix(d.name, "_by_lua_block") {
				end, err := luaEnd(p.s, p.i)
				if err != nil {
					return nil, err
				}
				d.lua = p.s[p.i:end]
				p.line += strings.Count(d.lua, "\n")
				p.i = end + 1
				return d, nil
			}
			blk, err := p.block(false)
			d.block = blk
			return d, err
		}
		tok, err := p.token()
		if err != nil {
			return nil, err
		}
		if d.name == "" {
			d.name = tok
		} else {
			d.args = append(d.args, tok)
		}
	}
}

func (p *confParser) token() (string, error) {
	var b strings.Builder
	q := p.s[p.i]
	if q == '"' || q == '\'' {
		p.i++
		for p.i < len(p.s) {
			c := p.s[p.i]
			switch {
			case c == q:
				p.i++
				return b.String(), nil
			case c == '\\' && p.i+1 < len(p.s):
				p.escape(&b)
			default:
				if c == '\n' {
					p.line++
				}
				b.WriteByte(c)
				p.i++
			}
		}
		return "", fmt.Errorf("unexpected end of file in a string")
	}
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';':
			return b.String(), nil
		case c == '{':
			if s := b.String(); strings.HasSuffix(s, "$") {
				for p.i < len(p.s) && p.s[p.i] != '}' {
					b.WriteByte(p.s[p.i])
					p.i++
				}
				if p.i < len(p.s) {
					b.WriteByte('}')
					p.i++
				}
				continue
			}
			return b.String(), nil
		case c == '\\' && p.i+1 < len(p.s):
			p.escape(&b)
		default:
			b.WriteByte(c)
			p.i++
		}
	}
	return b.String(), nil
}

func (p *confParser) escape(b *strings.Builder) {
	c := p.s[p.i+1]
	switch c {
	case '"', '\'', '\\':
		b.WriteByte(c)
	case 't':
		b.WriteByte('\t')
	case 'r':
		b.WriteByte('\r')
	case 'n':
		b.WriteByte('\n')
	default:
		b.WriteByte('\\')
		b.WriteByte(c)
		if c == '\n' {
			p.line++
		}
	}
	p.i += 2
}

// luaEnd finds the brace that ends a Lua block starting at i.
func luaEnd(s string, i int) (int, error) {
	depth := 0
	for i < len(s) {
		switch c := s[i]; {
		case c == '-' && strings.HasPrefix(s[i:], "--"):
			if n := longBracket(s, i+2); n > 0 {
				i = n
				continue
			}
			for i < len(s) && s[i] != '\n' {
				i++
			}
			continue
		case c == '[':
			if n := longBracket(s, i); n > 0 {
				i = n
				continue
			}
		case c == '"' || c == '\'':
			i++
			for i < len(s) && s[i] != c && s[i] != '\n' {
				if s[i] == '\\' {
					i++
				}
				i++
			}
		case c == '{':
			depth++
		case c == '}':
			if depth == 0 {
				return i, nil
			}
			depth--
		}
		i++
	}
	return 0, fmt.Errorf("a Lua code block is missing the closing long bracket or brace")
}

// longBracket gives the end of a [[...]] that starts at i, or 0.
func longBracket(s string, i int) int {
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
