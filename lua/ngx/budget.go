package ngx

import "time"

// Budget is what one run of a handler may use. In a route's budget a zero
// field means the default, a negative one unlimited.
type Budget struct {
	Instructions int64         // VM instructions
	Wall         time.Duration // from the first phase to the last
	Memory       int64         // bytes that tables, strings and builtins allocate
	Output       int64         // bytes of body
	Calls        int           // calls to backends
	Subrequests  int           // ngx.location.capture
	Timers       int           // ngx.timer.at and every
}

// Over fills the zero fields of b from def.
func (b Budget) Over(def Budget) Budget {
	if b.Instructions == 0 {
		b.Instructions = def.Instructions
	}
	if b.Wall == 0 {
		b.Wall = def.Wall
	}
	if b.Memory == 0 {
		b.Memory = def.Memory
	}
	if b.Output == 0 {
		b.Output = def.Output
	}
	if b.Calls == 0 {
		b.Calls = def.Calls
	}
	if b.Subrequests == 0 {
		b.Subrequests = def.Subrequests
	}
	if b.Timers == 0 {
		b.Timers = def.Timers
	}
	return b
}
