package script

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"

	"sluice/cachesync/changelog"
)

//go:embed lua/*.lua
var files embed.FS

// Name is one of the scripts.
type Name uint8

// The scripts.
const (
	Fund Name = iota
	State
	Store
	Open
	Draw
	Portal
	Tick
	Close
	Filter
	Probe
	Recon
	Drop
	Tune
	Unhold
	// Of a spread red packet's parts.
	Part
	Give
	Take
	Clear
	Fence
	// The rest is the certifier's: they are loaded before the bucket is open to anybody.
	Restore
	Rewin
	Rechain
	names
)

var fileNames = [names]string{"fund", "state", "store", "open", "draw", "portal", "tick", "close", "filter",
	"probe", "recon", "drop", "tune", "unhold", "part", "give", "take", "clear", "fence", "restore", "rewin", "rechain"}

// String is the file's name without its ending.
func (n Name) String() string { return fileNames[n] }

// Mending reports whether the script may run before a bucket is open to anybody: those with
// which the certifier rebuilds what Redis lost.
func (n Name) Mending() bool { return n >= Restore || n == Store }

// Set is all scripts of one epoch.
type Set struct {
	Epoch uint64
	texts [names]string
	shas  [names]string
}

// SHA is what EVALSHA takes.
func (s *Set) SHA(n Name) string { return s.shas[n] }

// Text is what SCRIPT LOAD takes.
func (s *Set) Text(n Name) string { return s.texts[n] }

// All lists the names of all scripts.
func All() []Name {
	all := make([]Name, names)
	for i := range all {
		all[i] = Name(i)
	}
	return all
}

// Book composes sets and keeps them; safe for concurrent use.
type Book struct {
	bodies [names]string
	lib    string
	mu     sync.Mutex
	sets   map[uint64]*Set
}

// NewBook reads the embedded scripts.
func NewBook() (*Book, error) { return newBook(files) }

func newBook(from fs.FS) (*Book, error) {
	b := &Book{sets: map[uint64]*Set{}}
	read := func(name string) (string, error) {
		text, err := fs.ReadFile(from, path.Join("lua", name+".lua"))
		if err != nil {
			return "", fmt.Errorf("script: %w", err)
		}
		return strip(string(text)), nil
	}
	var err error
	if b.lib, err = read("lib"); err != nil {
		return nil, err
	}
	for n := range b.bodies {
		if b.bodies[n], err = read(fileNames[n]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Replace gives one script another body: the simulator puts known bugs back with it.
func (b *Book) Replace(n Name, old, new string) error {
	if !strings.Contains(b.bodies[n], old) {
		return fmt.Errorf("script: %s does not contain %q", n, old)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bodies[n] = strings.Replace(b.bodies[n], old, new, 1)
	b.sets = map[uint64]*Set{}
	return nil
}

// At is the set of an epoch.
func (b *Book) At(epoch uint64) *Set {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sets[epoch]; s != nil {
		return s
	}
	head := changelog.Prelude(epoch) + "local EPOCH = '" + strconv.FormatUint(epoch, 10) + "'\n" + b.lib
	s := &Set{Epoch: epoch}
	all := sha1.New()
	for _, body := range b.bodies {
		io.WriteString(all, body)
	}
	for n, body := range b.bodies {
		s.texts[n] = head + body
		if Name(n) == Probe { // it stands for all of them: another version of any is another probe
			s.texts[n] += "-- " + hex.EncodeToString(all.Sum(nil)) + "\n"
		}
		sum := sha1.Sum([]byte(s.texts[n]))
		s.shas[n] = hex.EncodeToString(sum[:])
	}
	if len(b.sets) > 16 { // epochs only rise: old ones are not asked for again
		clear(b.sets)
	}
	b.sets[epoch] = s
	return s
}

// strip drops comment lines: they need not travel or be hashed.
func strip(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			out.WriteString(line)
		}
	}
	return out.String()
}
