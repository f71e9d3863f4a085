package lua

import (
	"io"
	"log/slog"
	"time"

	"sluice/lua/ngx"
	"sluice/lua/regex"
	"sluice/lua/socket"
	"sluice/lua/vm"
)

// VM is one Lua universe of the pool: a state with the ngx API in it. Many
// requests share it; one of them runs at a time.
type VM = ngx.VM

// Params are the path parameters of a route; scripts see them as ngx.var.NAME.
type Params = ngx.Params

// Budget is what one handler run (all phases of one request together) may use.
type Budget = ngx.Budget

// Module is a Lua module written in Go.
type Module struct {
	Name string                // as in require "sluice.redpacket"
	Open func(vm *VM) vm.Value // called on the first require in each VM
}

// Config says how scripts run. The zero value works.
type Config struct {
	// Logger takes what scripts log and what goes wrong in them; zero value
	// means slog.Default().
	Logger *slog.Logger

	// Clock is the time that scripts see; zero value means time.Now.
	Clock func() time.Time

	// MinVMs are kept ready in each bundle; zero value means 4 * GOMAXPROCS:
	// so many that a request seldom meets another one running in its VM.
	MinVMs int

	// MaxVMs bounds the VMs that are made when scripts hog the ones there are;
	// zero value means MinVMs + 64. A VM takes about 50 KB.
	MaxVMs int

	// MaxRequests bounds the requests that run scripts at the same moment,
	// waiting for backends included; zero value means 1024. Each takes about
	// 4 KB.
	MaxRequests int

	// VMWait is how long a request beyond MaxRequests waits before it gets a
	// 503 with Retry-After; zero value means 100 ms.
	VMWait time.Duration

	// VMIdle is the time after which a VM above MinVMs that nobody used is
	// given up; zero value means 30 s.
	VMIdle time.Duration

	// Budget is the default of every route; a zero field means the default of
	// DefaultBudget, a negative one unlimited.
	Budget Budget

	// TotalMemory bounds what all runs hold together, beyond the first megabyte
	// of each; zero value means 512 MiB, a negative one no bound.
	TotalMemory int64

	// Modules are registered in every VM.
	Modules []Module

	// Shared are the dictionaries behind ngx.shared: name -> bytes. They
	// outlive bundles.
	Shared map[string]int

	// PackagePath lists real directories where require looks after the
	// bundle's own files, e.g. /usr/share/lua/5.1; zero value means none.
	PackagePath []string

	// SharedGlobals true means that globals a request writes stay for the
	// next one, as OpenResty has it; zero value means they are gone with the
	// request. Either way the first write warns with file:line.
	SharedGlobals bool

	// Prefix is what ngx.config.prefix() tells; zero value means "".
	Prefix string

	// LogFunc takes lines in place of Logger, with nginx's level numbers; zero
	// value means Logger.
	LogFunc func(r *ngx.Request, level int, msg string)

	// Debug true means that the runtime's own debug lines are logged too.
	Debug bool

	// ErrorPage makes the body of an answer that no script made (a status given
	// to ngx.exit, an error in a script); zero value means a short HTML page.
	ErrorPage func(status int) (contentType, body string)

	// DefaultType is the Content-Type of answers that set none; zero value
	// means text/plain.
	DefaultType string

	// ServerName is $server_name; Root is $document_root.
	ServerName, Root string

	// KeepUnderscores true means that an underscore in the name of a response
	// header stays one; zero value means it becomes a hyphen.
	KeepUnderscores bool

	// MaxPendingTimers and MaxRunningTimers bound ngx.timer in each bundle;
	// zero value means 1024 and 256.
	MaxPendingTimers, MaxRunningTimers int

	// Sockets is the configuration of ngx.socket.tcp.
	Sockets socket.Config

	// RegexCache holds compiled patterns of ngx.re (option o); zero value means
	// a cache of 1024. RegexMatchLimit bounds the work of one match; zero value
	// means PCRE's default.
	RegexCache      *regex.Cache
	RegexMatchLimit int

	// Stdout takes io.write; zero value means it is discarded.
	Stdout io.Writer

	// Getenv is os.getenv; zero value means that every variable is unset.
	Getenv func(name string) (string, bool)

	// Files reads files for ngx.req.set_body_file; zero value means it refuses.
	Files func(name string) ([]byte, error)

	// TempDir is where request bodies go that a location wants in files; zero
	// value keeps all in memory.
	TempDir string

	// LuaPath replaces package.path; zero value means the bundle's, see require
	// in the package comment.
	LuaPath string

	// LuaCPath is what package.cpath says; nothing is ever loaded from it.
	LuaCPath string

	// ChunkName gives the name of a file's code in error messages, as
	// luaL_loadbuffer takes it; zero value means "@" and the path.
	ChunkName func(path string) string

	// Chunked true sends answers whose script set no Content-Length in chunks,
	// as nginx does; zero value means their length is told.
	Chunked bool

	// DateHeader true writes a Date header that a script can take out, on a
	// server with NoDefaultDate; zero value leaves it to fasthttp.
	DateHeader bool

	// StreamHTTP10 is lua_http10_buffering off.
	StreamHTTP10 bool

	// ServerHeader is the Server header of answers; zero value leaves it to
	// fasthttp.
	ServerHeader string

	// Unsafe true opens io, os.execute and real files to scripts: for tests and
	// tools on one's own machine.
	Unsafe bool

	// OnBreach is called when a handler run ends by its budget.
	OnBreach func(Breach)

	// OnError is called when a handler run ends by an error.
	OnError func(ScriptError)
}

// DefaultBudget is what a route gets that says nothing.
var defaultBudget = Budget{
	Instructions: 20_000_000,
	Wall:         10 * time.Second,
	Memory:       64 << 20,
	Output:       16 << 20,
	Calls:        1000,
	Subrequests:  200,
	Timers:       256,
}

// DefaultBudget is what a route gets that says nothing.
func DefaultBudget() Budget { return defaultBudget }

// Breach tells of a handler run that went over its budget.
type Breach struct {
	Route string
	Kind  string // "instructions", "wall time", "memory", "output", "calls", "subrequests", "timers"
	Where string // file:line
}

// ScriptError tells of a handler run that ended by an error.
type ScriptError struct {
	Route     string
	Phase     string
	Message   string // file:line: what
	Traceback string
}
