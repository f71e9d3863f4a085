package cachesync

import (
	"context"
	"errors"
	"testing"
)

// told is a source that tells what it holds, or fails.
type told struct {
	holds map[string]Filled
	err   error
}

func (s told) Fill(_ context.Context, keys []string) (out []Filled, err error) {
	for _, key := range keys {
		if f, ok := s.holds[key]; ok {
			f.Key = key
			out = append(out, f)
		}
	}
	return out, s.err
}

func TestTheNewestOfAllHomesIsFilled(t *testing.T) {
	version := func(v Version, text string) Filled { return Filled{Record: Record{Version: v, Payload: []byte(text)}} }
	broken := errors.New("broken")
	one := told{holds: map[string]Filled{
		"u:both": version(5, "old"), "u:one": version(5, "one"), "u:gone": {Err: ErrNotFound}, "u:broken": version(5, "old"),
	}}
	two := told{holds: map[string]Filled{
		"u:both": version(6, "new"), "u:one": {Err: ErrNotFound}, "u:two": version(6, "two"), "u:gone": {Err: ErrNotFound},
		"u:broken": {Err: broken}, "u:unasked": version(9, "x"),
	}}
	f := func(sources Newest) {
		t.Helper()
		got, err := sources.Fill(context.Background(), []string{"u:both", "u:one", "u:two", "u:gone", "u:broken"})
		if err != nil || len(got) != 5 {
			t.Fatal(got, err)
		}
		for i, want := range []string{"new", "one", "two", "", ""} {
			if string(got[i].Record.Payload) != want {
				t.Errorf("%s is filled with %q, want %q", got[i].Key, got[i].Record.Payload, want)
			}
		}
		if !errors.Is(got[3].Err, ErrNotFound) || !errors.Is(got[4].Err, broken) {
			t.Error(got[3].Err, got[4].Err)
		}
	}
	f(Newest{one, two})
	f(Newest{two, one})
	if got, err := (Newest{one, told{err: broken}}).Fill(context.Background(), []string{"u:both"}); !errors.Is(err, broken) {
		t.Errorf("a home does not answer, and %v is taken for the newest (%v)", got, err)
	}
}
