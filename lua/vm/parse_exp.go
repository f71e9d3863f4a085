package vm

func (ps *parser) exp(e *expDesc) { ps.binaryExp(e, 0) }

func (ps *parser) expNext() {
	var e expDesc
	ps.exp(&e)
	ps.fs.toNextReg(&e)
}

// cond parses a condition and gives the jumps taken when it is false.
func (ps *parser) cond() int {
	var e expDesc
	ps.exp(&e)
	if e.kind == expNil {
		e.kind = expFalse
	}
	ps.fs.branchTrue(&e)
	return e.f
}

// expList leaves the last expression open.
func (ps *parser) expList(e *expDesc) int {
	n := 1
	ps.exp(e)
	for ps.opt(',') {
		ps.fs.toNextReg(e)
		ps.exp(e)
		n++
	}
	return n
}

func (ps *parser) binaryExp(e *expDesc, limit int) binop {
	ps.enter()
	ps.unaryExp(e)
	op := binopOf(ps.tok)
	for op != binNone && binPriority[op].left > limit {
		var e2 expDesc
		ps.next()
		ps.fs.binaryLeft(op, e)
		next := ps.binaryExp(&e2, binPriority[op].right)
		ps.fs.binary(op, e, &e2)
		op = next
	}
	ps.leave()
	return op
}

func (ps *parser) unaryExp(e *expDesc) {
	var op opcode
	switch ps.tok {
	case tkNot:
		op = opNOT
	case '-':
		op = opUNM
	case '#':
		op = opLEN
	default:
		ps.simpleExp(e)
		return
	}
	ps.next()
	ps.binaryExp(e, unaryPriority)
	ps.fs.unary(op, e)
}

func (ps *parser) simpleExp(e *expDesc) {
	fs := ps.fs
	switch ps.tok {
	case tkNumber:
		*e = newExp(expNum, 0)
		e.num = ps.num
	case tkString:
		*e = newExp(expStr, 0)
		e.str = ps.str
	case tkNil:
		*e = newExp(expNil, 0)
	case tkTrue:
		*e = newExp(expTrue, 0)
	case tkFalse:
		*e = newExp(expFalse, 0)
	case tkDots:
		if !fs.proto.vararg {
			ps.errSyntax("cannot use '...' outside a vararg function")
		}
		fs.reserve(1)
		base := fs.freeReg - 1
		*e = newExp(expCall, fs.emitABC(opVARG, base, 2, 0))
		e.aux = base
	case '{':
		ps.tableExp(e)
		return
	case tkFunction:
		ps.next()
		ps.body(e, false, ps.line)
		return
	default:
		ps.primary(e)
		return
	}
	ps.next()
}

func (ps *parser) primary(e *expDesc) {
	fs := ps.fs
	switch ps.tok {
	case '(':
		line := ps.line
		ps.next()
		ps.exp(e)
		ps.match(')', '(', line)
		fs.discharge(e)
	case tkName, tkGoto:
		fs.lookup(ps.name(), e, true)
	default:
		ps.errSyntax("unexpected symbol")
	}
	for {
		switch ps.tok {
		case '.':
			ps.field(e)
		case '[':
			var key expDesc
			fs.toAnyReg(e)
			ps.bracket(&key)
			ps.index(e, &key)
		case ':':
			ps.next()
			fs.method(e, ps.name())
			ps.args(e)
		case '(', tkString, '{':
			fs.toNextReg(e)
			ps.args(e)
		default:
			return
		}
	}
}

// index makes e the field of e named by key, a value already.
func (ps *parser) index(e, key *expDesc) {
	e.kind = expIndexed
	switch {
	case key.kind == expNum && key.num >= 0 && key.num < 256 && key.num == float64(int(key.num)):
		e.keyKind, e.aux = keyByte, int(key.num)
	case key.kind == expStr:
		e.keyKind, e.aux = keyStr, ps.fs.constIndex(String(key.str))
	default:
		e.keyKind, e.aux = keyReg, ps.fs.toAnyReg(key)
	}
}

func (ps *parser) field(e *expDesc) {
	ps.fs.toAnyReg(e)
	ps.next()
	key := newExp(expStr, 0)
	key.str = ps.name()
	ps.index(e, &key)
}

func (ps *parser) bracket(e *expDesc) {
	ps.next()
	ps.exp(e)
	ps.fs.toVal(e)
	ps.check(']')
}

func (ps *parser) args(e *expDesc) {
	fs := ps.fs
	var args expDesc
	line := ps.line
	switch ps.tok {
	case '(':
		if line != ps.lastLine {
			ps.errSyntax("ambiguous syntax (function call x new statement)")
		}
		ps.next()
		if ps.tok == ')' {
			args = newExp(expVoid, 0)
		} else {
			ps.expList(&args)
			if args.kind == expCall {
				fs.code[args.info].setB(0)
			}
		}
		ps.match(')', '(', line)
	case '{':
		ps.tableExp(&args)
	case tkString:
		args = newExp(expStr, 0)
		args.str = ps.str
		ps.next()
	default:
		ps.errSyntax("function arguments expected")
	}
	base := e.info
	var i instr
	if args.kind == expCall {
		i = makeABC(opCALLM, base, 2, args.aux-base-1)
	} else {
		if args.kind != expVoid {
			fs.toNextReg(&args)
		}
		i = makeABC(opCALL, base, 2, fs.freeReg-base-1)
	}
	*e = newExp(expCall, fs.emit(i))
	e.aux = base
	fs.lines[len(fs.lines)-1] = int32(line)
	fs.freeReg = base + 1
}

