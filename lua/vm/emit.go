package vm

// The expression and jump machinery follows LuaJIT's lj_parse.c, so that
// evaluation order, register hazards and names in messages come out the same.
// Here a comparison and its jump are one instruction.

type expKind uint8

const (
	expVoid expKind = iota
	expNil
	expFalse
	expTrue
	expStr      // str
	expNum      // num
	expLocal    // info: register, aux: index of the variable
	expUpval    // info: index of the upvalue
	expGlobal   // str
	expIndexed  // info: table register, aux: key (register, or constant, or byte)
	expJump     // info: the jump
	expReloc    // info: the instruction whose A is still open
	expNonReloc // info: register
	expCall     // info: the instruction, aux: base register
)

const noJump = -1

// Kinds of an indexed expression's key.
const (
	keyReg uint8 = iota
	keyStr
	keyByte
)

type expDesc struct {
	kind    expKind
	keyKind uint8
	info    int
	aux     int
	num     float64
	str     string
	t, f    int // jump lists for true and false
}

func newExp(k expKind, info int) expDesc { return expDesc{kind: k, info: info, t: noJump, f: noJump} }

func (e *expDesc) hasJump() bool   { return e.t != e.f }
func (e *expDesc) isConst() bool   { return e.kind >= expNil && e.kind <= expNum }
func (e *expDesc) isConstNJ() bool { return e.isConst() && !e.hasJump() }
func (e *expDesc) isNumNJ() bool   { return e.kind == expNum && !e.hasJump() }

func (e *expDesc) constant() Value {
	switch e.kind {
	case expFalse:
		return False
	case expTrue:
		return True
	case expStr:
		return String(e.str)
	case expNum:
		return Number(e.num)
	}
	return Nil
}

// ---- constants

func (fs *funcState) constIndex(v Value) int {
	k := constKey{n: v.n}
	if v.isStr() {
		k = constKey{n: tagStr, s: v.str()}
	}
	if i, ok := fs.constMap[k]; ok {
		return i
	}
	i := len(fs.proto.consts)
	if i > 65535 {
		fs.failLimit(65536, "constants")
	}
	fs.constMap[k] = i
	fs.proto.consts = append(fs.proto.consts, v)
	h := uint32(0)
	if v.isStr() {
		h = hashString(v.str())
	}
	fs.proto.hashes = append(fs.proto.hashes, h)
	return i
}

// ---- jumps

func (fs *funcState) jumpNext(pc int) int {
	if d := fs.code[pc].j(); d != noJump {
		return pc + 1 + d
	}
	return noJump
}

// jumpNoValue reports that some jump of the list does not carry a value.
func (fs *funcState) jumpNoValue(list int) bool {
	for ; list != noJump; list = fs.jumpNext(list) {
		if op := fs.code[list].op(); op == opISTC || op == opISFC {
			continue
		}
		if !fs.isDeadLoad(list) {
			return true
		}
	}
	return false
}

// isDeadLoad reports that the jump at pc follows a load to no register.
func (fs *funcState) isDeadLoad(pc int) bool {
	if pc == 0 || fs.code[pc].op() != opJMP {
		return false
	}
	prev := fs.code[pc-1]
	return prev.a() == noReg && (prev.op() == opLOADK || prev.op() == opKPRI)
}

func (fs *funcState) patchTestReg(pc, reg int) bool {
	i := &fs.code[pc]
	if op := i.op(); op == opISTC || op == opISFC {
		if reg != noReg && reg != int(i.b()) {
			i.setA(reg)
		} else {
			i.setOp(op + opIST - opISTC)
			i.setA(0)
		}
		return true
	}
	if fs.isDeadLoad(pc) {
		load := &fs.code[pc-1]
		if reg == noReg {
			*load = makeABJ(opJMP, 0, 0, 0)
		} else {
			load.setA(reg)
		}
		return true
	}
	return false
}

func (fs *funcState) dropValues(list int) {
	for ; list != noJump; list = fs.jumpNext(list) {
		fs.patchTestReg(list, noReg)
	}
}

func (fs *funcState) patchIns(pc, dest int) {
	fs.code[pc].setJ(dest - (pc + 1))
}

func (fs *funcState) jumpAppend(l1 *int, l2 int) {
	if l2 == noJump {
		return
	}
	if *l1 == noJump {
		*l1 = l2
		return
	}
	list := *l1
	for {
		next := fs.jumpNext(list)
		if next == noJump {
			break
		}
		fs.ls.spend(1)
		list = next
	}
	fs.patchIns(list, l2)
}

// jumpBefore puts the short list j in front of list.
func (fs *funcState) jumpBefore(j, list int) int {
	fs.jumpAppend(&j, list)
	return j
}

func (fs *funcState) patchValues(list, vtarget, reg, dtarget int) {
	for list != noJump {
		next := fs.jumpNext(list)
		if fs.patchTestReg(list, reg) {
			fs.patchIns(list, vtarget)
		} else {
			fs.patchIns(list, dtarget)
		}
		list = next
	}
}

