package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// limits of a bundle: what ops edit by hand is small.
const (
	maxFiles = 2000
	maxBytes = 16 << 20
)

// DefaultIgnore leaves out hidden files, editors' leftovers and tests.
func DefaultIgnore(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if strings.HasPrefix(part, ".") || part == "tests" || part == "node_modules" {
			return true
		}
	}
	base := path.Base(p)
	if strings.HasSuffix(base, "~") || strings.HasPrefix(base, "#") || base == "4913" {
		return true
	}
	switch path.Ext(base) {
	case ".swp", ".swx", ".swo", ".tmp", ".bak", ".orig", ".rej":
		return true
	}
	return false
}

// readDir reads all files below dir that are not ignored.
func readDir(dir string, ignore func(string) bool) (Files, error) {
	files := make(Files)
	total := 0
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && p != dir {
				return nil // gone while we looked: an editor's rename
			}
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if rel == "." {
			return nil
		}
		if ignore(rel) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		files[rel] = string(b)
		total += len(b)
		if len(files) > maxFiles || total > maxBytes {
			return fmt.Errorf("%s: more than %d files or %d MB; is this the right folder?", dir, maxFiles, maxBytes>>20)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("bundle: reading %s: %w", dir, err)
	}
	return files, nil
}

// The state directory holds VERSION.json for each kept version and the file
// history, which lists them oldest first.

func (s *Store) loadHistory() error {
	if s.cfg.StateDir == "" {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(s.cfg.StateDir, "history"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var list []Version
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	for _, m := range list {
		var files Files
		b, err := os.ReadFile(s.keptFile(m.Version))
		if err == nil {
			err = json.Unmarshal(b, &files)
		}
		if err != nil || VersionOf(files) != m.Version {
			continue // damaged: not worth keeping
		}
		s.history = append(s.history, kept{meta: m, files: files})
	}
	return nil
}

func (s *Store) keptFile(version string) string {
	return filepath.Join(s.cfg.StateDir, path.Base(version)+".json")
}

// saveHistory writes what is kept and removes what is not.
func (s *Store) saveHistory() {
	if s.cfg.StateDir == "" {
		return
	}
	if err := s.writeHistory(); err != nil {
		s.cfg.Logger.Error("script versions cannot be kept; rollback ends with this process", "dir", s.cfg.StateDir, "err", err)
	}
}

func (s *Store) writeHistory() error {
	if err := os.MkdirAll(s.cfg.StateDir, 0o755); err != nil {
		return err
	}
	keep := map[string]bool{"history": true}
	list := make([]Version, 0, len(s.history))
	for _, k := range s.history {
		m := k.meta
		m.Live = false
		list = append(list, m)
		name := s.keptFile(m.Version)
		keep[filepath.Base(name)] = true
		if _, err := os.Stat(name); err == nil {
			continue
		}
		b, err := json.Marshal(k.files)
		if err != nil {
			return err
		}
		if err := writeFile(name, b); err != nil {
			return err
		}
	}
	b, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(s.cfg.StateDir, "history"), b); err != nil {
		return err
	}
	ents, err := os.ReadDir(s.cfg.StateDir)
	if err != nil {
		return err
	}
	for _, e := range ents {
		if !keep[e.Name()] && strings.HasSuffix(e.Name(), ".json") {
			_ = os.Remove(filepath.Join(s.cfg.StateDir, e.Name()))
		}
	}
	return nil
}

// writeFile replaces a file whole.
func writeFile(name string, b []byte) error {
	tmp := name + ".new"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}
