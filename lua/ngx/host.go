package ngx

import (
	"sync"
	"sync/atomic"
	"time"

	"sluice/lua/vm"
)

// Log levels as nginx numbers them.
const (
	LevelStderr = iota
	LevelEmerg
	LevelAlert
	LevelCrit
	LevelErr
	LevelWarn
	LevelNotice
	LevelInfo
	LevelDebug
)

// Host is what all VMs of a runtime share.
type Host struct {
	// Log takes one line of a script's or of the runtime's; never nil.
	Log func(r *Request, level int, msg string)

	// Now is the clock; never nil.
	Now func() time.Time

	// Breach is told of every run that its budget ended; never nil.
	Breach func(r *Request, kind, where string)

	// Failed is told of every run that an error ended; never nil.
	Failed func(r *Request, phase, msg, traceback string)

	// ErrorPage makes the body of an answer that no script made.
	ErrorPage func(status int) (contentType, body string)

	// Reload is told what to do with timers; closed when the bundle retires.
	Retired chan struct{}

	// Files reads a file for ngx.req.set_body_file; nil refuses it.
	Files func(name string) ([]byte, error)

	// Level tells which levels are logged at all; nil means every one.
	Level func(level int) bool
	// NewID makes $request_id; never nil.
	NewID func() string

	TempDir       string // of request bodies in files
	ServerName    string // $server_name
	Root          string // $document_root
	TimerBudget   Budget // of each run of a timer
	Prefix        string // ngx.config.prefix()
	DefaultType   string // of answers without a Content-Type
	ServerHeader  string // zero value means that none is set
	SharedGlobals bool
	Underscores   bool          // keep _ in names of response headers
	Memory        *Memory       // of all runs together; nil means no bound
	Gate          chan struct{} // has a place for each hog that may run at once
	MaxTimers     int           // pending ones in all
	MaxRunning    int           // running ones in all
	Debug         bool          // debug lines go to Log too
	DateHeader    bool          // we write Date, so that a script can take it out
	Chunked       bool          // answers of unknown length are chunked, as nginx sends them
	StreamHTTP10  bool          // lua_http10_buffering off

	timers   timers
	warnings atomic.Int64
	warned   sync.Map // global writes warned about: file:line and name
}

func (h *Host) log(r *Request, level int, msg string) { h.Log(r, level, msg) }

// Chunk is a compiled script with the number under which VMs keep its closure.
type Chunk struct {
	ID    int
	Name  string // as in the bundle, or as nginx names it
	Proto *vm.Proto
}

// Step is one thing to do in a phase: a script, or Go code.
type Step struct {
	Lua *Chunk
	Go  func(r *Request) int // a verdict

	// Get finds the script of a filter or log step when it runs; a nil chunk
	// leaves the step out.
	Get func(r *Request) (*Chunk, int)
}

// Verdicts of steps, as nginx numbers them; an HTTP status is one too.
const (
	OK       = 0
	Error    = -1
	Again    = -2
	Done     = -4
	Declined = -5

	// JumpVerdict says that Jump or JumpNamed was called.
	JumpVerdict = rcJump
)

// Location is what answers a request: the steps of its phases.
type Location struct {
	Name         string
	Internal     bool // only for sub-requests and internal jumps
	Set          []Step
	Rewrite      []Step
	Access       []Step
	Precontent   []Step
	Content      *Step // nil answers 404
	HeaderFilter []Step
	BodyFilter   []Step
	Log          []Step
	DefaultType  string // zero value means the host's
	NeedBody     bool
	BodyInFile   int // bodies longer than this go to a file; 0: none, -1: every one
	SatisfyAny   bool

	ModifiedBefore bool // if_modified_since before
	NoDefaultType  bool // lua_use_default_type off
	Budget         Budget
	Data           any // for whoever made the location
}

// Server finds locations: for internal jumps and sub-requests, and for
// requests that come without one.
type Server interface {
	// Find gives the location of r.URI(), nil for 404; it may set r's params.
	Find(r *Request, named string) *Location
	// First are the steps before a location is looked for.
	First() []Step
	// ErrorPage may send r elsewhere instead of the usual body; it reports
	// whether it did, by r.Jump.
	ErrorPage(r *Request, status int) bool
}

// chunk is the step's script; nil when there is none to run.
func (s *Step) chunk(r *Request) *Chunk {
	if s.Get != nil {
		c, _ := s.Get(r)
		return c
	}
	return s.Lua
}
