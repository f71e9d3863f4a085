package changelog

import (
	"errors"
	"fmt"
	"strconv"

	"sluice/cachesync/record"
)

// ErrEntry is what every malformed entry or id wraps.
var ErrEntry = errors.New("changelog: malformed entry")

// ID is a position in a change log or win stream: the stream id <epoch>-<seq>.
type ID struct{ Epoch, Seq uint64 }

// String is the stream id.
func (id ID) String() string {
	return strconv.FormatUint(id.Epoch, 10) + "-" + strconv.FormatUint(id.Seq, 10)
}

// After reports whether id stands behind other in the stream.
func (id ID) After(other ID) bool {
	return id.Epoch > other.Epoch || id.Epoch == other.Epoch && id.Seq > other.Seq
}

// Follows reports whether id is the very next after prev: nothing is missing between them.
// An epoch may rise on the way; its seq goes on counting.
func (id ID) Follows(prev ID) bool { return id.Seq == prev.Seq+1 && id.Epoch >= prev.Epoch }

// ParseID reads a stream id.
func ParseID[T ~string | ~[]byte](s T) (ID, error) {
	for i := 0; i < len(s); i++ {
		if s[i] != '-' {
			continue
		}
		epoch, ok1 := number(s[:i])
		seq, ok2 := number(s[i+1:])
		if ok1 && ok2 {
			return ID{epoch, seq}, nil
		}
		break
	}
	return ID{}, fmt.Errorf("%w: id %q, want <epoch>-<seq>", ErrEntry, string(s))
}

// Change is one record on its way.
type Change struct {
	Key    string
	Expiry int64 // Unix seconds, 0 = none
	Again  bool  // emitted before, under this version: anti-entropy; CommitMS is of this time
	Record record.Record
}

// Entry is one entry of a change log: everything one script changed, under one version.
type Entry struct {
	ID      ID
	Version record.Version
	Changes []Change
}

// ParseEntry reads an entry from its id and its flat list of fields and values. Changes are
// appended to dst, which may be nil; payloads alias fields when T is []byte.
func ParseEntry[T ~string | ~[]byte](id T, fields []T, dst []Change) (Entry, error) {
	at, err := ParseID(id)
	if err != nil {
		return Entry{Changes: dst}, err
	}
	return parseFields(at, fields, dst)
}

func parseFields[T ~string | ~[]byte](id ID, fields []T, dst []Change) (Entry, error) {
	e := Entry{ID: id, Changes: dst}
	bad := func(what string) (Entry, error) {
		return e, fmt.Errorf("%w: %s: %s", ErrEntry, e.ID, what)
	}
	if len(fields) < 4 || len(fields)%2 != 0 || string(fields[0]) != "m" || string(fields[2]) != "c" {
		return bad("does not begin with m and c")
	}
	ms, ok1 := number(fields[1])
	ctr, ok2 := number(fields[3])
	if !ok1 || !ok2 || ms > record.MaxMS {
		return bad("m or c is no number")
	}
	epoch := e.ID.Epoch
	fields = fields[4:]
	if len(fields) > 0 && string(fields[0]) == "s" {
		var ok bool
		if epoch, ok = number(fields[1]); !ok {
			return bad("s is no number")
		}
		fields = fields[2:]
	}
	at, again := ms, len(fields) > 0 && string(fields[0]) == "r"
	if again {
		var ok bool
		if at, ok = number(fields[1]); !ok || at > record.MaxMS {
			return bad("r is no number")
		}
		fields = fields[2:]
	}
	e.Version = record.MakeVersion(epoch, int64(ms), ctr)
	for ; len(fields) >= 8; fields = fields[8:] {
		if string(fields[0]) != "k" || string(fields[2]) != "t" || string(fields[4]) != "e" {
			return bad("a group is not k, t, e, v")
		}
		typ, ok1 := number(fields[3])
		expiry, ok2 := number(fields[5])
		if !ok1 || !ok2 || typ > 255 || len(fields[1]) == 0 {
			return bad("a group has no key, or t or e is no number")
		}
		c := Change{Key: string(fields[1]), Expiry: int64(expiry), Again: again, Record: record.Record{
			Type:     record.Type(typ),
			Version:  e.Version,
			CommitMS: int64(at) + record.BaseMS,
		}}
		switch string(fields[6]) {
		case "v":
			c.Record.Payload = []byte(fields[7])
		case "d":
			c.Record.Flags = record.FlagTombstone
		default:
			return bad("a group ends in neither v nor d")
		}
		e.Changes = append(e.Changes, c)
	}
	if len(fields) != 0 {
		return bad("half a group at the end")
	}
	return e, nil
}

// number reads a plain decimal of at most 19 digits.
func number[T ~string | ~[]byte](s T) (uint64, bool) {
	if len(s) == 0 || len(s) > 19 {
		return 0, false
	}
	var n uint64
	for i := 0; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	return n, true
}
