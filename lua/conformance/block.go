package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Block is one test block.
type Block struct {
	File     string                     `json:"file"`
	Name     string                     `json:"name"`
	Tier     string                     `json:"tier"`
	Sections map[string]json.RawMessage `json:"sections"`
}

// value is a section: a string, a regular expression, or a list of these.
type value struct {
	set  bool
	text string
	re   string // "" when it is text
	list []value
	many bool
}

func parseValue(raw json.RawMessage) value {
	if len(raw) == 0 || string(raw) == "null" {
		return value{}
	}
	switch raw[0] {
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s)
		return value{set: true, text: s}
	case '{':
		var m map[string]string
		_ = json.Unmarshal(raw, &m)
		return value{set: true, re: m["$re"]}
	case '[':
		var l []json.RawMessage
		_ = json.Unmarshal(raw, &l)
		v := value{set: true, many: true}
		for _, x := range l {
			v.list = append(v.list, parseValue(x))
		}
		return v
	}
	return value{set: true, text: string(raw)}
}

func (b *Block) section(name string) value { return parseValue(b.Sections[name]) }

func (b *Block) text(name string) string { return b.section(name).text }

func (b *Block) has(name string) bool { return b.section(name).set }

// at is the value for the i-th request.
func (v value) at(i int) value {
	if !v.many {
		return v
	}
	if i < len(v.list) {
		return v.list[i]
	}
	return value{}
}

// latin1 turns code points below 256 into bytes.
func latin1(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// runes is the way back, for regular expressions.
func runes(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

func readCorpus(name string) ([]*Block, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var out []*Block
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 64<<20)
	for n := 1; sc.Scan(); n++ {
		if strings.TrimSpace(sc.Text()) == "" {
			continue
		}
		b := new(Block)
		if err := json.Unmarshal(sc.Bytes(), b); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		out = append(out, b)
	}
	return out, sc.Err()
}
