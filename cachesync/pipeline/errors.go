package pipeline

import "errors"

// Causes of an Error.
var (
	ErrTimeout  = errors.New("no reply in time")
	ErrDown     = errors.New("node is down")
	ErrLost     = errors.New("connection lost")
	ErrBusy     = errors.New("too many calls in flight")
	ErrCanceled = errors.New("caller went away")
	ErrClosed   = errors.New("client is closed")
	ErrProtocol = errors.New("reply cannot be understood")
)

// ErrUnknown and ErrUnsent match an Error by what it means for the request,
// whatever its cause.
var (
	ErrUnknown = errors.New("result unknown: the server may have run it")
	ErrUnsent  = errors.New("not sent")
)

// Error is why a call has no reply.
type Error struct {
	Node      string // address
	Cause     error  // one of the sentinels of this package
	MaybeSent bool   // the server may have run the request
	Detail    error  // of the network, may be nil
}

func (e *Error) Error() string {
	s := e.Node + ": " + e.Cause.Error()
	if e.Detail != nil {
		s += ": " + e.Detail.Error()
	}
	return s
}

// Is makes errors.Is find the cause, and ErrUnknown or ErrUnsent.
func (e *Error) Is(target error) bool {
	return e.Cause == target || target == ErrUnknown && e.MaybeSent || target == ErrUnsent && !e.MaybeSent
}

// Unwrap gives the detail.
func (e *Error) Unwrap() error { return e.Detail }
