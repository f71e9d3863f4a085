package scenario

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Template is text with places to fill in, cut into pieces beforehand.
type Template []piece

type pieceKind uint8

const (
	literal pieceKind = iota
	userUID
	userNumber
	sequence
	run
	local
	global
)

type piece struct {
	kind pieceKind
	text string
	slot int
}

// Scope is what a template is filled from.
type Scope struct {
	UID    []byte
	Number uint64
	Seq    uint64
	Run    string
	Locals *[MaxLocals][]byte
	Lists  [][]string
}

// Append appends the filled-in text to dst.
func (t Template) Append(dst []byte, s *Scope) []byte {
	for i := range t {
		switch p := &t[i]; p.kind {
		case literal:
			dst = append(dst, p.text...)
		case userUID:
			dst = append(dst, s.UID...)
		case userNumber:
			dst = strconv.AppendUint(dst, s.Number, 10)
		case sequence:
			dst = strconv.AppendUint(dst, s.Seq, 10)
		case run:
			dst = append(dst, s.Run...)
		case local:
			dst = append(dst, s.Locals[p.slot]...)
		case global:
			if list := s.Lists[p.slot]; len(list) > 0 {
				dst = append(dst, list[s.Number%uint64(len(list))]...)
			}
		}
	}
	return dst
}

// Empty says that the template has no text at all.
func (t Template) Empty() bool { return len(t) == 0 }

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

func (c *compiler) template(text string) (Template, error) {
	var t Template
	lit := func(s string) {
		if s != "" {
			t = append(t, piece{kind: literal, text: s})
		}
	}
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		lit(text[at:m[0]])
		at = m[1]
		name := text[m[2]:m[3]]
		c.used[name] = true
		switch name {
		case "uid":
			t = append(t, piece{kind: userUID})
			continue
		case "n":
			t = append(t, piece{kind: userNumber})
			continue
		case "seq":
			t = append(t, piece{kind: sequence})
			continue
		case "run":
			t = append(t, piece{kind: run})
			continue
		}
		if i, ok := c.locals[name]; ok {
			t = append(t, piece{kind: local, slot: i})
		} else if i, ok := c.names[name]; ok {
			t = append(t, piece{kind: global, slot: i})
		} else {
			return nil, fmt.Errorf("${%s} in %q is not known here; give it by vars, --var %s=VALUE, setup, or an extract of an earlier step", name, text, name)
		}
	}
	lit(text[at:])
	if strings.Contains(strings.Join(placeholder.Split(text, -1), ""), "${") {
		return nil, fmt.Errorf("%q has a ${ without its }", text)
	}
	return t, nil
}
