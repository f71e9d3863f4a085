package vm

// parser is one recursive descent over the source; code comes out as it goes.
type parser struct {
	lexer
	fs    *funcState
	level int
}

// Compile turns source text into a Proto; the error is a *SyntaxError in LuaJIT's
// words. chunkname "=name" shows as name, "@file" as file, others as text.
func Compile(chunkname, source string) (p *Proto, err error) {
	ps := &parser{lexer: lexer{src: source, chunk: chunkname, line: 1, lastLine: 1, strs: map[string]string{}}}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*SyntaxError)
			if !ok {
				panic(r)
			}
			p, err = nil, e
		}
	}()
	if len(source) >= 3 && source[:3] == "\xef\xbb\xbf" {
		ps.p = 3
	}
	if ps.peek() == '#' {
		for ps.p < len(ps.src) && ps.src[ps.p] != '\n' && ps.src[ps.p] != '\r' {
			ps.p++
		}
		if ps.p < len(ps.src) {
			ps.newline()
		}
	}
	if ps.peek() == 0x1b {
		name := chunkname
		switch {
		case name == source || name == "" || name[0] == 0x1b:
			name = "(binary)"
		case name[0] == '@' || name[0] == '=':
			name = name[1:]
		}
		return nil, &SyntaxError{Chunk: name, Msg: name + ": cannot load incompatible bytecode"}
	}
	return ps.mainChunk(), nil
}

func (ps *parser) openFunc(line int) *funcState {
	fs := &funcState{
		ls: &ps.lexer, prev: ps.fs, constMap: map[constKey]int{}, pending: noJump, lastTarget: 0,
		proto: &Proto{source: ps.chunk, short: displayName(ps.chunk), line: line, frameSize: 1},
	}
	ps.fs = fs
	return fs
}

func (ps *parser) closeFunc(line int) *Proto {
	fs := ps.fs
	ps.lastLine = line
	last := opJMP
	if n := len(fs.code); n > 0 && fs.lastTarget < n && fs.pending == noJump {
		last = fs.code[n-1].op()
	}
	switch last {
	case opRET0, opRET1, opRET, opRETM, opTAIL, opTAILM:
		// The function's blocks end without code of their own.
		if fs.block.upval {
			fs.block.noClose = true
		}
	default:
		fs.block.noClose = true
		fs.emit(makeABC(opRET0, 0, 0, 0))
	}
	fs.closeBlock()
	p := fs.proto
	p.lastLine = line
	p.code = append(fs.code, makeABC(opRET0, 0, 0, 0))
	p.lines = append(fs.lines, int32(line))
	p.protos = fs.protos
	p.upvals = fs.upvals
	for _, v := range fs.vars {
		if v.start >= 0 {
			p.vars = append(p.vars, varInfo(v))
		}
	}
	verify(p)
	ps.fs = fs.prev
	return p
}

func (ps *parser) mainChunk() *Proto {
	fs := ps.openFunc(0)
	fs.proto.vararg = true
	fs.openBlock(false)
	ps.next()
	ps.chunkBody()
	if ps.tok != tkEOF {
		ps.errToken(tkEOF)
	}
	return ps.closeFunc(ps.line)
}

// ---- tokens

func (ps *parser) errToken(want token) { ps.failTok(ps.tok, "'%s' expected", want) }

func (ps *parser) errSyntax(msg string) { ps.failTok(ps.tok, "%s", msg) }

func (ps *parser) opt(t token) bool {
	if ps.tok == t {
		ps.next()
		return true
	}
	return false
}

func (ps *parser) check(t token) {
	if ps.tok != t {
		ps.errToken(t)
	}
	ps.next()
}

func (ps *parser) match(what, who token, line int) {
	if ps.opt(what) {
		return
	}
	if line == ps.line {
		ps.errToken(what)
	}
	ps.failTok(ps.tok, "'%s' expected (to close '%s' at line %d)", what, who, line)
}

func (ps *parser) name() string {
	if ps.tok != tkName && ps.tok != tkGoto {
		ps.errToken(tkName)
	}
	s := ps.str
	ps.next()
	return s
}

func (ps *parser) enter() {
	ps.level++
	if ps.level >= maxLevels {
		ps.failPlain("chunk has too many syntax levels")
	}
}

