package cjson

import (
	"fmt"

	"sluice/lua/vm"
)

// InvalidNumbers says what the encoder does with NaN and infinities.
type InvalidNumbers int

// The choices of encode_invalid_numbers.
const (
	Refuse InvalidNumbers = iota // an error
	Spell                        // NaN, Infinity: JavaScript, not JSON
	AsNull
)

// Options are cjson's settings; NewOptions gives OpenResty's defaults.
type Options struct {
	SparseConvert      bool // write excessively sparse arrays as objects
	SparseRatio        int  // an array is sparse when max > items*ratio...
	SparseSafe         int  // ...and max > safe; ratio 0 means never
	EncodeMaxDepth     int
	DecodeMaxDepth     int
	EncodeInvalid      InvalidNumbers
	DecodeInvalid      bool // accept inf, nan, hexadecimal, leading zeros
	NumberPrecision    int
	EmptyTableAsObject bool
	DecodeArrayMT      bool // give decoded arrays array_mt
	DecodeComments     bool
	EscapeSlash        bool
	SkipUnsupported    bool // leave functions and the like out
	Indent             string
	KeepBuffer         bool // has no effect here: buffers are always pooled
	null               vm.Value
	arrayMT, emptyMT   *vm.Table
}

// NewOptions gives the defaults; null is what JSON's null becomes.
func NewOptions(null vm.Value) *Options {
	return &Options{
		SparseRatio: 2, SparseSafe: 10, EncodeMaxDepth: 1000, DecodeMaxDepth: 1000, DecodeInvalid: true,
		NumberPrecision: 14, EmptyTableAsObject: true, EscapeSlash: true, KeepBuffer: true, null: null,
	}
}

// hardDepth bounds the recursion whatever a script sets.
const hardDepth = 100000

// Error is a value that cannot be written or a text that cannot be read; its
// text is lua-cjson's.
type Error struct{ Msg string }

func (e *Error) Error() string { return e.Msg }

func failf(format string, a ...any) { panic(&Error{fmt.Sprintf(format, a...)}) }

// caught turns a panic with *Error into that error.
func caught(err *error) {
	if r := recover(); r != nil {
		e, ok := r.(*Error)
		if !ok {
			panic(r)
		}
		*err = e
	}
}

// emptyArray marks cjson.empty_array.
type emptyArray struct{}
