package bench

import "fmt"

// Exit codes; see the package's doc.
const (
	exitUsage   = 2
	exitMissed  = 3
	exitInvalid = 4
	exitWorse   = 5
)

// exitError is an error that chooses the process' exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// ExitCode is read by the root command.
func (e *exitError) ExitCode() int { return e.code }

func usage(err error) error { return &exitError{exitUsage, err} }

func usagef(format string, a ...any) error { return usage(fmt.Errorf(format, a...)) }
