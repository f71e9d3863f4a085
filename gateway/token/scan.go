package token

import "sync"

// scan reads claims without decoding JSON: one flat object, no spaces, no escapes, every name
// known and at most once. Anything else is not refused but left to the library.
type scan struct {
	space      [leanClaims]byte
	b          []byte
	sub, scope []byte
	exp, nbf   int64
	seen       uint8
}

// scans lends them: one on the stack would have its bytes moved to the heap.
var scans = sync.Pool{New: func() any { return new(scan) }}

// claims reads the first n bytes of space.
func (s *scan) claims(n int) bool {
	s.b, s.sub, s.scope, s.exp, s.nbf, s.seen = s.space[:n], nil, nil, 0, 0, 0
	if !s.next('{') {
		return false
	}
	for {
		name, ok := s.text()
		if !ok || !s.next(':') || !s.value(name) {
			return false
		}
		if !s.next(',') {
			return s.next('}') && len(s.b) == 0
		}
	}
}

func (s *scan) value(name []byte) (ok bool) {
	bit := uint8(0)
	switch string(name) {
	case "sub":
		bit = 1
		s.sub, ok = s.text()
	case "scope":
		bit = 2
		s.scope, ok = s.text()
	case "exp":
		bit = 4
		s.exp, ok = s.number()
	case "nbf":
		bit = 8
		s.nbf, ok = s.number()
	case "iat":
		bit = 16
		_, ok = s.number()
	case "iss":
		bit = 32
		_, ok = s.text()
	case "jti":
		bit = 64
		_, ok = s.text()
	}
	ok = ok && s.seen&bit == 0
	s.seen |= bit
	return ok
}

func (s *scan) next(c byte) bool {
	if len(s.b) == 0 || s.b[0] != c {
		return false
	}
	s.b = s.b[1:]
	return true
}

// text reads a string of plain ASCII.
func (s *scan) text() ([]byte, bool) {
	if !s.next('"') {
		return nil, false
	}
	for i, c := range s.b {
		if c == '"' {
			out := s.b[:i]
			s.b = s.b[i+1:]
			return out, true
		}
		if c < ' ' || c >= 0x7f || c == '\\' {
			return nil, false
		}
	}
	return nil, false
}

// number reads a time in whole seconds: far from where a float64 or a time.Time would round.
func (s *scan) number() (n int64, ok bool) {
	i := 0
	for ; i < len(s.b) && i < 12; i++ {
		d := s.b[i] - '0'
		if d > 9 {
			break
		}
		n = n*10 + int64(d)
	}
	if i == 0 || i == 12 || s.b[0] == '0' {
		return 0, false
	}
	s.b = s.b[i:]
	return n, true
}
