package bundle

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watch reloads on every change under Dir until ctx ends. Folders are watched,
// not files, so that editors that save by renaming are seen too.
func (s *Store) Watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("bundle: watching %s: %w", s.cfg.Dir, err)
	}
	defer func() { _ = w.Close() }()
	if err := s.watchAll(w); err != nil {
		return fmt.Errorf("bundle: watching %s: %w", s.cfg.Dir, err)
	}
	// A change between Open and now would be missed otherwise.
	s.reloadChanged()

	// The quiet time starts again with each event, but a steady stream of
	// events cannot hold a save back for longer than four quiet times.
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var first time.Time
	// What notification misses (a network mount, an overrun queue) is found by
	// a slow look.
	slow := time.NewTicker(5 * time.Second)
	defer slow.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev, ok := <-w.Events:
			if !ok {
				return nil
			}
			if ev.Op == fsnotify.Chmod {
				continue
			}
			if ev.Has(fsnotify.Create) {
				_ = s.watchAll(w) // perhaps a new folder
			}
			now := time.Now()
			if first.IsZero() {
				first = now
			}
			timer.Reset(min(s.cfg.Debounce, max(0, 4*s.cfg.Debounce-now.Sub(first))))
		case <-timer.C:
			first = time.Time{}
			s.reloadChanged()
		case err, ok := <-w.Errors:
			if !ok {
				return nil
			}
			s.cfg.Logger.Warn("watching scripts", "dir", s.cfg.Dir, "err", err)
			_ = s.watchAll(w)
			s.reloadChanged()
		case <-slow.C:
			_ = s.watchAll(w)
			s.reloadChanged()
		}
	}
}

// watchAll watches Dir and every folder below it; watching twice is harmless.
func (s *Store) watchAll(w *fsnotify.Watcher) error {
	return filepath.WalkDir(s.cfg.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if p == s.cfg.Dir {
				return err
			}
			return nil
		}
		if !d.IsDir() {
			return nil
		}
		if rel, err := filepath.Rel(s.cfg.Dir, p); err == nil && rel != "." && s.cfg.Ignore(filepath.ToSlash(rel)) {
			return filepath.SkipDir
		}
		return w.Add(p)
	})
}