func (ps *parser) leave() { ps.level-- }

func blockEnds(t token) bool {
	switch t {
	case tkElse, tkElseif, tkEnd, tkUntil, tkEOF:
		return true
	}
	return false
}

// ---- statements

func (ps *parser) chunkBody() {
	ps.enter()
	for last := false; !last && !blockEnds(ps.tok); {
		last = ps.statement()
		ps.opt(';')
		ps.fs.freeReg = ps.fs.nactive()
	}
	ps.leave()
}

func (ps *parser) blockBody() {
	ps.fs.openBlock(false)
	ps.chunkBody()
	ps.fs.closeBlock()
}

// statement reports that it must be the last of its block.
func (ps *parser) statement() bool {
	line := ps.line
	switch ps.tok {
	case tkIf:
		ps.ifStat(line)
	case tkWhile:
		ps.whileStat(line)
	case tkDo:
		ps.next()
		ps.blockBody()
		ps.match(tkEnd, tkDo, line)
	case tkFor:
		ps.forStat(line)
	case tkRepeat:
		ps.repeatStat(line)
	case tkFunction:
		ps.funcStat(line)
	case tkLocal:
		ps.next()
		ps.localStat()
	case tkReturn:
		ps.returnStat()
		return true
	case tkBreak:
		ps.next()
		ps.breakStat()
		return true
	case tkLabel:
		ps.labelStat()
	case tkGoto:
		if ps.lookahead() == tkName {
			ps.next()
			ps.gotoStat()
			break
		}
		fallthrough
	default:
		ps.callOrAssign()
	}
	return false
}

func (ps *parser) whileStat(line int) {
	fs := ps.fs
	ps.next()
	start := fs.pc()
	fs.lastTarget = start
	exit := ps.cond()
	fs.openBlock(true)
	ps.check(tkDo)
	ps.blockBody()
	fs.patchJump(fs.emitJump(), start)
	ps.match(tkEnd, tkWhile, line)
	fs.closeBlock()
	fs.jumpToHere(exit)
}

func (ps *parser) repeatStat(line int) {
	fs := ps.fs
	start := fs.pc()
	fs.lastTarget = start
	fs.openBlock(true)
	inner := fs.openBlock(false)
	ps.next()
	ps.chunkBody()
	ps.match(tkUntil, tkRepeat, line)
	exit := ps.cond()
	if !inner.upval {
		fs.closeBlock()
	} else {
		ps.breakStat()
		fs.jumpToHere(exit)
		fs.closeBlock()
		exit = fs.emitJump()
	}
	fs.patchJump(exit, start)
	fs.closeBlock()
}

func (ps *parser) forStat(line int) {
	fs := ps.fs
	fs.openBlock(true)
	ps.next()
	name := ps.name()
	switch ps.tok {
	case '=':
		ps.forNum(name, line)
	case ',', tkIn:
		ps.forIter(name)
	default:
		ps.errSyntax("'=' or 'in' expected")
	}
	ps.match(tkEnd, tkFor, line)
	fs.closeBlock()
}

func (ps *parser) forNum(name string, line int) {
	fs := ps.fs
	base := fs.freeReg
	fs.newVar(0, "(for index)")
	fs.newVar(1, "(for limit)")
	fs.newVar(2, "(for step)")
	fs.newVar(3, name)
	ps.check('=')
	ps.expNext()
	ps.check(',')
	ps.expNext()
	if ps.opt(',') {
		ps.expNext()
	} else {
		fs.emitABC(opLOADK, fs.freeReg, fs.constIndex(Int(1)), 0)
		fs.reserve(1)
	}
	visible := fs.vars[len(fs.vars)-1]
	fs.vars = fs.vars[:len(fs.vars)-1]
	fs.addVars(3)
	ps.check(tkDo)
	prep := fs.emitCond(opFORI, base, 0)
	fs.openBlock(false)
	fs.vars = append(fs.vars, visible)
	fs.addVars(1)
	fs.reserve(1)
	ps.blockBody()
	fs.closeBlock()
	loop := fs.emitCond(opFORL, base, 0)
	fs.lines[loop] = int32(line)
	fs.patchIns(loop, prep+1)
	fs.patchIns(prep, fs.pc())
	fs.lastTarget = fs.pc()
}

