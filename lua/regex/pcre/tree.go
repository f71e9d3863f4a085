package pcre

// nodeOp says what a node of the parsed pattern is.
type nodeOp uint8

const (
	opEmpty     nodeOp = iota
	opLiteral          // one character: r, fold
	opClass            // one character of set
	opAny              // one character but a newline
	opAnyAll           // one character
	opByte             // one byte, \C
	opConcat           // subs in a row
	opAlternate        // one of subs
	opCapture          // ( subs[0] ), number n
	opGroup            // (?: subs[0] )
	opAtomic           // (?> subs[0] )
	opLook             // lookaround: behind, negate
	opRepeat           // subs[0] {min,max}, mode
	opAssert           // a place: assert
	opBackref          // group n, or any of groups for a duplicate name
	opRecurse          // (?n), (?R) is n == 0
	opCondition        // (?(cond)yes|no): subs yes, no; or subs look, yes, no
	opKeep             // \K
	opVerb             // (*FAIL) and its kin
)

type assertKind uint8

const (
	assertBOL     assertKind = iota // ^ without m, and \A
	assertBOLM                      // ^ with m
	assertEOL                       // $ and \Z
	assertEOLM                      // $ with m
	assertEOT                       // \z
	assertStart                     // \G
	assertWord                      // \b
	assertNotWord                   // \B
)

type verbKind uint8

const (
	verbFail verbKind = iota
	verbAccept
	verbCommit
	verbPrune
	verbSkip
	verbThen
)

type repeatMode uint8

const (
	greedy repeatMode = iota
	lazy
	possessive
)

const unlimited = -1

// node is a part of the parsed pattern; which fields count depends on op.
type node struct {
	op     nodeOp
	subs   []*node
	set    *set
	r      rune
	n      int
	groups []int
	name   string // of a reference, until names are resolved
	min    int
	max    int
	mode   repeatMode
	assert assertKind
	verb   verbKind
	cond   condKind
	behind bool
	negate bool
	fold   bool
	at     int // offset in the pattern, for messages
}

type condKind uint8

const (
	condGroup   condKind = iota // (?(1)
	condLook                    // (?(?=
	condRecurse                 // (?(R), (?(R1), (?(R&name); n is -1 for any
	condDefine                  // (?(DEFINE)
)

// A CompileError is a pattern that is none; its text is PCRE's.
type CompileError struct {
	Msg     string
	Pattern string
	Offset  int
}

// maxErrorLen is resty.core's room for a message.
const maxErrorLen = 127

// Error is the text that ngx.re gives to scripts.
func (e *CompileError) Error() string {
	s := "pcre_compile() failed: " + e.Msg + " in \"" + e.Pattern + "\""
	if e.Offset < len(e.Pattern) {
		s += " at \"" + e.Pattern[e.Offset:] + "\""
	}
	if len(s) > maxErrorLen {
		s = s[:maxErrorLen]
	}
	return s
}
