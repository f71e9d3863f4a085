package vm

import "math"

type binop uint8

const (
	binAdd binop = iota
	binSub
	binMul
	binDiv
	binMod
	binPow
	binConcat
	binNE
	binEQ
	binLT
	binGE
	binLE
	binGT
	binAnd
	binOr
	binNone
)

var binPriority = [...]struct{ left, right int }{
	{6, 6}, {6, 6}, {7, 7}, {7, 7}, {7, 7}, {10, 9}, {5, 4},
	{3, 3}, {3, 3}, {3, 3}, {3, 3}, {3, 3}, {3, 3}, {2, 2}, {1, 1},
}

const unaryPriority = 8

func binopOf(t token) binop {
	switch t {
	case '+':
		return binAdd
	case '-':
		return binSub
	case '*':
		return binMul
	case '/':
		return binDiv
	case '%':
		return binMod
	case '^':
		return binPow
	case tkConcat:
		return binConcat
	case tkNe:
		return binNE
	case tkEq:
		return binEQ
	case '<':
		return binLT
	case tkLe:
		return binLE
	case '>':
		return binGT
	case tkGe:
		return binGE
	case tkAnd:
		return binAnd
	case tkOr:
		return binOr
	}
	return binNone
}

// luaMod is a % b, with LuaJIT's formula and so its rounding; the result has b's sign.
func luaMod(a, b float64) float64 { return a - math.Floor(a/b)*b }

func arith(op binop, a, b float64) float64 {
	switch op {
	case binAdd:
		return a + b
	case binSub:
		return a - b
	case binMul:
		return a * b
	case binDiv:
		return a / b
	case binMod:
		return luaMod(a, b)
	}
	return luaPow(a, b)
}

func fold(op binop, e1, e2 *expDesc) bool {
	if !e1.isNumNJ() || !e2.isNumNJ() {
		return false
	}
	n := arith(op, e1.num, e2.num)
	if n != n || n == 0 && math.Signbit(n) {
		return false
	}
	e1.num = n
	return true
}

// release frees the registers of two operands, whatever their order.
func (fs *funcState) release(e1, e2 *expDesc) {
	if e1.kind == expNonReloc && e1.info >= fs.nactive() {
		fs.freeReg--
	}
	if e2.kind == expNonReloc && e2.info >= fs.nactive() {
		fs.freeReg--
	}
}

func (fs *funcState) arith(op binop, e1, e2 *expDesc) {
	if fold(op, e1, e2) {
		return
	}
	code := opADD + opcode(op)
	var b, c int
	fs.toVal(e2)
	if e2.kind == expNum {
		c = fs.constIndex(e2.constant())
		code = opADDK + opcode(op)
	} else {
		c = fs.toAnyReg(e2)
	}
	fs.toVal(e1)
	if e1.kind == expNum && e2.kind != expNum {
		b = fs.constIndex(e1.constant())
		code = opKADD + opcode(op)
	} else {
		b = fs.toAnyReg(e1)
	}
	fs.release(e1, e2)
	e1.info = fs.emitABC(code, 0, b, c)
	e1.kind = expReloc
}

func (fs *funcState) compare(op binop, e1, e2 *expDesc) {
	ret := e1
	var a, b int
	var code opcode
	fs.toVal(e1)
	if op == binEQ || op == binNE {
		if e1.isConst() {
			e1, e2 = e2, ret
		}
		a = fs.toAnyReg(e1)
		fs.toVal(e2)
		if e2.isConst() {
			b = fs.constIndex(e2.constant())
			code = opEQK
		} else {
			b = fs.toAnyReg(e2)
			code = opEQ
		}
		if op == binNE {
			code ^= 1
		}
	} else {
		// x > y is y < x; x >= y is y <= x.
		code = opLT
		if op == binLE || op == binGE {
			code = opLE
		}
		if op == binGT || op == binGE {
			e1, e2 = e2, ret
			fs.toVal(e1)
			if e1.kind == expNum && !(e2.kind == expNum) {
				b = fs.constIndex(e1.constant())
				a = fs.toAnyReg(e2)
				code += opKLT - opLT
			} else {
				a = fs.toAnyReg(e1)
				if e2.kind == expNum {
					b = fs.constIndex(e2.constant())
					code += opLTK - opLT
				} else {
					b = fs.toAnyReg(e2)
				}
			}
		} else {
			fs.toVal(e2)
			switch {
			case e2.kind == expNum:
				b = fs.constIndex(e2.constant())
				a = fs.toAnyReg(e1)
				code += opLTK - opLT
			case e1.kind == expNum:
				a = fs.toAnyReg(e2)
				b = fs.constIndex(e1.constant())
				code += opKLT - opLT
			default:
				b = fs.toAnyReg(e2)
				a = fs.toAnyReg(e1)
			}
		}
	}
	fs.release(e1, e2)
	ret.info = fs.emitCond(code, a, b)
	ret.kind = expJump
}

// binaryLeft prepares the left operand before the right one is read.
func (fs *funcState) binaryLeft(op binop, e *expDesc) {
	switch op {
	case binAnd:
		fs.branchTrue(e)
	case binOr:
		fs.branchFalse(e)
	case binConcat:
		fs.toNextReg(e)
	case binEQ, binNE:
		if !e.isConstNJ() {
			fs.toAnyReg(e)
		}
	default:
		if !e.isNumNJ() {
			fs.toAnyReg(e)
		}
	}
}

func (fs *funcState) binary(op binop, e1, e2 *expDesc) {
	switch {
	case op <= binPow:
		fs.arith(op, e1, e2)
	case op == binAnd:
		fs.discharge(e2)
		fs.jumpAppend(&e2.f, e1.f)
		*e1 = *e2
	case op == binOr:
		fs.discharge(e2)
		fs.jumpAppend(&e2.t, e1.t)
		*e1 = *e2
	case op == binConcat:
		fs.toVal(e2)
		if e2.kind == expReloc && fs.code[e2.info].op() == opCAT {
			fs.freeExp(e1)
			fs.code[e2.info].setB(e1.info)
			e1.info = e2.info
		} else {
			fs.toNextReg(e2)
			fs.freeExp(e2)
			fs.freeExp(e1)
			e1.info = fs.emitABC(opCAT, 0, e1.info, e2.info)
		}
		e1.kind = expReloc
	default:
		fs.compare(op, e1, e2)
	}
}

func (fs *funcState) unary(op opcode, e *expDesc) {
	if op == opNOT {
		e.t, e.f = e.f, e.t
		fs.dropValues(e.f)
		fs.dropValues(e.t)
		fs.discharge(e)
		switch {
		case e.kind == expNil || e.kind == expFalse:
			e.kind = expTrue
			return
		case e.isConst():
			e.kind = expFalse
			return
		case e.kind == expJump:
			fs.invert(e)
			return
		case e.kind == expReloc:
			fs.reserve(1)
			fs.code[e.info].setA(fs.freeReg - 1)
			e.info = fs.freeReg - 1
			e.kind = expNonReloc
		}
	} else {
		if op == opUNM && e.isNumNJ() && e.num != 0 {
			e.num = -e.num
			return
		}
		fs.toAnyReg(e)
	}
	fs.freeExp(e)
	e.info = fs.emitABC(op, 0, e.info, 0)
	e.kind = expReloc
}
