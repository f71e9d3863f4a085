package vm

import "slices"

// Use is a place where a function names a global, or a field of one.
type Use struct {
	Line int
	Name string // "print", "ngx.req.get_method": as far as the source spells it out
	Set  bool   // it is assigned
}

// Uses lists the globals that a function and those inside it name, by line. Locals and
// upvalues are none, whatever they are called.
func (p *Proto) Uses() (list []Use) {
	p.each(func(p *Proto) {
		for pc := 0; pc < len(p.code)-1; pc++ {
			i := p.code[pc]
			use := Use{Line: int(p.lines[pc])}
			switch i.op() {
			case opGSET:
				use.Name, use.Set = p.consts[i.b()].str(), true
			case opGGET:
				use.Name = p.consts[i.b()].str()
				for field := true; field; {
					i, field = p.fieldOf(i.a(), pc+1, &use)
					if field {
						pc++
					}
				}
			default:
				continue
			}
			list = append(list, use)
		}
	})
	slices.SortStableFunc(list, func(a, b Use) int { return a.Line - b.Line })
	return list
}

// fieldOf adds to use the field that instruction pc takes of what is in reg, or sets.
func (p *Proto) fieldOf(reg uint8, pc int, use *Use) (i instr, ok bool) {
	i = p.code[pc]
	switch {
	case (i.op() == opTGETS || i.op() == opSELF) && i.b() == uint16(reg):
		use.Name += "." + p.consts[i.c()].str()
		return i, i.op() == opTGETS
	case i.op() == opTSETS && i.b() == uint16(reg):
		use.Name += "." + p.consts[i.c()].str()
		use.Set = true
	}
	return i, false
}

// Endless are the lines of loops that nothing leaves: no way leads to the function's end, and
// they call nothing by a name in ends, such as error.
func (p *Proto) Endless(ends map[string]bool) (lines []int) {
	p.each(func(p *Proto) {
		n := len(p.code) - 1
		comes, goes := make([]bool, n), make([]bool, n) // from the start, to the end
		comes[0] = true
		for changed := true; changed; {
			changed = false
			for pc := range n {
				for _, to := range p.follows(pc) {
					changed = changed || comes[pc] && !comes[to]
					comes[to] = comes[to] || comes[pc]
				}
			}
			for pc := n - 1; pc >= 0; pc-- {
				if goes[pc] {
					continue
				}
				goes[pc] = p.leaves(pc, ends) || slices.ContainsFunc(p.follows(pc), func(to int) bool { return goes[to] })
				changed = changed || goes[pc]
			}
		}
		for pc := range n {
			for _, to := range p.follows(pc) {
				if line := int(p.lines[to]); to <= pc && comes[pc] && !goes[pc] && !slices.Contains(lines, line) {
					lines = append(lines, line)
				}
			}
		}
	})
	slices.Sort(lines)
	return lines
}

// follows are the instructions that may come after pc.
func (p *Proto) follows(pc int) []int {
	i := p.code[pc]
	to := pc + 1 + i.j()
	switch op := i.op(); {
	case op >= opRET0 && op <= opRETM, op == opTAIL, op == opTAILM:
		return nil
	case op == opJMP, op == opUCLO, op == opITERP:
		return []int{to}
	case op < opUCLO, op == opFORI, op == opFORL, op == opITERC:
		return []int{pc + 1, to}
	}
	return []int{pc + 1}
}

// leaves reports whether a run may end at pc.
func (p *Proto) leaves(pc int, ends map[string]bool) bool {
	switch i := p.code[pc]; i.op() {
	case opCALL, opCALLM:
		_, name := p.slotName(pc, int(i.a()))
		return ends[name]
	case opRET0, opRET1, opRET, opRETM, opTAIL, opTAILM:
		return true
	}
	return false
}

// each calls f for a function and all inside it.
func (p *Proto) each(f func(*Proto)) {
	f(p)
	for _, q := range p.protos {
		q.each(f)
	}
}
