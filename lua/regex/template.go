package regex

import "errors"

// errTemplate is what scripts see of a bad replacement; the reason is logged.
var errTemplate = errors.New("failed to compile the replacement template")

// template is a replacement like "[$0,${1}] costs $$5".
type template []part

// part is a piece of text, or, when text is empty, a capture.
type part struct {
	text  string
	group int
}

// maxGroup keeps absurd numbers ($99999999999) from overflowing; there is no
// such group anyway.
const maxGroup = 1 << 30

// parseTemplate reads a replacement as ngx_http_lua_script.c does.
func parseTemplate(s string) (template, error) {
	var t template
	for i := 0; i < len(s); {
		if s[i] != '$' {
			from := i
			for i < len(s) && s[i] != '$' {
				i++
			}
			t = append(t, part{text: s[from:i]})
			continue
		}
		i++
		if i < len(s) && s[i] == '$' {
			t = append(t, part{text: "$"})
			i++
			continue
		}
		group, end, err := variable(s, i)
		if err != nil {
			return nil, err
		}
		t = append(t, part{group: group})
		i = end
	}
	return t, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isName(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// variable reads what follows a $ at i.
func variable(s string, i int) (group, end int, err error) {
	invalid := func() error {
		return errors.New(`lua script: invalid capturing variable name found in "` + s + `"`)
	}
	bracket := i < len(s) && s[i] == '{'
	if bracket {
		i++
	}
	if i == len(s) {
		return 0, 0, invalid()
	}
	number := isDigit(s[i])
	from := i
	for i < len(s) && (number && isDigit(s[i]) || !number && isName(s[i])) {
		if number {
			group = min(group*10+int(s[i]-'0'), maxGroup)
		}
		i++
	}
	name := s[from:i]
	if bracket {
		if i == len(s) || s[i] != '}' {
			return 0, 0, errors.New(`the closing bracket in "` + name + `" variable is missing`)
		}
		i++
	}
	switch {
	case name == "":
		return 0, 0, invalid()
	case !number:
		return 0, 0, errors.New(`attempt to use named capturing variable "` + name + `" (named captures not supported yet)`)
	}
	return group, i, nil
}

// expand appends the replacement for one match.
func (t template) expand(dst []byte, subject string, caps []int, account func([]byte)) []byte {
	for _, p := range t {
		account(dst)
		if p.text != "" {
			dst = append(dst, p.text...)
			continue
		}
		if from := 2 * p.group; from+1 < len(caps) && caps[from] >= 0 {
			dst = append(dst, subject[caps[from]:caps[from+1]]...)
		}
	}
	return dst
}
