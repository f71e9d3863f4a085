package vm

// Proto is a compiled function: immutable, shared by all states.
type Proto struct {
	code      []instr // one instruction longer than what runs, so that no address lies past the end
	consts    []Value
	hashes    []uint32 // of the constants that are strings
	protos    []*Proto
	templates []*Table
	upvals    []upvalDesc
	lines     []int32 // of each instruction
	vars      []varInfo
	source    string // chunkname as given
	short     string // chunkname as shown
	line      int    // where it is defined, 0 for a chunk
	lastLine  int
	nparams   int
	frameSize int
	vararg    bool
}

// upvalDesc tells FNEW where to find an upvalue: in the frame of the enclosing
// function or among its upvalues.
type upvalDesc struct {
	name  string
	local bool
	index int
}

// varInfo names the local in register reg from instruction start up to end.
type varInfo struct {
	name       string
	reg        int
	start, end int
}

// localName is the name of the local in reg at instruction pc.
func (p *Proto) localName(pc, reg int) (string, bool) {
	for i := len(p.vars) - 1; i >= 0; i-- {
		if v := &p.vars[i]; v.reg == reg && v.start <= pc && pc < v.end {
			return v.name, true
		}
	}
	return "", false
}

// Source is the chunkname the function was compiled under.
func (p *Proto) Source() string { return p.source }

const idSize = 60

// displayName is how a chunkname shows in messages: "=name" as name, "@file" as
// file, anything else as [string "first line..."].
func displayName(chunk string) string {
	if chunk == "" {
		return `[string ""]`
	}
	switch chunk[0] {
	case '=':
		return cut(chunk[1:], idSize-1)
	case '@':
		if name := chunk[1:]; len(name) >= idSize {
			return "..." + name[len(name)-(idSize-4):]
		} else {
			return name
		}
	}
	n := 0
	for n < idSize-12 && n < len(chunk) && chunk[n] >= ' ' {
		n++
	}
	if n < len(chunk) {
		return `[string "` + chunk[:min(n, idSize-15)] + `..."]`
	}
	return `[string "` + chunk + `"]`
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
