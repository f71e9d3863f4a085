package wire

import "bytes"

// Field finds the value of a key at any depth of a JSON text, the first in reading order: the
// characters between the quotes of a string, or the bare text of a number, true or false. It does
// not undo escapes and does not allocate. nil when the key is not there or holds an object or
// array; keys inside of strings are not mistaken for keys.
func Field(body []byte, key string) []byte {
	for i := 0; i < len(body); {
		j := bytes.IndexByte(body[i:], '"')
		if j < 0 {
			return nil
		}
		start := i + j + 1
		end := stringEnd(body, start)
		if end < 0 {
			return nil
		}
		i = end + 1
		k := skip(body, i)
		if k >= len(body) || body[k] != ':' || string(body[start:end]) != key {
			continue
		}
		if i = skip(body, k+1); i < len(body) && body[i] != '{' && body[i] != '[' {
			return scalar(body, i)
		}
	}
	return nil
}

func scalar(body []byte, i int) []byte {
	if body[i] == '"' {
		if end := stringEnd(body, i+1); end >= 0 {
			return body[i+1 : end]
		}
		return nil
	}
	j := i
	for j < len(body) && body[j] > ' ' && body[j] != ',' && body[j] != '}' && body[j] != ']' {
		j++
	}
	return body[i:j]
}

// stringEnd is the index of the quote that ends the string whose text begins at i, or -1.
func stringEnd(b []byte, i int) int {
	for i < len(b) {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return -1
		}
		end, slashes := i+j, 0
		for k := end - 1; k >= i && b[k] == '\\'; k-- {
			slashes++
		}
		if slashes%2 == 0 {
			return end
		}
		i = end + 1
	}
	return -1
}

func skip(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}