// tableExp compiles a constructor; constant fields go to a template that is copied.
func (ps *parser) tableExp(e *expDesc) {
	fs := ps.fs
	line := ps.line
	var tmpl *Table
	lastCall := false
	narr, nhash := 0, 0
	freg := fs.freeReg
	pc := fs.emitABC(opTNEW, freg, 0, 0)
	*e = newExp(expNonReloc, freg)
	fs.reserve(1)
	freg++
	ps.check('{')
	for ps.tok != '}' {
		var key, val expDesc
		lastCall = false
		positional := false
		switch {
		case ps.tok == '[':
			ps.bracket(&key)
			if !key.isConst() {
				ps.index(e, &key)
			}
			nhash++
			ps.check('=')
		case (ps.tok == tkName || ps.tok == tkGoto) && ps.lookahead() == '=':
			key = newExp(expStr, 0)
			key.str = ps.name()
			ps.check('=')
			nhash++
		default:
			narr++
			key = newExp(expNum, 0)
			key.num = float64(narr)
			positional, lastCall = true, true
		}
		ps.exp(&val)
		if key.isConst() && key.kind != expNil && (key.kind == expStr || val.isConstNJ()) && ps.template(&tmpl, &key, &val, positional) {
			lastCall = false
		} else {
			if val.kind != expCall {
				fs.toAnyReg(&val)
				lastCall = false
			}
			if key.isConst() {
				ps.index(e, &key)
			}
			fs.store(e, &val)
		}
		fs.freeReg = freg
		if !ps.opt(',') && !ps.opt(';') {
			break
		}
	}
	ps.match('}', '{', line)
	if lastCall {
		n := len(fs.code) - 1
		if narr > 255 { // the key was loaded to a register
			fs.code = append(fs.code[:n-1], fs.code[n])
			fs.lines = append(fs.lines[:n-1], fs.lines[n])
			n--
		}
		fs.code[n] = makeABC(opTSETM, freg, fs.constIndex(Int(narr-1)), 0)
		fs.code[n-1].setB(0)
	}
	if pc == len(fs.code)-1 {
		e.info = pc
		fs.freeReg--
		e.kind = expReloc
	} else {
		e.kind = expNonReloc
	}
	if tmpl == nil {
		fs.code[pc] = makeABC(opTNEW, int(fs.code[pc].a()), min(narr, 65535), min(nhash, 65535))
		return
	}
	if narr > len(tmpl.arr) {
		tmpl.arr = append(tmpl.arr, make([]Value, narr-len(tmpl.arr))...)
	}
	unmark(tmpl)
	fs.code[pc] = makeABC(opTDUP, int(fs.code[pc].a()), len(fs.proto.templates), 0)
	fs.proto.templates = append(fs.proto.templates, tmpl)
}

// template puts a constant field into the template; false leaves it to run time.
func (ps *parser) template(tmpl **Table, key, val *expDesc, positional bool) bool {
	if len(ps.fs.proto.templates) >= 65535 {
		return false
	}
	if *tmpl == nil {
		*tmpl = &Table{}
	}
	t := *tmpl
	k := key.constant()
	if !val.isConstNJ() { // keep the key's place and room
		if t.Get(k).IsNil() {
			t.setHash(k, placeMark)
		}
		return false
	}
	v := val.constant()
	if key.kind == expNum {
		i, ok := arrayIndex(key.num)
		if positional || ok && i >= 0 && i < len(t.arr) {
			for len(t.arr) <= i && i < 1<<24 {
				t.arr = append(t.arr, Nil)
			}
			t.arr[i] = v
			return true
		}
	}
	if v.IsNil() {
		v = placeMark
	}
	return t.Set(k, v) == nil
}

// placeMark is the value of a template's field that is set at run time.
var placeMark = Value{n: tagLight}

// unmark ends a template.
func unmark(t *Table) {
	for i := range t.nodes {
		if t.nodes[i].val.n == tagLight {
			t.nodes[i].val = Nil
		}
	}
}

func (ps *parser) body(e *expDesc, needSelf bool, line int) {
	outer := ps.fs
	fs := ps.openFunc(line)
	fs.openBlock(false)
	n := 0
	ps.check('(')
	add := func(name string) {
		fs.newVar(n, name)
		n++
	}
	if needSelf {
		add("self")
	}
	if ps.tok != ')' {
	params:
		for {
			switch ps.tok {
			case tkName, tkGoto:
				add(ps.name())
			case tkDots:
				ps.next()
				fs.proto.vararg = true
				break params
			default:
				ps.errSyntax("<name> or '...' expected")
			}
			if !ps.opt(',') {
				break
			}
		}
	}
	fs.addVars(n)
	fs.reserve(n)
	fs.proto.nparams = n
	ps.check(')')
	ps.chunkBody()
	if ps.tok != tkEnd {
		ps.match(tkEnd, tkFunction, line)
	}
	p := ps.closeFunc(ps.line)
	if len(outer.protos) > 65535 {
		outer.failLimit(65536, "constants")
	}
	outer.protos = append(outer.protos, p)
	*e = newExp(expReloc, outer.emitABC(opFNEW, 0, len(outer.protos)-1, 0))
	ps.next()
}