func (fs *funcState) jumpToHere(list int) {
	fs.lastTarget = fs.pc()
	fs.jumpAppend(&fs.pending, list)
}

func (fs *funcState) patchJump(list, target int) {
	if target == fs.pc() {
		fs.jumpToHere(list)
	} else {
		fs.patchValues(list, target, noReg, target)
	}
}

// ---- registers

func (fs *funcState) bump(n int) {
	if size := fs.freeReg + n; size > fs.proto.frameSize {
		if size >= 250 {
			fs.ls.failTok(fs.ls.tok, "function or expression too complex")
		}
		fs.proto.frameSize = size
	}
}

func (fs *funcState) reserve(n int) {
	fs.bump(n)
	fs.freeReg += n
}

func (fs *funcState) freeRegister(reg int) {
	if reg >= fs.nactive() {
		fs.freeReg--
	}
}

func (fs *funcState) freeExp(e *expDesc) {
	if e.kind == expNonReloc {
		fs.freeRegister(e.info)
	}
}

// ---- instructions

func (fs *funcState) pc() int { return len(fs.code) }

func (fs *funcState) emit(i instr) int {
	pc := len(fs.code)
	fs.patchValues(fs.pending, pc, noReg, pc)
	fs.pending = noJump
	fs.code = append(fs.code, i)
	fs.lines = append(fs.lines, int32(fs.ls.lastLine))
	if pc >= 1<<26 {
		fs.failLimit(1<<26, "bytecode instructions")
	}
	return pc
}

func (fs *funcState) emitABC(op opcode, a, b, c int) int { return fs.emit(makeABC(op, a, b, c)) }

// emitCond emits a comparison or test that jumps, still open.
func (fs *funcState) emitCond(op opcode, a, b int) int {
	return fs.emit(makeABJ(op, a, b, noJump))
}

func (fs *funcState) emitJump() int {
	pending := fs.pending
	fs.pending = noJump
	j := len(fs.code) - 1
	if j >= 0 && j >= fs.lastTarget && fs.code[j].op() == opUCLO && fs.code[j].j() == 0 {
		fs.code[j].setJ(noJump)
		fs.lastTarget = j + 1
	} else {
		j = fs.emitCond(opJMP, 0, 0)
	}
	fs.jumpAppend(&j, pending)
	return j
}

// ---- expressions to registers

func (fs *funcState) discharge(e *expDesc) {
	var i instr
	switch e.kind {
	case expUpval:
		i = makeABC(opUGET, 0, e.info, 0)
	case expGlobal:
		i = makeABC(opGGET, 0, fs.constIndex(String(e.str)), 0)
	case expIndexed:
		switch e.keyKind {
		case keyStr:
			i = makeABC(opTGETS, 0, e.info, e.aux)
		case keyByte:
			i = makeABC(opTGETB, 0, e.info, e.aux)
		default:
			fs.freeRegister(e.aux)
			i = makeABC(opTGETV, 0, e.info, e.aux)
		}
		fs.freeRegister(e.info)
	case expCall:
		e.info = e.aux
		e.kind = expNonReloc
		return
	case expLocal:
		e.kind = expNonReloc
		return
	default:
		return
	}
	e.info = fs.emit(i)
	e.kind = expReloc
}

func (fs *funcState) emitNil(from, n int) {
	if pc := len(fs.code); pc > fs.lastTarget && pc > 0 {
		i := &fs.code[pc-1]
		first := int(i.a())
		switch {
		case i.op() == opKPRI && i.b() == 0:
			if from == first {
				if n == 1 {
					return
				}
			} else if from == first+1 {
				from = first
				n++
			} else {
				break
			}
			*i = makeABC(opKNIL, from, from+n-1, 0)
			return
		case i.op() == opKNIL:
			if last := int(i.b()); first <= from && from <= last+1 {
				if from+n-1 > last {
					i.setB(from + n - 1)
				}
				return
			}
		}
	}
	if n == 1 {
		fs.emitABC(opKPRI, from, 0, 0)
	} else {
		fs.emitABC(opKNIL, from, from+n-1, 0)
	}
}

func (fs *funcState) toRegNoBranch(e *expDesc, reg int) {
	fs.discharge(e)
	switch e.kind {
	case expStr, expNum:
		fs.emitABC(opLOADK, reg, fs.constIndex(e.constant()), 0)
	case expReloc:
		fs.code[e.info].setA(reg)
	case expNonReloc:
		if reg != e.info {
			fs.emitABC(opMOV, reg, e.info, 0)
		}
	case expNil:
		if reg == noReg {
			fs.emitABC(opKPRI, reg, 0, 0)
		} else {
			fs.emitNil(reg, 1)
		}
	case expFalse:
		fs.emitABC(opKPRI, reg, int(tagFalse), 0)
	case expTrue:
		fs.emitABC(opKPRI, reg, int(tagTrue), 0)
	default:
		return
	}
	e.info = reg
	e.kind = expNonReloc
}

