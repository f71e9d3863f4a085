package warmup

import (
	"errors"
	"fmt"
	"strings"
)

// Exit is how a run ended, and the exit code of `sluice warm`.
type Exit int

// Exit codes.
const (
	ExitOK       Exit = 0 // done and proved
	ExitUsage    Exit = 2 // wrong flags, or another run of the set is going on
	ExitLate     Exit = 3 // not done at the deadline
	ExitCoverage Exit = 4 // done, but too little of it is there
	ExitSource   Exit = 5 // the source cannot be read, or has too many bad rows
	ExitTarget   Exit = 6 // memcached cannot be written, or has no room
)

// String is the word of the last line.
func (e Exit) String() string {
	switch e {
	case ExitOK:
		return "done and proved"
	case ExitUsage:
		return "refused"
	case ExitLate:
		return "late"
	case ExitCoverage:
		return "coverage too low"
	case ExitSource:
		return "source failed"
	}
	return "target failed"
}

// kindOf is the kind of the alarm for an exit.
func kindOf(e Exit) string {
	switch e {
	case ExitUsage:
		return "refused"
	case ExitLate:
		return "late"
	case ExitCoverage:
		return "coverage"
	case ExitSource:
		return "source"
	}
	return "target"
}

// Failure is why a run did not end with ExitOK.
type Failure struct {
	Exit Exit
	Err  error
}

func (f *Failure) Error() string { return f.Exit.String() + ": " + f.Err.Error() }

// Unwrap gives the reason.
func (f *Failure) Unwrap() error { return f.Err }

// ExitCode lets main end the process with it.
func (f *Failure) ExitCode() int { return int(f.Exit) }

func fail(exit Exit, format string, args ...any) *Failure {
	return &Failure{Exit: exit, Err: fmt.Errorf(format, args...)}
}

// reason is err without the word for its exit.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), ExitOf(err).String()+": ")
}

// ExitOf is the exit code that err stands for.
func ExitOf(err error) Exit {
	var f *Failure
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &f):
		return f.Exit
	}
	return ExitUsage
}
