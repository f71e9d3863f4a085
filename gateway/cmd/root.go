// Package cmd holds the subcommands of the sluice binary, a file each, and is
// the one place where the parts are put together.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage; a command that has more of them
// says so in its help.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"

	"sluice/gateway/config"
)

// exitError ends the process with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// ExitCode lets commands of other packages choose their exit code too.
type ExitCode interface{ ExitCode() int }

func (e *exitError) ExitCode() int { return e.code }

// Execute runs one command line and returns the exit code.
func Execute(ctx context.Context, args []string, commands ...*cobra.Command) int {
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "An edge gateway scripted in Lua, for the minute in which everybody arrives at once",
		SilenceErrors: true, SilenceUsage: true,
		Version:           version(),
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{2, err} })
	root.AddCommand(commands...)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(os.Stderr, "%s: %s\n", cmd.CommandPath(), text)
	}
	var code ExitCode
	if errors.As(err, &code) {
		return code.ExitCode()
	}
	return 1
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))] + " " + info.GoVersion
		}
	}
	return info.Main.Version + " " + info.GoVersion
}

// place holds the flags that say where the configuration is.
type place struct{ file, data string }

// flags adds -c and --data.
func (p *place) flags(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&p.file, "config", "c", "", "the sluice.yaml of the system on real parts")
	cmd.PersistentFlags().StringVar(&p.data, "data", "./data", "the data folder of `sluice run`, when there is no -c")
}

// runFile is what `sluice run` leaves in its data folder, so that the other
// commands find it.
const runFile = "sluice.yaml"

var errNoFile = errors.New("there is no configuration")

// load reads the configuration that the flags name.
func (p *place) load() (config.Config, error) {
	if p.file != "" {
		return config.Load(p.file)
	}
	cfg, err := config.Load(filepath.Join(p.data, runFile))
	if errors.Is(err, os.ErrNotExist) {
		return cfg, fmt.Errorf("%w: no %s in %s; start `sluice run --data %s` first, or name a file with -c", errNoFile, runFile, p.data, p.data)
	}
	return cfg, err
}

// newLogger writes structured lines to stderr; level is debug, info, warn or
// error.
func newLogger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, &exitError{2, fmt.Errorf("--log %s: use debug, info, warn or error", level)}
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l})), nil
}
