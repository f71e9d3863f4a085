package record

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestVersionKeepsItsPartsAndOrdersByThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.Uint64Range(0, MaxEpoch).Draw(t, "epoch")
		ms := rapid.Int64Range(0, MaxMS).Draw(t, "ms")
		c := rapid.Uint64Range(0, MaxCounter).Draw(t, "counter")
		v := MakeVersion(e, ms, c)
		if v.Epoch() != e || v.MS() != ms || v.Counter() != c {
			t.Fatalf("%d.%d.%d came back as %s", e, ms, c, v)
		}
		if e < MaxEpoch && MakeVersion(e+1, 0, 0) <= v {
			t.Fatalf("a later epoch is not newer than %s", v)
		}
	})
}

func TestWildClockNeverSpillsIntoTheEpoch(t *testing.T) {
	for _, ms := range []int64{-1, -1 << 62, MaxMS + 1, 1 << 62} {
		if got := MakeVersion(3, ms, 1<<40).Epoch(); got != 3 {
			t.Errorf("ms %d: epoch %d", ms, got)
		}
	}
	at := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	if got := VersionAt(1, at).UnixMS(); got != at.UnixMilli() {
		t.Errorf("VersionAt: %d, want %d", got, at.UnixMilli())
	}
}

func TestParseGivesBackWhatAppendWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Record{
			Type:     Type(rapid.Uint8().Draw(t, "type")),
			Flags:    rapid.Uint8().Draw(t, "flags"),
			Version:  Version(rapid.Uint64().Draw(t, "version")),
			CommitMS: rapid.Int64().Draw(t, "commit"),
			Payload:  rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
		}
		b := in.Append([]byte("before"))
		out, err := Parse(b[6:])
		if err != nil || out.Type != in.Type || out.Flags != in.Flags || out.Version != in.Version ||
			out.CommitMS != in.CommitMS || !bytes.Equal(out.Payload, in.Payload) {
			t.Fatalf("got %+v, %v; want %+v", out, err, in)
		}
	})
}

func TestWhatIsNoRecordIsAMissWithItsReason(t *testing.T) {
	whole := Record{Type: TypeUser, Version: 9, Payload: []byte(`{"a":1}`)}.Append(nil)
	f := func(b []byte, want error) {
		t.Helper()
		if _, err := Parse(b); !errors.Is(err, want) {
			t.Errorf("Parse(%q) = %v, want %v", b, err, want)
		}
	}
	f(nil, ErrEmpty)
	f([]byte("hello"), ErrForeign)
	f([]byte{magic, 0, 1}, ErrForeign)
	f([]byte{magic}, ErrTruncated)
	f(whole[:HeaderSize-1], ErrTruncated)
	f(whole[:len(whole)-1], ErrCorrupt)
	f(append(bytes.Clone(whole), 'x'), ErrCorrupt)
	future := bytes.Clone(whole)
	future[1] = format + 1
	f(future, ErrFuture)
	for i := 2; i < len(whole); i++ {
		bent := bytes.Clone(whole)
		bent[i] ^= 0x10
		f(bent, ErrCorrupt)
	}
}

func TestOnlyAHigherVersionOrARefillWins(t *testing.T) {
	v := func(n Version, flags uint8) Record { return Record{Version: n, Flags: flags} }
	f := func(old, next Record, want bool) {
		t.Helper()
		if got := Wins(old, next); got != want {
			t.Errorf("Wins(%+v, %+v) = %t", old, next, got)
		}
	}
	f(v(1, 0), v(2, 0), true)
	f(v(2, 0), v(1, 0), false)
	f(v(2, 0), v(2, 0), false)
	f(v(2, FlagTombstone), v(2, 0), false)
	f(Unset(v(2, 0)), v(2, 0), true)
	f(Unset(v(2, 0)), v(1, 0), false)
	f(v(2, 0), Unset(v(2, 0)), false)
	f(Unset(v(2, 0)), Unset(v(2, 0)), false)
}

func TestBucketKeysShareTheirHashTag(t *testing.T) {
	if got := BucketKey(7, "log"); got != "{b07}:log" {
		t.Error(got)
	}
	if got := BucketKey(63, "meta"); got != "{b63}:meta" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{magic, format})
	f.Add(Record{Type: TypeWin, Version: 77, Payload: []byte("x")}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		if again := r.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x parsed to %+v, which writes %x", b, r, again)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	whole := Record{Type: TypeUser, Version: 9, Payload: make([]byte, 200)}.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(whole); err != nil {
			b.Fatal(err)
		}
	}
}
