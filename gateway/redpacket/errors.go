package redpacket

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotFound: no such red packet, or an id that this house never made. HTTP 404.
	ErrNotFound = errors.New("redpacket: no such red packet")
	// ErrConflict: the Idempotency-Key was used with another body. HTTP 409.
	ErrConflict = errors.New("redpacket: the Idempotency-Key was used before with another body")
	// ErrSender: only the sender may close a red packet. HTTP 403.
	ErrSender = errors.New("redpacket: only its sender may do this")
	// ErrFenced: the bucket's Redis was restarted, restored or promoted and is not certified
	// yet. Nothing was changed. HTTP 503.
	ErrFenced = errors.New("redpacket: the bucket waits for the certifier")
	// ErrFrozen: a bucket or red packet holds shares whose fate is unknown. HTTP 503.
	ErrFrozen = errors.New("redpacket: frozen until reconciled")
	// ErrNotReady: the red packet is still being paid or split, or cannot be changed in its
	// present state.
	ErrNotReady = errors.New("redpacket: not in a state that allows this")
)

// LaterError says that the caller should come back: a backend is down, slow or fenced. It
// unwraps to its cause. HTTP 503 with Retry-After.
type LaterError struct {
	RetryAfter time.Duration
	Cause      error
}

func (e *LaterError) Error() string {
	return fmt.Sprintf("redpacket: try again in %v: %v", e.RetryAfter, e.Cause)
}

func (e *LaterError) Unwrap() error { return e.Cause }

// Later wraps a cause that passes by itself.
func Later(after time.Duration, cause error) error {
	return &LaterError{RetryAfter: after, Cause: cause}
}

// FieldError is a request that cannot be served as written. HTTP 400 with the field.
type FieldError struct {
	Field   string // as it stands in the body, or "" for the body as a whole
	Code    string // stable, for programs: see the Code constants
	Message string // for people
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Codes of FieldError.
const (
	CodeMalformed    = "malformed"     // not one JSON object
	CodeUnknownField = "unknown_field" // a name that is not known, or that comes twice
	CodeMissing      = "missing"       // required and absent
	CodeNotInteger   = "not_integer"   // "12", 12.5, 1e3, null ...
	CodeNotString    = "not_string"    // anything but a JSON string
	CodeNotList      = "not_list"      // anything but a JSON array of the right things
	CodeTooSmall     = "too_small"
	CodeTooLarge     = "too_large"
	CodeInvalid      = "invalid"    // a word that is not one of those allowed
	CodeInfeasible   = "infeasible" // numbers that are fine alone and impossible together
)

func fieldError(field, code, format string, args ...any) *FieldError {
	return &FieldError{Field: field, Code: code, Message: fmt.Sprintf(format, args...)}
}
