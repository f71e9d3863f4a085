package vm

import "fmt"

// verify checks what execute relies on without looking: registers inside the frame,
// constants inside the pool, jumps inside the code. A failure is a defect of the compiler.
func verify(p *Proto) {
	n := len(p.code) - 1
	for pc := range n {
		i := &p.code[pc]
		if i.a() == noReg && (i.op() == opLOADK || i.op() == opKPRI) {
			*i = makeABJ(opJMP, 0, 0, 0) // a value nobody wants
		}
		if why := p.check(*i, pc, n); why != "" {
			panic(&SyntaxError{Chunk: p.short, Line: int(p.lines[pc]),
				Msg: fmt.Sprintf("%s:%d: compiler defect: %s in instruction %d (op %d)", p.short, p.lines[pc], why, pc, i.op())})
		}
	}
}

func (p *Proto) check(i instr, pc, n int) string {
	size := p.frameSize
	a, b, c := int(i.a()), int(i.b()), int(i.c())
	reg := func(rs ...int) string {
		for _, r := range rs {
			if r < 0 || r >= size {
				return "register out of range"
			}
		}
		return ""
	}
	constant := func(k int, rest string) string {
		if k >= len(p.consts) {
			return "constant out of range"
		}
		return rest
	}
	switch op := i.op(); {
	case op <= opUCLO:
		if to := pc + 1 + i.j(); to < 0 || to >= n {
			return "jump out of range"
		}
		switch {
		case op <= opGT || op == opEQ || op == opNE || op == opISTC || op == opISFC:
			return reg(a, b)
		case op <= opKGT || op == opEQK || op == opNEK:
			return constant(b, reg(a))
		case op == opIST || op == opISF:
			return reg(b)
		}
		return ""
	case op == opMOV || op == opNOT || op == opUNM || op == opLEN:
		return reg(a, b)
	case op == opLOADK || op == opGGET || op == opGSET:
		return constant(b, reg(a))
	case op == opKPRI:
		return reg(a)
	case op == opKNIL:
		return reg(a, b)
	case op >= opADD && op <= opPOW || op == opTGETV || op == opTSETV:
		return reg(a, b, c)
	case op >= opADDK && op <= opPOWK || op == opTGETS || op == opTSETS:
		return constant(c, reg(a, b))
	case op >= opKADD && op <= opKPOW:
		return constant(b, reg(a, c))
	case op == opCAT:
		if b > c {
			return "empty concatenation"
		}
		return reg(a, b, c)
	case op == opUGET:
		if b >= len(p.upvals) {
			return "upvalue out of range"
		}
		return reg(a)
	case op == opUSETV, op == opUSETK:
		if a >= len(p.upvals) {
			return "upvalue out of range"
		}
		if op == opUSETK {
			return constant(b, "")
		}
		return reg(b)
	case op == opFNEW:
		if b >= len(p.protos) {
			return "function out of range"
		}
		return reg(a)
	case op == opTDUP:
		if b >= len(p.templates) {
			return "template out of range"
		}
		return reg(a)
	case op == opTNEW:
		return reg(a)
	case op == opTGETB || op == opTSETB:
		return reg(a, b)
	case op == opTSETM:
		return constant(b, reg(a-1))
	case op == opSELF:
		return constant(c, reg(a, a+1, b))
	case op == opCALL:
		return reg(a, a+c, a+max(b-2, 0))
	case op == opCALLM:
		return reg(a, a+max(b-2, 0))
	case op == opTAIL:
		return reg(a, a+c)
	case op == opVARG:
		return reg(a, a+max(b-2, 0))
	case op == opRET1:
		return reg(a)
	case op == opRET:
		return reg(a, a+max(b-1, 0))
	case op == opFORI || op == opFORL || op == opITERP || op == opITERC:
		if to := pc + 1 + i.j(); to < 0 || to >= n {
			return "jump out of range"
		}
		if op == opFORI || op == opFORL {
			return reg(a, a+3)
		}
		return reg(a-4, a+max(b-1, 0))
	}
	return ""
}
