package vm

// funcState is a function being compiled.
type funcState struct {
	ls         *lexer
	prev       *funcState
	proto      *Proto
	code       []instr
	lines      []int32
	protos     []*Proto
	block      *blockState
	actives    []int // indices into vars of the active locals, by register
	vars       []localVar
	upvals     []upvalDesc
	constMap   map[constKey]int
	pending    int // jumps to the next instruction
	lastTarget int
	freeReg    int
	gotos      []gotoLabel
}

type constKey struct {
	n uint64
	s string
}

type localVar struct {
	name       string
	reg        int
	start, end int
}

// blockState is a lexical block.
type blockState struct {
	prev     *blockState
	nactive  int
	firstGL  int // first goto or label of the block
	loop     bool
	upval    bool // a local of the block is an upvalue
	hasBreak bool
	hasGoto  bool
	noClose  bool
}

// gotoLabel is a goto not yet resolved or a label in scope; a break is a goto to breakName.
type gotoLabel struct {
	name  string
	pc    int
	slot  int
	label bool
	dead  bool
}

const (
	breakName = "break"
	maxLocals = 200
	maxUpvals = 120
	maxLevels = 200
)

func (fs *funcState) nactive() int { return len(fs.actives) }

func (fs *funcState) failLimit(limit int, what string) {
	if fs.proto.line == 0 {
		fs.ls.failPlain("main function has more than %d %s", limit, what)
	}
	fs.ls.failPlain("function at line %d has more than %d %s", fs.proto.line, limit, what)
}

// newVar declares a local; it becomes active with addVars.
func (fs *funcState) newVar(n int, name string) {
	if fs.nactive()+n >= maxLocals {
		fs.failLimit(maxLocals, "local variables")
	}
	fs.vars = append(fs.vars, localVar{name: name, start: -1})
}

// addVars activates the n locals declared last.
func (fs *funcState) addVars(n int) {
	for i := len(fs.vars) - n; i < len(fs.vars); i++ {
		fs.vars[i].start = fs.pc()
		fs.vars[i].reg = fs.nactive()
		fs.actives = append(fs.actives, i)
	}
}

// removeVars ends locals down to level, and notes them for messages.
func (fs *funcState) removeVars(level int) {
	for len(fs.actives) > level {
		v := &fs.vars[fs.actives[len(fs.actives)-1]]
		v.end = fs.pc()
		fs.actives = fs.actives[:len(fs.actives)-1]
	}
}

func (fs *funcState) findLocal(name string) int {
	for i := len(fs.actives) - 1; i >= 0; i-- {
		if fs.vars[fs.actives[i]].name == name {
			return i
		}
	}
	return -1
}

func (fs *funcState) addUpval(name string, local bool, index int) int {
	for i, u := range fs.upvals {
		if u.local == local && u.index == index && u.name == name {
			return i
		}
	}
	if len(fs.upvals) >= maxUpvals {
		fs.failLimit(maxUpvals, "upvalues")
	}
	fs.upvals = append(fs.upvals, upvalDesc{name, local, index})
	return len(fs.upvals) - 1
}

// lookup finds what a name stands for.
func (fs *funcState) lookup(name string, e *expDesc, first bool) bool {
	if reg := fs.findLocal(name); reg >= 0 {
		*e = newExp(expLocal, reg)
		e.aux = fs.actives[reg]
		if !first {
			fs.markUpval(reg)
		}
		return true
	}
	if fs.prev == nil || !fs.prev.lookup(name, e, false) {
		*e = newExp(expGlobal, 0)
		e.str = name
		return false
	}
	i := fs.addUpval(name, e.kind == expLocal, e.info)
	*e = newExp(expUpval, i)
	return true
}

func (fs *funcState) markUpval(reg int) {
	b := fs.block
	for b != nil && b.nactive > reg {
		b = b.prev
	}
	if b != nil {
		b.upval = true
	}
}

func (fs *funcState) openBlock(loop bool) *blockState {
	b := &blockState{prev: fs.block, nactive: fs.nactive(), firstGL: len(fs.gotos), loop: loop}
	fs.block = b
	return b
}

