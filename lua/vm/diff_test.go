package vm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/lua/vm"
)

// luajit finds the reference. Its compiler of traces is switched off: it has answers of its own.
func luajit(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("luajit")
	if err != nil {
		t.Fatal("luajit is missing: apt-get install luajit2")
	}
	return path
}

// reference runs a file with luajit and gives what it printed, and its last words.
func reference(t testing.TB, dir, file string) (stdout, lastWords string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, luajit(t), "-joff", file)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	lastWords, _, _ = strings.Cut(strings.TrimPrefix(errs.String(), "luajit: "), "\nstack traceback:")
	return out.String(), strings.TrimSuffix(lastWords, "\n")
}

// ours runs a source text in a fresh state.
func ours(chunk, source string, opts vm.Options, budget vm.Budget) (stdout, lastWords string) {
	var out bytes.Buffer
	opts.Stdout = &out
	s := vm.NewState(opts)
	s.SetBudget(budget)
	p, err := vm.Compile(chunk, source)
	if err == nil {
		_, err = s.Call(s.Load(p, nil))
	}
	if err != nil {
		lastWords = err.Error()
	}
	return out.String(), lastWords
}

// compareText reports the first line that differs.
func compareText(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Errorf("line %d of the output:\n  ours   %q\n  luajit %q", i+1, a, b)
			return
		}
	}
}

func TestProgramsAnswerAsLuaJIT(t *testing.T) {
	files, err := filepath.Glob("testdata/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatal("no programs in testdata", err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(strings.TrimSuffix(name, ".lua"), func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			wantOut, wantErr := reference(t, "testdata", name)
			gotOut, gotErr := ours("@"+name, string(src), vm.Options{}, vm.Budget{})
			compareText(t, gotOut, wantOut)
			compareText(t, gotErr, wantErr)
		})
	}
}
