package vm

import (
	"fmt"
	"strings"
)

// raiseAt raises msg with the position of the Lua function that runs; never returns.
func (t *Thread) raiseAt(msg string) {
	pos := ""
	if t.nf > 0 {
		pos = t.position(t.nf - 1)
	}
	t.Raise(String(pos + msg))
}

// Errorf raises an error with the position of the function that called the running Go function; never returns.
func (t *Thread) Errorf(format string, a ...any) {
	t.Raise(String(t.Where(1) + fmt.Sprintf(format, a...)))
}

// position is "chunk:line: " of frame i, or "" for a Go function.
func (t *Thread) position(i int) string {
	f := &t.frames[i]
	if f.fn.proto == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", f.fn.proto.short, f.line())
}

// line a Lua function's frame is at.
func (f *frame) line() int {
	return int(f.fn.proto.lines[max(int(f.pc)-1, 0)])
}

// Where is "chunk:line: " of the function at a level: 0 the one that runs, 1 its caller.
func (t *Thread) Where(level int) string {
	if i := t.nf - 1 - level; i >= 0 && i < t.nf {
		return t.position(i)
	}
	return ""
}

// whereNow is "chunk:line" of the innermost Lua function.
func (t *Thread) whereNow() string {
	for i := t.nf - 1; i >= 0; i-- {
		if pos := t.position(i); pos != "" {
			return strings.TrimSuffix(pos, ": ")
		}
	}
	return "?"
}

// opError raises "attempt to <what> local 'x' (a nil value)"; reg is where v stands, or -1.
func (t *Thread) opError(what string, v Value, reg int) {
	kind, name := "", ""
	f := &t.frames[t.nf-1]
	if reg >= 0 && f.fn.proto != nil {
		kind, name = f.fn.proto.slotName(int(f.pc)-1, reg)
	}
	if kind != "" {
		t.raiseAt(fmt.Sprintf("attempt to %s %s '%s' (a %s value)", what, kind, name, v.Type()))
	}
	t.raiseAt(fmt.Sprintf("attempt to %s a %s value", what, v.Type()))
}

// callError raises "attempt to call ..." for the value at fidx.
func (t *Thread) callError(v Value, fidx int) {
	reg := -1
	f := &t.frames[t.nf-1]
	if t.nf > 0 && f.fn.proto != nil {
		if i := f.fn.proto.code[f.pc-1]; i.op() >= opCALL && i.op() <= opTAILM && int(f.base)+int(i.a()) == fidx {
			reg = int(i.a())
		}
	}
	t.opError("call", v, reg)
}

// slotName finds out how the source calls what is in reg at instruction pc.
func (p *Proto) slotName(pc, reg int) (kind, name string) {
restart:
	if name, ok := p.localName(pc, reg); ok && name != "" {
		return "local", name
	}
	for pc--; pc >= 0; pc-- {
		i := p.code[pc]
		a := int(i.a())
		switch opModes[i.op()] {
		case modeBase:
			if i.op() == opSELF && reg == a {
				return "method", p.consts[i.c()].str()
			}
			if reg >= a && (i.op() != opKNIL || reg <= int(i.b())) {
				if i.op() == opSELF && reg > a+1 {
					continue
				}
				if i.op() == opSELF {
					reg = int(uint8(i.b()))
					goto restart
				}
				return "", ""
			}
		case modeDst:
			if a != reg {
				continue
			}
			switch i.op() {
			case opMOV:
				reg = int(uint8(i.b()))
				goto restart
			case opGGET:
				return "global", p.consts[i.b()].str()
			case opTGETS:
				return "field", p.consts[i.c()].str()
			case opUGET:
				return "upvalue", p.upvals[i.b()].name
			}
			return "", ""
		}
	}
	return "", ""
}

// funcName finds out how the caller of frame i calls it.
func (t *Thread) funcName(i int) (kind, name string) {
	if i <= 0 {
		return "", ""
	}
	caller := &t.frames[i-1]
	p := caller.fn.proto
	if p == nil || caller.pc == 0 {
		return "", ""
	}
	pc := int(caller.pc) - 1
	switch in := p.code[pc]; in.op() {
	case opCALL, opCALLM, opTAIL, opTAILM:
		return p.slotName(pc, int(in.a()))
	case opITERC:
		return p.slotName(pc, int(in.a())-4)
	default:
		if e, ok := eventOfOp(in.op()); ok {
			return "metamethod", eventKeys[e].str()
		}
	}
	return "", ""
}

// eventOfOp is the metamethod an instruction may call.
func eventOfOp(op opcode) (event, bool) {
	switch {
	case op == opTGETV || op == opTGETS || op == opTGETB || op == opSELF || op == opGGET:
		return evIndex, true
	case op == opTSETV || op == opTSETS || op == opTSETB || op == opGSET:
		return evNewindex, true
	case op >= opADD && op <= opKPOW:
		return evAdd + event((op-opADD)%6), true
	case op == opUNM:
		return evUnm, true
	case op == opLEN:
		return evLen, true
	case op == opCAT:
		return evConcat, true
	case op == opEQ || op == opNE || op == opEQK || op == opNEK:
		return evEq, true
	case op <= opKGT:
		if op&2 != 0 {
			return evLe, true
		}
		return evLt, true
	}
	return 0, false
}

const (
	traceHead = 12
	traceTail = 10
)

// Traceback is the stack as debug.traceback shows it, from the running function on.
func (t *Thread) Traceback(msg string) string { return t.traceback(msg, msg != "", 0) }

func (t *Thread) traceback(msg string, hasMsg bool, level int) string {
	var b strings.Builder
	if hasMsg {
		b.WriteString(msg)
		b.WriteByte('\n')
	}
	b.WriteString("stack traceback:")
	lim := traceHead
	for ; level >= 0 && level < t.nf; level++ {
		if level+1 > lim {
			if level+1+traceTail >= t.nf {
				// the rest is short enough
				lim = 1 << 30
			} else {
				b.WriteString("\n\t...")
				level = t.nf - 1 - traceTail
				lim = 1 << 30
				continue
			}
		}
		i := t.nf - 1 - level
		f := &t.frames[i]
		p := f.fn.proto
		kind, name := t.funcName(i)
		if p == nil {
			b.WriteString("\n\t[C]:")
		} else {
			fmt.Fprintf(&b, "\n\t%s:%d:", p.short, f.line())
		}
		switch {
		case kind != "":
			fmt.Fprintf(&b, " in function '%s'", name)
		case p == nil:
			fmt.Fprintf(&b, " in function '%s'", f.fn.gofn.name)
		case p.line == 0:
			b.WriteString(" in main chunk")
		default:
			fmt.Fprintf(&b, " in function <%s:%d>", p.short, p.line)
		}
	}
	return b.String()
}
