package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sluice/cachesync/memcache"
	"sluice/cachesync/warmup/proof"
	"sluice/cachesync/warmup/source"
	"sluice/cachesync/warmup/state"
	"sluice/internal/servers"
)

func TestStateSurvivesAndKeepsASecondRunOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "users.state")
	f, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := f.Load(); ok || err != nil {
		t.Fatal(ok, err)
	}
	want := state.State{Set: "users", Position: source.Position{File: "a.csv", Offset: 7, Line: 2}, Sample: []proof.Entry{{Key: "u:1", Version: 1<<63 + 1}}}
	if err := f.Save(want); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(path); !errors.Is(err, state.ErrLocked) {
		t.Fatal(err)
	}
	f.Close()
	f, err = state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, ok, err := f.Load()
	if !ok || err != nil || got.Position.Offset != 7 || got.Sample[0] != want.Sample[0] {
		t.Fatalf("%+v %v %v", got, ok, err)
	}
	os.WriteFile(path, []byte(`{"set":`), 0o644)
	if _, ok, err := f.Load(); ok || err != nil {
		t.Errorf("a damaged state was taken: %v %v", ok, err)
	}
}

func TestLeaseKeepsOtherMachinesOut(t *testing.T) {
	c, err := memcache.New(memcache.Config{Servers: []string{servers.Memcached(t)}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, b := state.NewLease(c, "users", "/a"), state.NewLease(c, "users", "/b")
	again := state.NewLease(c, "users", "/a") // after kill -9
	if err := a.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Hold(t.Context()); !errors.Is(err, state.ErrHeld) {
		t.Errorf("%v, want held", err)
	}
	if err := again.Hold(t.Context()); err != nil {
		t.Errorf("the same state file: %v", err)
	}
	b.Free(t.Context())
	if err := b.Hold(t.Context()); !errors.Is(err, state.ErrHeld) {
		t.Error("somebody else freed it")
	}
	a.Free(t.Context())
	if err := b.Hold(t.Context()); err != nil {
		t.Error(err)
	}
}