func (fs *funcState) closeBlock() {
	b := fs.block
	fs.block = b.prev
	fs.removeVars(b.nactive)
	fs.freeReg = fs.nactive()
	if b.upval && !b.noClose {
		fs.emit(makeABJ(opUCLO, b.nactive, 0, 0))
	}
	if b.hasBreak {
		if !b.loop {
			fs.fixupGotos(b)
			return
		}
		fs.gotos = append(fs.gotos, gotoLabel{name: breakName, pc: fs.pc(), slot: fs.nactive(), label: true})
		idx := len(fs.gotos) - 1
		fs.resolveGotos(b, idx)
		fs.gotos = fs.gotos[:idx]
	}
	if b.hasGoto {
		fs.fixupGotos(b)
		return
	}
	fs.dropDead(b)
}

// dropDead forgets resolved gotos and labels out of scope.
func (fs *funcState) dropDead(b *blockState) {
	keep := fs.gotos[:b.firstGL]
	for _, g := range fs.gotos[b.firstGL:] {
		if !g.dead {
			keep = append(keep, g)
		}
	}
	fs.gotos = keep
}

func (fs *funcState) addGoto(name string, label bool, pc int) int {
	fs.gotos = append(fs.gotos, gotoLabel{name: name, pc: pc, slot: fs.nactive(), label: label})
	return len(fs.gotos) - 1
}

func (fs *funcState) patchGoto(g, l *gotoLabel) {
	g.dead = true
	fs.code[g.pc].setA(l.slot)
	fs.patchJump(g.pc, l.pc)
}

// closeGoto makes a goto close upvalues on its way.
func (fs *funcState) closeGoto(g *gotoLabel) {
	i := &fs.code[g.pc]
	i.setA(g.slot)
	if i.op() == opJMP {
		if next := fs.jumpNext(g.pc); next != noJump {
			fs.patchJump(next, g.pc)
		}
		i = &fs.code[g.pc]
		i.setOp(opUCLO)
		i.setJ(noJump)
	}
}

// resolveGotos points the gotos of the block to the label at idx.
func (fs *funcState) resolveGotos(b *blockState, idx int) {
	l := fs.gotos[idx]
	fs.ls.spend(idx - b.firstGL)
	for i := b.firstGL; i < idx; i++ {
		g := &fs.gotos[i]
		if g.dead || g.label || g.name != l.name {
			continue
		}
		if g.slot < l.slot {
			name := fs.vars[fs.actives[g.slot]].name
			fs.ls.line = int(fs.lines[g.pc])
			fs.ls.failPlain("<goto %s> jumps into the scope of local '%s'", g.name, name)
		}
		fs.patchGoto(g, &l)
	}
}

// fixupGotos ends a block: backward gotos are resolved, the rest goes to the outer block.
func (fs *funcState) fixupGotos(b *blockState) {
	for i := b.firstGL; i < len(fs.gotos); i++ {
		v := &fs.gotos[i]
		if v.dead {
			continue
		}
		if v.label {
			v.dead = true
			fs.ls.spend(len(fs.gotos) - i)
			for k := i + 1; k < len(fs.gotos); k++ {
				g := &fs.gotos[k]
				if !g.dead && !g.label && g.name == v.name {
					if b.upval && g.slot > v.slot {
						fs.closeGoto(g)
					}
					fs.patchGoto(g, v)
				}
			}
			continue
		}
		if b.prev == nil {
			fs.ls.line = int(fs.lines[v.pc])
			if v.name == breakName {
				fs.ls.failPlain("no loop to break")
			}
			fs.ls.failPlain("undefined label '%s'", v.name)
		}
		if v.name == breakName {
			b.prev.hasBreak = true
		} else {
			b.prev.hasGoto = true
		}
		v.slot = b.nactive
		if b.upval {
			fs.closeGoto(v)
		}
	}
	fs.dropDead(b)
}

func (fs *funcState) findLabel(name string) *gotoLabel {
	fs.ls.spend(len(fs.gotos) - fs.block.firstGL)
	for i := fs.block.firstGL; i < len(fs.gotos); i++ {
		if g := &fs.gotos[i]; g.label && !g.dead && g.name == name {
			return g
		}
	}
	return nil
}
