package source

import (
	"encoding/json"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// appendQuoted appends s as a JSON string; s is valid UTF-8.
func appendQuoted(dst, s []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		start = i + 1
	}
	return append(append(dst, s[start:]...), '"')
}

// appendUnquoted appends the text of a valid JSON string.
func appendUnquoted(dst, quoted []byte) []byte {
	body := quoted[1 : len(quoted)-1]
	for _, c := range body {
		if c == '\\' {
			var s string
			if json.Unmarshal(quoted, &s) != nil {
				return append(dst, body...)
			}
			return append(dst, s...)
		}
	}
	return append(dst, body...)
}

// objectFields cuts a JSON object into its top-level fields, whose texts alias b.
func objectFields(b []byte, fields []Field, names *nameCache) ([]Field, string) {
	switch {
	case !utf8.Valid(b):
		return fields, "not valid UTF-8; write the file as UTF-8"
	case !json.Valid(b):
		var v any
		return fields, "not valid JSON: " + json.Unmarshal(b, &v).Error()
	}
	i := skipSpace(b, 0)
	if b[i] != '{' {
		return fields, "not a JSON object"
	}
	i = skipSpace(b, i+1)
	for b[i] != '}' {
		end := skipValue(b, i)
		name := names.get(b[i:end])
		for _, f := range fields {
			if f.Name == name {
				return fields, "field " + name + " stands twice"
			}
		}
		i = skipSpace(b, end)
		i = skipSpace(b, i+1) // the colon
		end = skipValue(b, i)
		fields = append(fields, Field{Name: name, Kind: JSON, Text: b[i:end]})
		i = skipSpace(b, end)
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return fields, ""
}

// nameCache keeps field names as strings: rows mostly have the same ones.
type nameCache struct{ m map[string]string }

func (n *nameCache) get(quoted []byte) string {
	if s, ok := n.m[string(quoted)]; ok {
		return s
	}
	s := string(appendUnquoted(nil, quoted))
	if n.m == nil {
		n.m = map[string]string{}
	}
	if len(n.m) < 1000 {
		n.m[string(quoted)] = s
	}
	return s
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the end of the value at i of valid JSON.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for ; ; i++ {
			switch b[i] {
			case '"':
				i = skipString(b, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}
