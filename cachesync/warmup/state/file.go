package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"sluice/cachesync/warmup/proof"
	"sluice/cachesync/warmup/source"
)

// Counts of a run; they go on after a resume.
type Counts struct {
	Rows     int64 `json:"rows"`     // read, good and bad
	Bad      int64 `json:"bad"`      // could not be used
	Filtered int64 `json:"filtered"` // left out by filter or transform
	Bytes    int64 `json:"bytes"`    // of the records made
}

// State is what a resumed run needs.
type State struct {
	Set      string            `json:"set"`
	Source   string            `json:"source"`    // what was read; another one starts over
	OpenedAt time.Time         `json:"opened_at"` // version of records without a version column
	Position source.Position   `json:"position"`  // everything before it is written
	Counts   Counts            `json:"counts"`
	Sample   []proof.Entry     `json:"sample"`
	Canaries map[string]string `json:"canaries"` // by region and node: another one means that the node lost its data
	Done     bool              `json:"done"`
	LastDone time.Time         `json:"last_done"` // when the last run that was done began
	SavedAt  time.Time         `json:"saved_at"`
}

// ErrLocked: another run on this machine uses the state file.
var ErrLocked = errors.New("another run of this set is going on")

// File is a locked state file.
type File struct {
	path string
	lock *os.File
}

// Open locks the state file, waiting for nobody.
func Open(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: it holds %s.lock", ErrLocked, path)
		}
		return nil, fmt.Errorf("state: lock %s.lock: %w", path, err)
	}
	return &File{path: path, lock: lock}, nil
}

// Load returns the saved state; false when there is none. A damaged file counts
// as none: starting over is always right.
func (f *File) Load() (State, bool, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return State{}, false, nil
	}
	if err != nil {
		return State{}, false, fmt.Errorf("state: %w", err)
	}
	var s State
	if json.Unmarshal(b, &s) != nil {
		return State{}, false, nil
	}
	return s, true, nil
}

// Save replaces the state.
func (f *File) Save(s State) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return Replace(f.path, b)
}

// Close frees the lock.
func (f *File) Close() error { return f.lock.Close() }

// Replace writes a file so that a reader, or a crash, sees the old or the new one.
func Replace(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
