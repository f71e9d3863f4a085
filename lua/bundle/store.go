package bundle

import (
	"context"
	"log/slog"
	"time"
)

// Files are the contents of a bundle: slash-separated path -> content.
type Files = map[string]string

// Config of a Store.
type Config struct {
	// Dir is the folder that ops edit, e.g. scripts.
	Dir string

	// StateDir keeps the last ten versions; zero value means none are kept on
	// disk and Rollback knows only the versions of this process.
	StateDir string

	// Check compiles and checks a set of files: a *lua.Bundle with its routes,
	// or whatever else the caller swaps. An error keeps the old version live.
	Check func(files Files) (any, error)

	// Retire is called with what Check returned once it is live no more and
	// requests may still run on it; zero value means nothing is done.
	Retire func(any)

	// Ignore tells which files are not part of the bundle; zero value ignores
	// hidden files, editors' backups and tests (names starting with a dot,
	// ending in ~, .swp, .tmp, or under tests/).
	Ignore func(path string) bool

	// Debounce is the quiet time after a change before it is loaded; zero
	// value means 40 ms (a save must be live within 200 ms).
	Debounce time.Duration

	// Keep is how many versions are kept; zero value means 10.
	Keep int

	// Logger; zero value means slog.Default().
	Logger *slog.Logger

	// Clock; zero value means time.Now.
	Clock func() time.Time
}

// Version is one set of files that was live.
type Version struct {
	Version string    `json:"version"` // short hash of the content
	Loaded  time.Time `json:"loaded"`
	Files   int       `json:"files"`
	Live    bool      `json:"live"`
	From    string    `json:"from"` // "start", "save", "push", "rollback"
}

// Failure says why a set of files did not go live.
type Failure struct {
	At      time.Time `json:"at"`
	Version string    `json:"version"`
	Message string    `json:"message"` // with file:line
}

// Store holds the live version and the ones before it.
type Store struct{}

// Open loads Dir and makes it live; the error says what is wrong with it.
func Open(cfg Config) (*Store, error) { panic("soon") }

// Live is what Check returned for the live version: a pointer load.
func (s *Store) Live() any { panic("soon") }

// Current describes the live version.
func (s *Store) Current() Version { panic("soon") }

// History is newest first, the live one among them.
func (s *Store) History() []Version { panic("soon") }

// LastError is the newest failure that no successful load followed, or nil.
func (s *Store) LastError() *Failure { panic("soon") }

// Reloads counts loads that went live and loads that failed.
func (s *Store) Reloads() (ok, failed int64) { panic("soon") }

// Reload reads Dir again and makes it live when it is good.
func (s *Store) Reload() (Version, error) { panic("soon") }

// Push makes files live without touching Dir.
func (s *Store) Push(files Files) (Version, error) { panic("soon") }

// Rollback makes an older version live: version "" means the one before the
// live one. It serves until the next change on disk.
func (s *Store) Rollback(version string) (Version, error) { panic("soon") }

// FilesOf gives the files of a kept version; "" means the live one.
func (s *Store) FilesOf(version string) (Files, error) { panic("soon") }

// Watch reloads on every change under Dir until ctx ends.
func (s *Store) Watch(ctx context.Context) error { panic("soon") }
