package bundle

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, dir, name, body string) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir, state string) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir, StateDir: state, Logger: slog.New(slog.DiscardHandler), Debounce: 5 * time.Millisecond,
		Check: func(f Files) (any, error) {
			for n, s := range f {
				if strings.Contains(s, "broken") {
					return nil, errors.New(n + ":1: broken")
				}
			}
			return f["a.lua"], nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually waits for what a watcher does.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 500 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("never: " + what)
}

func TestASaveGoesLiveAndABrokenOneDoesNot(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.lua", "one")
	s := open(t, dir, "")
	go func() { _ = s.Watch(t.Context()) }()
	live := func(want string) func() bool { return func() bool { return s.Live() == want } }

	write(t, dir, "a.lua", "two")
	eventually(t, "two is live", live("two"))
	write(t, dir, "a.lua", "broken")
	eventually(t, "the failure is told", func() bool { return s.LastError() != nil })
	if s.Live() != "two" || s.LastError().Message != "a.lua:1: broken" {
		t.Errorf("live %v, error %v", s.Live(), s.LastError())
	}

	// an editor's save: write beside, rename over
	write(t, dir, ".a.swp", "x")
	write(t, dir, "a.lua~", "three")
	if err := os.Rename(filepath.Join(dir, "a.lua~"), filepath.Join(dir, "a.lua")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three is live", live("three"))
	if s.LastError() != nil {
		t.Error("a good load must clear the failure")
	}

	// a new folder is watched as well
	write(t, dir, "lib/x.lua", "1")
	eventually(t, "the new file counts", func() bool { return s.Current().Files == 2 })
	v := s.Current().Version
	write(t, dir, "lib/x.lua", "2")
	eventually(t, "the file below is seen", func() bool { return s.Current().Version != v })
}

func TestRollbackServesUntilTheNextChangeOnDisk(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	write(t, dir, "a.lua", "one")
	s := open(t, dir, state)
	for _, v := range []string{"two", "three"} {
		write(t, dir, "a.lua", v)
		if _, err := s.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := s.Rollback(""); err != nil || s.Live() != "two" || v.From != "rollback" {
		t.Fatalf("%v %v %v", v, err, s.Live())
	}
	if _, err := s.Rollback(""); err != nil || s.Live() != "one" {
		t.Fatalf("%v %v", err, s.Live())
	}
	if _, err := s.Rollback(""); !errors.Is(err, ErrNoVersion) {
		t.Fatalf("want ErrNoVersion, got %v", err)
	}
	s.reloadChanged() // nothing changed on disk
	if s.Live() != "one" {
		t.Fatal("the rollback did not hold")
	}
	write(t, dir, "a.lua", "four")
	s.reloadChanged()
	if s.Live() != "four" {
		t.Fatal("disk must win after a change")
	}

	// a restart finds the history again
	s2 := open(t, dir, state)
	if n := len(s2.History()); n != 4 {
		t.Errorf("%d versions kept, want 4", n)
	}
	if _, err := s2.Rollback(s.History()[3].Version); err != nil || s2.Live() != "one" {
		t.Errorf("%v %v", err, s2.Live())
	}
}

func TestOnlyTheLastTenVersionsAreKept(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	write(t, dir, "a.lua", "0")
	s := open(t, dir, state)
	for i := range 15 {
		if _, err := s.Push(Files{"a.lua": strings.Repeat("x", i+1)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.History()); n != 10 {
		t.Errorf("%d versions", n)
	}
	ents, err := os.ReadDir(state)
	if err != nil || len(ents) != 11 {
		t.Errorf("%d files in the state folder, %v", len(ents), err)
	}
}

func TestABrokenDiskAtStartServesTheLastGoodVersion(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	write(t, dir, "a.lua", "one")
	open(t, dir, state)
	write(t, dir, "a.lua", "broken")
	s := open(t, dir, state)
	if s.Live() != "one" || s.LastError() == nil {
		t.Errorf("live %v, error %v", s.Live(), s.LastError())
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.lua", "one")
	s := open(t, dir, "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Watch(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
