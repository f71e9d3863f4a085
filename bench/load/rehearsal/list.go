package rehearsal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"sluice/gateway/ledger"
)

// Prefix begins the uid of every user and sender of a rehearsal.
const Prefix = ledger.RehearsalUID

// Header marks every request of a rehearsal.
const Header = "X-Sluice-Rehearsal"

// List is the file of funded ids; Note may be called by many goroutines.
type List struct {
	mu   sync.Mutex
	file *os.File // nil: kept in memory only
	ids  []string
	fen  int64
	err  error
}

// NewList begins a list; path "" keeps it in memory. One that is there already is another rehearsal's,
// which is not over: it is left as it is.
func NewList(path string) (*List, error) {
	if path == "" {
		return &List{}, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("rehearsal: %w: it tells what another rehearsal left behind: sluice bench cleanup %s, then remove it", err, path)
	}
	if err != nil {
		return nil, fmt.Errorf("rehearsal: %w", err)
	}
	return &List{file: f}, nil
}

// Note writes down a funded red packet.
func (l *List) Note(id string, fen int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = append(l.ids, id)
	l.fen += fen
	if l.file != nil {
		if _, err := fmt.Fprintln(l.file, id); err != nil && l.err == nil {
			l.err = fmt.Errorf("rehearsal: list of funded red packets: %w", err)
		}
	}
}

// All is what was funded so far, and the first error of writing it down.
func (l *List) All() (ids []string, fen int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.ids...), l.fen, l.err
}

// Path is the list's file; "" when it is kept in memory only.
func (l *List) Path() string {
	if l.file == nil {
		return ""
	}
	return l.file.Name()
}

// Close closes the file; when nothing was left to clean up it is removed.
func (l *List) Close(clean bool) error {
	if l.file == nil {
		return nil
	}
	name := l.file.Name()
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("rehearsal: %w", err)
	}
	if clean {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("rehearsal: %w", err)
		}
	}
	return nil
}

// ReadList reads the ids of a list that a run left behind.
func ReadList(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("rehearsal: %w", err)
	}
	defer f.Close()
	var ids []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		if id := strings.TrimSpace(s.Text()); id != "" {
			ids = append(ids, id)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("rehearsal: %s: %w", path, err)
	}
	return ids, nil
}
