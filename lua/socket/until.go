package socket

// until finds the end of a receiveuntil in a stream, byte by byte as
// lua-nginx-module does, so that chunks of a given size break where they
// break there: what may be the start of the pattern is held back until it is
// known not to be.
type until struct {
	pattern   string
	inclusive bool
	state     int // how much of the pattern stands at the end of what came; -1: it was found
	recover   map[edge]int
}

// edge is a place in the pattern and a byte that does not go on there.
type edge struct {
	state int
	c     byte
}

func newUntil(pattern string, inclusive bool) *until {
	u := &until{pattern: pattern, inclusive: inclusive, recover: map[edge]int{}}
	for i := 1; i < len(pattern); i++ {
		n := 0
		for i+n < len(pattern) && pattern[n] == pattern[i+n] {
			n++
		}
		if n == 0 || i+n >= len(pattern) {
			continue
		}
		// pattern[:n] stands at i: if pattern[n] comes instead of
		// pattern[i+n], we are n+1 into the pattern.
		e := edge{i + n, pattern[n]}
		u.recover[e] = max(u.recover[e], n+1)
	}
	return u
}

// feed reads from b and appends what is no pattern to out. rest counts down
// for a chunk of a size; zero means no size. done tells that the pattern was
// found (found) or the chunk is full.
func (u *until) feed(b []byte, out []byte, rest *int) (n int, _ []byte, done, found bool) {
	sized := *rest > 0
	give := func(k int) bool {
		out = append(out, u.pattern[:k]...)
		if !sized {
			return false
		}
		if *rest <= k {
			*rest = 0
			return true
		}
		*rest -= k
		return false
	}
	i := 0
	for i < len(b) {
		c := b[i]
		if c == u.pattern[u.state] {
			i++
			u.state++
			if u.state == len(u.pattern) {
				if u.inclusive {
					out = append(out, u.pattern...)
				}
				u.state = 0
				if sized {
					u.state = -1
				}
				return i, out, true, true
			}
			continue
		}
		if u.state == 0 {
			out = append(out, c)
			i++
			if sized {
				if *rest--; *rest == 0 {
					return i, out, true, false
				}
			}
			continue
		}
		if next := u.recover[edge{u.state, c}]; next > 0 {
			k := u.state + 1 - next
			u.state = next
			i++
			if give(k) {
				return i, out, true, false
			}
			continue
		}
		k := u.state
		u.state = 0
		if give(k) {
			return i, out, true, false
		}
	}
	return i, out, false, false
}
