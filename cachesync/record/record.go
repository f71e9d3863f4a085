package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Type says what a record's payload is.
type Type uint8

// The types in use. Numbers are for ever: they stand in caches and change logs.
const (
	TypeUnknown   Type = 0
	TypeRedPacket Type = 1 // rp:<id>
	TypeWin       Type = 2 // w:<id>:<uid>
	TypeUser      Type = 3 // u:<uid>
	TypeRoom      Type = 4 // rm:<room>
	TypeFilter    Type = 5 // complete filter of a red packet's winners
	TypeProbe     Type = 6 // written by probes and heartbeats only
	TypeOther     Type = 15
)

// Flags of a record.
const (
	// FlagTombstone marks a deleted key: the payload is empty and the version says
	// when. It is kept TombstoneTTL so that an older write cannot come back.
	FlagTombstone uint8 = 1
	// FlagRefill marks a tombstone that hides no deletion: the key has a value of this
	// version or a newer one at its home. A fill of the same version may replace it.
	FlagRefill uint8 = 2
	// FlagHot marks a record that appliers set in every mode.
	FlagHot uint8 = 4
)

const (
	// HeaderSize is the size of the header in front of every payload.
	HeaderSize = 24
	// TombstoneSeconds is how long a tombstone stays in memcached.
	TombstoneSeconds = 120
	// LateSeconds: a change older than this is applied as a tombstone with FlagRefill,
	// since a tombstone that should have stopped it may soon be gone.
	LateSeconds = 100

	magic  = 0xB9
	format = 1
)

// Why bytes from a cache are not a record. All of them are misses (IsMiss).
var (
	ErrEmpty     = errors.New("record: empty value")
	ErrForeign   = errors.New("record: not written by sluice")
	ErrFuture    = errors.New("record: written by a newer format")
	ErrTruncated = errors.New("record: shorter than its header")
	ErrCorrupt   = errors.New("record: checksum differs")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Record is one versioned value. Payload belongs to whoever holds the record;
// Parse does not copy it.
type Record struct {
	Type     Type
	Flags    uint8
	Version  Version
	CommitMS int64 // Unix milliseconds at which the home committed it
	Payload  []byte
}

// Tombstone reports whether the key is deleted or must be filled again.
func (r Record) Tombstone() bool { return r.Flags&FlagTombstone != 0 }

// Refill reports whether the record is a tombstone that a fill of the same version may replace.
func (r Record) Refill() bool { return r.Flags&(FlagTombstone|FlagRefill) == FlagTombstone|FlagRefill }

// Append writes header and payload behind dst. It is the only writer of the format.
func (r Record) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic, format, byte(r.Type), r.Flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Version))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.CommitMS))
	sum := crc32.Update(crc32.Checksum(dst[start:], castagnoli), castagnoli, r.Payload)
	dst = binary.BigEndian.AppendUint32(dst, sum)
	return append(dst, r.Payload...)
}

// Parse reads a record; its payload aliases b. The error says which kind of miss it is.
func Parse(b []byte) (Record, error) {
	switch {
	case len(b) == 0:
		return Record{}, ErrEmpty
	case b[0] != magic:
		return Record{}, ErrForeign
	case len(b) < 2:
		return Record{}, ErrTruncated
	case b[1] == 0:
		return Record{}, ErrForeign
	case b[1] > format:
		return Record{}, fmt.Errorf("%w: format %d, this binary knows up to %d", ErrFuture, b[1], format)
	case len(b) < HeaderSize:
		return Record{}, ErrTruncated
	}
	sum := crc32.Update(crc32.Checksum(b[:20], castagnoli), castagnoli, b[HeaderSize:])
	if sum != binary.BigEndian.Uint32(b[20:]) {
		return Record{}, ErrCorrupt
	}
	return Record{
		Type:     Type(b[2]),
		Flags:    b[3],
		Version:  Version(binary.BigEndian.Uint64(b[4:])),
		CommitMS: int64(binary.BigEndian.Uint64(b[12:])),
		Payload:  b[HeaderSize:len(b):len(b)],
	}, nil
}

// Wins reports whether next may take old's place under the same key.
//
// The rule, once for appliers, fills, snapshots and repairs: a higher version wins; of
// equal versions only a value replaces a tombstone that asks to be refilled; nothing else
// changes anything, so duplicates and reordering do not matter.
func Wins(old, next Record) bool {
	if next.Version != old.Version {
		return next.Version > old.Version
	}
	return old.Refill() && !next.Tombstone()
}

// Unset says that a record's key should be filled again: a tombstone of the same version.
func Unset(r Record) Record {
	r.Flags |= FlagTombstone | FlagRefill
	r.Payload = nil
	return r
}