func (fs *funcState) toReg(e *expDesc, reg int) {
	fs.toRegNoBranch(e, reg)
	if e.kind == expJump {
		fs.jumpAppend(&e.t, e.info)
	}
	if e.hasJump() {
		jfalse, jtrue := noJump, noJump
		if fs.jumpNoValue(e.t) || fs.jumpNoValue(e.f) {
			jval := noJump
			if e.kind != expJump {
				jval = fs.emitJump()
			}
			jfalse = fs.emitABC(opKPRI, reg, int(tagFalse), 0)
			fs.emit(makeABJ(opJMP, 0, 0, 1))
			jtrue = fs.emitABC(opKPRI, reg, int(tagTrue), 0)
			fs.jumpToHere(jval)
		}
		end := fs.pc()
		fs.lastTarget = end
		fs.patchValues(e.f, end, reg, jfalse)
		fs.patchValues(e.t, end, reg, jtrue)
	}
	e.t, e.f = noJump, noJump
	e.info = reg
	e.kind = expNonReloc
}

func (fs *funcState) toNextReg(e *expDesc) {
	fs.discharge(e)
	fs.freeExp(e)
	fs.reserve(1)
	fs.toReg(e, fs.freeReg-1)
}

func (fs *funcState) toAnyReg(e *expDesc) int {
	fs.discharge(e)
	if e.kind == expNonReloc {
		if !e.hasJump() {
			return e.info
		}
		if e.info >= fs.nactive() {
			fs.toReg(e, e.info)
			return e.info
		}
	}
	fs.toNextReg(e)
	return e.info
}

func (fs *funcState) toVal(e *expDesc) {
	if e.hasJump() {
		fs.toAnyReg(e)
	} else {
		fs.discharge(e)
	}
}

func (fs *funcState) store(v, e *expDesc) {
	switch v.kind {
	case expLocal:
		fs.freeExp(e)
		fs.toReg(e, v.info)
		return
	case expUpval:
		fs.toVal(e)
		if e.isConst() {
			fs.emitABC(opUSETK, v.info, fs.constIndex(e.constant()), 0)
		} else {
			r := fs.toAnyReg(e)
			fs.emitABC(opUSETV, v.info, r, 0)
		}
	case expGlobal:
		r := fs.toAnyReg(e)
		fs.emitABC(opGSET, r, fs.constIndex(String(v.str)), 0)
	default:
		r := fs.toAnyReg(e)
		switch v.keyKind {
		case keyStr:
			fs.emitABC(opTSETS, r, v.info, v.aux)
		case keyByte:
			fs.emitABC(opTSETB, r, v.info, v.aux)
		default:
			fs.emitABC(opTSETV, r, v.info, v.aux)
		}
	}
	fs.freeExp(e)
}

func (fs *funcState) method(e *expDesc, name string) {
	obj := fs.toAnyReg(e)
	fs.freeExp(e)
	base := fs.freeReg
	fs.reserve(2)
	fs.emitABC(opSELF, base, obj, fs.constIndex(String(name)))
	e.info = base
	e.kind = expNonReloc
}

// ---- branches

func (fs *funcState) invert(e *expDesc) {
	i := &fs.code[e.info]
	i.setOp(i.op() ^ 1)
}

// branch emits a jump taken when e is cond.
func (fs *funcState) branch(e *expDesc, cond bool) int {
	if e.kind == expReloc && fs.code[e.info].op() == opNOT {
		op := opIST
		if cond {
			op = opISF
		}
		b := int(fs.code[e.info].b())
		fs.code = fs.code[:e.info]
		fs.lines = fs.lines[:e.info]
		return fs.emitCond(op, 0, b)
	}
	if e.kind != expNonReloc {
		fs.reserve(1)
		fs.toRegNoBranch(e, fs.freeReg-1)
	}
	op := opISFC
	if cond {
		op = opISTC
	}
	pc := fs.emitCond(op, noReg, e.info)
	fs.freeExp(e)
	return pc
}

// branchTrue goes on when e is true; the other way is added to e.f.
func (fs *funcState) branchTrue(e *expDesc) {
	pc := noJump
	fs.discharge(e)
	switch e.kind {
	case expStr, expNum, expTrue:
	case expJump:
		fs.invert(e)
		pc = e.info
	case expFalse, expNil:
		fs.toRegNoBranch(e, noReg)
		pc = fs.emitJump()
	default:
		pc = fs.branch(e, false)
	}
	fs.jumpAppend(&e.f, pc)
	fs.jumpToHere(e.t)
	e.t = noJump
}

func (fs *funcState) branchFalse(e *expDesc) {
	pc := noJump
	fs.discharge(e)
	switch e.kind {
	case expNil, expFalse:
	case expJump:
		pc = e.info
	case expStr, expNum, expTrue:
		fs.toRegNoBranch(e, noReg)
		pc = fs.emitJump()
	default:
		pc = fs.branch(e, true)
	}
	fs.jumpAppend(&e.t, pc)
	fs.jumpToHere(e.f)
	e.f = noJump
}
