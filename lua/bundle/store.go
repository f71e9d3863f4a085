package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// Files are the contents of a bundle: slash-separated path -> content.
type Files = map[string]string

// Config of a Store.
type Config struct {
	// Dir is the folder that ops edit, e.g. scripts.
	Dir string

	// StateDir keeps the last versions; zero value means none are kept on disk
	// and Rollback knows only the versions of this process.
	StateDir string

	// Check compiles and checks a set of files: a *lua.Bundle with its routes,
	// or whatever else the caller swaps. An error keeps the old version live.
	Check func(files Files) (any, error)

	// Retire is called with what Check returned once it is live no more and
	// requests may still run on it; zero value means nothing is done.
	Retire func(any)

	// Ignore tells which files are not part of the bundle; zero value means
	// DefaultIgnore.
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

// ErrNoVersion is returned for a version that is not kept.
var ErrNoVersion = errors.New("bundle: no such version is kept")

type live struct {
	value any
	meta  Version
	files Files
}

// Store holds the live version and the ones before it.
type Store struct {
	cfg  Config
	live atomic.Pointer[live]

	failed, ok atomic.Int64
	lastErr    atomic.Pointer[Failure]

	mu      sync.Mutex // serialises loads; guards what follows
	history []kept     // oldest first
	disk    string     // version of what was last read from Dir
}

type kept struct {
	meta  Version
	files Files
}

// VersionOf is the short hash of a set of files.
func VersionOf(files Files) string {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	sort.Strings(names)
	h := sha256.New()
	for _, n := range names {
		fmt.Fprintf(h, "%d:%s%d:", len(n), n, len(files[n]))
		h.Write([]byte(files[n]))
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// Open loads Dir and makes it live. When Dir is broken and a version is kept
// in StateDir, that one serves and LastError tells; without one the error
// says what is wrong.
func Open(cfg Config) (*Store, error) {
	if cfg.Check == nil {
		return nil, errors.New("bundle: Config.Check is missing")
	}
	if cfg.Ignore == nil {
		cfg.Ignore = DefaultIgnore
	}
	if cfg.Debounce <= 0 {
		cfg.Debounce = 40 * time.Millisecond
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 10
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	s := &Store{cfg: cfg}
	if err := s.loadHistory(); err != nil {
		cfg.Logger.Warn("kept script versions cannot be read", "dir", cfg.StateDir, "err", err)
	}
	files, err := readDir(cfg.Dir, cfg.Ignore)
	if err == nil {
		s.disk = VersionOf(files)
		_, err = s.load(files, "start")
	}
	if err == nil {
		return s, nil
	}
	for i := len(s.history) - 1; i >= 0; i-- {
		k := s.history[i]
		if k.meta.Version == s.disk {
			continue
		}
		fail := s.lastErr.Load()
		if _, kerr := s.load(k.files, "start"); kerr == nil {
			s.lastErr.Store(fail)
			cfg.Logger.Error("the scripts on disk are broken; the last good version serves", "version", k.meta.Version, "err", err)
			return s, nil
		}
	}
	return nil, err
}

// Live is what Check returned for the live version: a pointer load.
func (s *Store) Live() any { return s.live.Load().value }

// Current describes the live version.
func (s *Store) Current() Version { return s.live.Load().meta }

// History is newest first, the live one among them.
func (s *Store) History() []Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	cur := s.Current().Version
	out := make([]Version, 0, len(s.history))
	for i := len(s.history) - 1; i >= 0; i-- {
		m := s.history[i].meta
		m.Live = m.Version == cur
		out = append(out, m)
	}
	return out
}

// LastError is the newest failure that no successful load followed, or nil.
func (s *Store) LastError() *Failure { return s.lastErr.Load() }

// Reloads counts loads that went live and loads that failed.
func (s *Store) Reloads() (ok, failed int64) { return s.ok.Load(), s.failed.Load() }

// Reload reads Dir again and makes it live when it is good.
func (s *Store) Reload() (Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, err := readDir(s.cfg.Dir, s.cfg.Ignore)
	if err != nil {
		s.fail("", err)
		return Version{}, err
	}
	s.disk = VersionOf(files)
	return s.load(files, "save")
}

// reloadChanged is Reload when Dir differs from what was last read there.
func (s *Store) reloadChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, err := readDir(s.cfg.Dir, s.cfg.Ignore)
	if err != nil {
		s.fail("", err)
		return
	}
	v := VersionOf(files)
	if v == s.disk {
		return
	}
	s.disk = v
	if v == s.Current().Version {
		s.lastErr.Store(nil) // what was broken has been put back as it was
		return
	}
	_, _ = s.load(files, "save") // told by LastError and the log
}

// Push makes files live without touching Dir.
func (s *Store) Push(files Files) (Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load(files, "push")
}

// Rollback makes an older version live: version "" means the one that was live
// before the present one. It serves until the next change on disk.
func (s *Store) Rollback(version string) (Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cur := s.Current().Version
	for i := len(s.history) - 1; i >= 0; i-- {
		k := s.history[i]
		if version == "" && k.meta.Version != cur && s.before(i, cur) || version != "" && k.meta.Version == version {
			return s.load(k.files, "rollback")
		}
	}
	if version == "" {
		return Version{}, fmt.Errorf("%w: there is none before %s", ErrNoVersion, cur)
	}
	return Version{}, fmt.Errorf("%w: %s; GET /admin/scripts lists them", ErrNoVersion, version)
}

// before reports whether history[i] is older than the live version.
func (s *Store) before(i int, cur string) bool {
	for _, k := range s.history[i+1:] {
		if k.meta.Version == cur {
			return true
		}
	}
	return false
}

// FilesOf gives the files of a kept version; "" means the live one.
func (s *Store) FilesOf(version string) (Files, error) {
	if l := s.live.Load(); version == "" || l.meta.Version == version {
		return l.files, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.history {
		if k.meta.Version == version {
			return k.files, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNoVersion, version)
}

// load checks files and swaps them in. The caller holds mu (or is Open).
func (s *Store) load(files Files, from string) (Version, error) {
	v := VersionOf(files)
	old := s.live.Load()
	if old != nil && old.meta.Version == v && from != "rollback" {
		s.lastErr.Store(nil)
		return old.meta, nil
	}
	start := s.cfg.Clock()
	val, err := s.cfg.Check(files)
	if err != nil {
		s.fail(v, err)
		return Version{}, err
	}
	m := Version{Version: v, Loaded: s.cfg.Clock(), Files: len(files), From: from, Live: true}
	s.live.Store(&live{value: val, meta: m, files: files})
	s.ok.Add(1)
	s.lastErr.Store(nil)
	s.remember(kept{meta: m, files: files}, from)
	s.cfg.Logger.Info("scripts are live", "version", v, "files", len(files), "from", from, "took", s.cfg.Clock().Sub(start))
	if old != nil && s.cfg.Retire != nil {
		s.cfg.Retire(old.value)
	}
	return m, nil
}

func (s *Store) fail(version string, err error) {
	s.failed.Add(1)
	s.lastErr.Store(&Failure{At: s.cfg.Clock(), Version: version, Message: err.Error()})
	s.cfg.Logger.Error("scripts did not go live; the version before serves on", "version", version, "err", err)
}

// remember puts a version into the history. A rollback leaves the order as it
// is, so that a second rollback goes one further back.
func (s *Store) remember(k kept, from string) {
	for i := range s.history {
		if s.history[i].meta.Version == k.meta.Version {
			if from == "rollback" {
				s.history[i].meta.From = k.meta.From
				s.history[i].meta.Loaded = k.meta.Loaded
				s.saveHistory()
				return
			}
			s.history = append(s.history[:i], s.history[i+1:]...)
			break
		}
	}
	s.history = append(s.history, k)
	if n := len(s.history) - s.cfg.Keep; n > 0 {
		s.history = append([]kept(nil), s.history[n:]...)
	}
	s.saveHistory()
}