func (ps *parser) forIter(first string) {
	fs := ps.fs
	base := fs.freeReg + 4
	names := []string{first}
	hidden := [...]string{"(for generator)", "(for state)", "(for control)", ""}
	for i, h := range hidden {
		fs.newVar(i, h)
	}
	fs.newVar(4, first)
	for ps.opt(',') {
		names = append(names, ps.name())
		fs.newVar(3+len(names), names[len(names)-1])
	}
	fs.vars = fs.vars[:len(fs.vars)-len(names)]
	ps.check(tkIn)
	line := ps.line
	var e expDesc
	n := ps.expList(&e)
	ps.adjust(3, n, &e)
	fs.reserve(1)
	fs.bump(3)
	fs.addVars(4)
	ps.check(tkDo)
	prep := fs.emitCond(opITERP, base, 0)
	fs.openBlock(false)
	for _, n := range names {
		fs.vars = append(fs.vars, localVar{name: n, start: -1})
	}
	fs.addVars(len(names))
	fs.reserve(len(names))
	ps.blockBody()
	fs.closeBlock()
	fs.patchIns(prep, fs.pc())
	fs.lastTarget = fs.pc()
	loop := fs.emitCond(opITERC, base, len(names))
	fs.lines[loop] = int32(line)
	fs.patchIns(loop, prep+1)
}

func (ps *parser) thenBlock() int {
	ps.next()
	exit := ps.cond()
	ps.check(tkThen)
	ps.blockBody()
	return exit
}

func (ps *parser) ifStat(line int) {
	fs := ps.fs
	escape := noJump
	flist := ps.thenBlock()
	for ps.tok == tkElseif {
		escape = fs.jumpBefore(fs.emitJump(), escape)
		fs.jumpToHere(flist)
		flist = ps.thenBlock()
	}
	if ps.tok == tkElse {
		escape = fs.jumpBefore(fs.emitJump(), escape)
		fs.jumpToHere(flist)
		ps.next()
		ps.blockBody()
	} else {
		fs.jumpAppend(&escape, flist)
	}
	fs.jumpToHere(escape)
	ps.match(tkEnd, tkIf, line)
}

func (ps *parser) funcStat(line int) {
	fs := ps.fs
	ps.next()
	var v, b expDesc
	fs.lookup(ps.name(), &v, true)
	needSelf := false
	for ps.tok == '.' {
		ps.field(&v)
	}
	if ps.tok == ':' {
		needSelf = true
		ps.field(&v)
	}
	ps.body(&b, needSelf, line)
	fs.store(&v, &b)
	fs.lines[len(fs.lines)-1] = int32(line)
}

func (ps *parser) localStat() {
	fs := ps.fs
	if ps.opt(tkFunction) {
		var b expDesc
		fs.newVar(0, ps.name())
		reg := fs.freeReg
		fs.reserve(1)
		fs.addVars(1)
		idx := len(fs.vars) - 1
		ps.body(&b, false, ps.line)
		fs.freeExp(&b)
		fs.toReg(&b, reg)
		fs.vars[idx].start = fs.pc()
		return
	}
	var names []string
	for {
		n := ps.name()
		fs.newVar(len(names), n)
		fs.vars = fs.vars[:len(fs.vars)-1]
		names = append(names, n)
		if !ps.opt(',') {
			break
		}
	}
	var e expDesc
	n := 0
	if ps.opt('=') {
		n = ps.expList(&e)
	} else {
		e = newExp(expVoid, 0)
	}
	ps.adjust(len(names), n, &e)
	for _, n := range names {
		fs.vars = append(fs.vars, localVar{name: n, start: -1})
	}
	fs.addVars(len(names))
}

