package scenario

import (
	"strconv"
	"time"
)

// Kind tells the operations of a Program apart.
type Kind uint8

// The operations: send a request, wait, and the two ends of a repetition.
const (
	Send Kind = iota
	Think
	Begin // of a repetition: Counter is set to 0
	Again // jump to Jump while the counter is below Times and the last outcome is not in Until
)

// Limits of one user's state, so that millions of users fit into memory.
const (
	MaxLocals = 8
	MaxNested = 4
)

// Op is one operation.
type Op struct {
	Kind     Kind
	Request  *Request
	Min, Max time.Duration
	Counter  int
	Times    int
	Jump     int
	Until    map[string]bool
}

// Program is a compiled scenario.
type Program struct {
	Name     string
	Users    Users
	Ops      []Op
	Requests []*Request // those of Ops, by Index
	Funds    []Fund     // setup
	Lists    [][]string // values of Global pieces
	Foreign  []string   // paths of draws from red packets that the scenario does not fund itself
}

// Request is one kind of request.
type Request struct {
	Index    int
	Name     string
	Method   string
	Path     Template
	Headers  Template // whole lines with CRLF
	Body     Template
	Scope    string
	NoToken  bool
	Statuses map[int]bool    // nil: any 2xx
	Outcomes map[string]bool // nil: any
	Extract  []Extract
	Funds    bool // it funds a red packet: rehearsal notes the id
	Fen      int64
}

// Extract takes the value of a JSON field into a user's local.
type Extract struct {
	Local int
	Field string
}

// Fund is a red packet to fund before the start.
type Fund struct {
	List    int // of Program.Lists, that its ids become
	Times   int
	OpensIn time.Duration
	Body    map[string]any
	Fen     int64
}

// Expected says whether the scenario allows an answer.
func (r *Request) Expected(status int, outcome []byte) bool {
	if r.Statuses == nil {
		if status < 200 || status > 299 {
			return false
		}
	} else if !r.Statuses[status] {
		return false
	}
	return r.Outcomes == nil || r.Outcomes[string(outcome)]
}

// Users says how the n-th arrival is called.
type Users struct {
	Count  uint64
	Prefix string
	First  uint64
	Width  int
	Random bool
	Herd   uint64 // so many people come, and come again; 0: everybody who comes is another
}

// Number is the number of the user who arrives n-th.
func (u *Users) Number(n uint64) uint64 {
	if u.Herd > 0 {
		n %= u.Herd
	}
	if u.Random {
		n = mix(n)
	}
	if u.Count > 0 {
		n %= u.Count
	}
	return n
}

// AppendUID appends the uid of user number n.
func (u *Users) AppendUID(dst []byte, n uint64) []byte {
	dst = append(dst, u.Prefix...)
	n += u.First
	for w, limit := 1, uint64(10); w < u.Width; w, limit = w+1, limit*10 {
		if n < limit {
			dst = append(dst, '0')
		}
	}
	return strconv.AppendUint(dst, n, 10)
}

// mix is the finalizer of splitmix64: a bijection, so unlimited random users stay distinct.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return (x ^ x>>31) >> 1 // 63 bits: First can be added
}