func (ps *parser) returnStat() {
	fs := ps.fs
	ps.next()
	if blockEnds(ps.tok) || ps.tok == ';' {
		fs.emitABC(opRET0, 0, 0, 0)
		return
	}
	var e expDesc
	n := ps.expList(&e)
	if n == 1 && e.kind == expCall && fs.code[e.info].op() != opVARG {
		i := &fs.code[e.info]
		i.setOp(i.op() + opTAIL - opCALL)
		fs.lines[e.info] = int32(ps.lastLine)
		return
	}
	switch {
	case n == 1 && e.kind != expCall:
		r := fs.toAnyReg(&e)
		fs.emitABC(opRET1, r, 0, 0)
	case e.kind == expCall:
		fs.code[e.info].setB(0)
		first := fs.nactive()
		fs.emitABC(opRETM, first, e.aux-first, 0)
	default:
		fs.toNextReg(&e)
		fs.emitABC(opRET, fs.nactive(), n, 0)
	}
}

func (ps *parser) breakStat() {
	fs := ps.fs
	fs.block.hasBreak = true
	fs.addGoto(breakName, false, fs.emitJump())
}

func (ps *parser) gotoStat() {
	fs := ps.fs
	name := ps.name()
	fs.block.hasGoto = true
	fs.addGoto(name, false, fs.emitJump())
}

func (ps *parser) labelStat() {
	fs := ps.fs
	fs.lastTarget = fs.pc()
	fs.block.hasGoto = true
	ps.next()
	name := ps.name()
	if fs.findLabel(name) != nil {
		ps.failPlain("duplicate label '%s'", name)
	}
	idx := fs.addGoto(name, true, fs.pc())
	ps.check(tkLabel)
	for ps.tok == tkLabel {
		ps.enter()
		ps.labelStat()
		ps.leave()
	}
	if blockEnds(ps.tok) && ps.tok != tkUntil {
		fs.gotos[idx].slot = fs.block.nactive
	}
	fs.resolveGotos(fs.block, idx)
}

// ---- assignments

// target is a variable on the left of an assignment.
type target struct {
	v    expDesc
	prev *target
}

// hazard renames a local that an earlier target reads and a later one writes.
func (ps *parser) hazard(t *target, v *expDesc) {
	fs := ps.fs
	tmp := fs.freeReg
	found := false
	for ; t != nil; t = t.prev {
		if t.v.kind != expIndexed {
			continue
		}
		if t.v.info == v.info {
			found = true
			t.v.info = tmp
		}
		if t.v.keyKind == keyReg && t.v.aux == v.info {
			found = true
			t.v.aux = tmp
		}
	}
	if found {
		fs.emitABC(opMOV, tmp, v.info, 0)
		fs.reserve(1)
	}
}

func (ps *parser) adjust(nvars, nexps int, e *expDesc) {
	fs := ps.fs
	extra := nvars - nexps
	if e.kind == expCall {
		extra = max(extra+1, 0)
		fs.code[e.info].setB(extra + 1)
		if extra > 1 {
			fs.reserve(extra - 1)
		}
	} else {
		if e.kind != expVoid {
			fs.toNextReg(e)
		}
		if extra > 0 {
			reg := fs.freeReg
			fs.reserve(extra)
			fs.emitNil(reg, extra)
		}
	}
	if nexps > nvars {
		fs.freeReg -= nexps - nvars
	}
}

func (ps *parser) assignment(t *target, nvars int) {
	fs := ps.fs
	var e expDesc
	if t.v.kind < expLocal || t.v.kind > expIndexed {
		ps.errSyntax("syntax error")
	}
	if ps.opt(',') {
		next := &target{prev: t}
		ps.primary(&next.v)
		if next.v.kind == expLocal {
			ps.hazard(t, &next.v)
		}
		if ps.level+nvars >= maxLevels {
			fs.failLimit(maxLevels, "variable names")
		}
		ps.assignment(next, nvars+1)
	} else {
		ps.check('=')
		n := ps.expList(&e)
		if n == nvars {
			if e.kind == expCall {
				if fs.code[e.info].op() == opVARG {
					fs.freeReg--
					e.kind = expReloc
				} else {
					e.info = e.aux
					e.kind = expNonReloc
				}
			}
			fs.store(&t.v, &e)
			return
		}
		ps.adjust(nvars, n, &e)
	}
	e = newExp(expNonReloc, fs.freeReg-1)
	fs.store(&t.v, &e)
}

func (ps *parser) callOrAssign() {
	var t target
	ps.primary(&t.v)
	if t.v.kind == expCall {
		ps.fs.code[t.v.info].setB(1)
		return
	}
	ps.assignment(&t, 1)
}
