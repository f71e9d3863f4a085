package vm

import (
	"math"
	"unsafe"
)

// execute runs the Lua function in cur's top frame, and whatever that calls, until the
// activation is over or an error has to be handled.
//
// Instructions are counted without touching the common path: executed = acc + pc, so a
// jump by j takes j off acc. The count is looked at on backward jumps and calls only.
//
//go:nocheckptr
func (a *activation) execute() outcome {
	var (
		st   = a.state
		t    *Thread
		fn   *Function
		fr   *frame
		regs *[256]Value
		ks   *[65536]Value
		code unsafe.Pointer
		pc   int
		acc  int64
		base int
		i    instr

		// scratch of the slow paths
		x, y, z Value
		nargs   int
		cnt     cont
	)

reload: // after anything that may have changed the thread or its top frame
	t = a.cur
	fr = &t.frames[t.nf-1]
	fn = fr.fn
	base = int(fr.base)
	regs = (*[256]Value)(unsafe.Pointer(&t.stack[base]))
	ks = (*[65536]Value)(unsafe.Pointer(unsafe.SliceData(fn.proto.consts)))
	code = unsafe.Pointer(unsafe.SliceData(fn.proto.code))
	pc = int(fr.pc)
	acc = st.exec - int64(pc)

	for {
		i = *(*instr)(unsafe.Add(code, uintptr(pc)<<3))
		pc++
		switch i.op() {
		case opMOV:
			regs[i.a()] = regs[uint8(i.b())]
		case opLOADK:
			regs[i.a()] = ks[i.b()]
		case opKPRI:
			regs[i.a()].n = uint64(i.b())
		case opKNIL:
			for r := int(i.a()); r <= int(i.b()); r++ {
				regs[r&255] = Nil
			}
		case opNOT:
			n := tagFalse
			if regs[uint8(i.b())].n <= tagFalse {
				n = tagTrue
			}
			regs[i.a()].n = n
		case opUNM:
			if v := &regs[uint8(i.b())]; v.n >= minNumber {
				regs[i.a()].n = ^math.Float64bits(-v.float())
				continue
			}
			x = regs[uint8(i.b())]
			y = x
			goto arithmetic
		case opLEN:
			v := regs[uint8(i.b())]
			if v.n == tagTable {
				regs[i.a()].n = ^math.Float64bits(float64(v.table().Len()))
				continue
			}
			if v.isStr() {
				regs[i.a()].n = ^math.Float64bits(float64(len(v.str())))
				continue
			}
			fr.pc = int32(pc)
			x = t.eventOf(v, evLen)
			if x.n == tagNil {
				t.opError("get length of", v, int(uint8(i.b())))
			}
			y, z, nargs = v, Nil, 2
			goto callResult

		case opADD:
			b, c := &regs[uint8(i.b())], &regs[uint8(i.c())]
			if b.n >= minNumber && c.n >= minNumber {
				regs[i.a()].n = ^math.Float64bits(b.float() + c.float())
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opSUB:
			b, c := &regs[uint8(i.b())], &regs[uint8(i.c())]
			if b.n >= minNumber && c.n >= minNumber {
				regs[i.a()].n = ^math.Float64bits(b.float() - c.float())
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opMUL:
			b, c := &regs[uint8(i.b())], &regs[uint8(i.c())]
			if b.n >= minNumber && c.n >= minNumber {
				regs[i.a()].n = ^math.Float64bits(b.float() * c.float())
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opDIV:
			b, c := &regs[uint8(i.b())], &regs[uint8(i.c())]
			if b.n >= minNumber && c.n >= minNumber {
				regs[i.a()].n = ^math.Float64bits(b.float() / c.float())
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opMOD:
			b, c := &regs[uint8(i.b())], &regs[uint8(i.c())]
			if b.n >= minNumber && c.n >= minNumber {
				regs[i.a()].n = ^math.Float64bits(luaMod(b.float(), c.float()))
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opPOW:
			b, c := &regs[uint8(i.b())], &regs[uint8(i.c())]
			if b.n >= minNumber && c.n >= minNumber {
				regs[i.a()] = Number(luaPow(b.float(), c.float()))
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opADDK:
			b, c := &regs[uint8(i.b())], &ks[i.c()]
			if b.n >= minNumber {
				regs[i.a()].n = ^math.Float64bits(b.float() + c.float())
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opSUBK:
			b, c := &regs[uint8(i.b())], &ks[i.c()]
			if b.n >= minNumber {
				regs[i.a()].n = ^math.Float64bits(b.float() - c.float())
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opMULK:
			b, c := &regs[uint8(i.b())], &ks[i.c()]
			if b.n >= minNumber {
				regs[i.a()].n = ^math.Float64bits(b.float() * c.float())
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opDIVK:
			b, c := &regs[uint8(i.b())], &ks[i.c()]
			if b.n >= minNumber {
				regs[i.a()].n = ^math.Float64bits(b.float() / c.float())
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opMODK:
			b, c := &regs[uint8(i.b())], &ks[i.c()]
			if b.n >= minNumber {
				regs[i.a()].n = ^math.Float64bits(luaMod(b.float(), c.float()))
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opPOWK:
			b, c := &regs[uint8(i.b())], &ks[i.c()]
			if b.n >= minNumber {
				regs[i.a()] = Number(luaPow(b.float(), c.float()))
				continue
			}
			x, y = *b, *c
			goto arithmetic
		case opKADD, opKSUB, opKMUL, opKDIV, opKMOD, opKPOW:
			x, y = ks[i.b()], regs[uint8(i.c())]
			if y.n >= minNumber {
				regs[i.a()] = Number(arith(binop(i.op()-opKADD), x.float(), y.float()))
				continue
			}
			goto arithmetic

		case opCAT:
			fr.pc = int32(pc)
			if v, ok := t.concatStrings(base+int(i.b()), base+int(i.c())); ok {
				regs[i.a()] = v
				continue
			}
			st.exec = acc + int64(pc)
			if o := a.concat(base + int(i.c())); o != goOn {
				return o
			}
			goto reload

		case opUGET:
			regs[i.a()] = *fn.up[i.b()].v
		case opUSETV:
			*fn.up[i.a()].v = regs[uint8(i.b())]
		case opUSETK:
			*fn.up[i.a()].v = ks[i.b()]
		case opUCLO:
			if t.open != nil {
				t.closeUpvals(base + int(i.a()))
			}
			goto jump
		case opFNEW:
			fr.pc = int32(pc)
			regs[i.a()] = t.newClosure(fn, fn.proto.protos[i.b()], base)
		case opTNEW:
			fr.pc = int32(pc)
			tab := NewTable(int(i.b()), int(i.c()))
			tab.arr = tab.arr[:cap(tab.arr)] // nils, as LuaJIT: a constructor's holes count
			regs[i.a()] = tab.Value()
			acc += tab.footprint() >> 9
			t.charge(tableBytes + tab.footprint())
		case opTDUP:
			fr.pc = int32(pc)
			tab := fn.proto.templates[i.b()].clone()
			regs[i.a()] = tab.Value()
			acc += tab.footprint() >> 9
			t.charge(tableBytes + tab.footprint())

		case opGGET:
			k := &ks[i.b()]
			if nodes := fn.env.nodes; len(nodes) != 0 { // probe by hand: execute is too big for the inliner
				first := unsafe.Pointer(unsafe.SliceData(nodes))
				if at := (*node)(unsafe.Add(first, uintptr(fn.proto.hashes[i.b()]&uint32(len(nodes)-1))*unsafe.Sizeof(node{}))).head; at != 0 {
					n := (*node)(unsafe.Add(first, uintptr(at-1)*unsafe.Sizeof(node{})))
					if k := &ks[i.b()]; n.key.p == k.p && n.key.n == k.n && n.val.n != tagNil {
						regs[i.a()] = n.val
						continue
					}
				}
			}
			if n := fn.env.findStr(*k, fn.proto.hashes[i.b()]); n != nil && n.val.n != tagNil {
				regs[i.a()] = n.val
				continue
			}
			if fn.env.meta == nil {
				regs[i.a()] = Nil
				continue
			}
			x, y, nargs = fn.env.Value(), *k, -1
			goto indexConst
		case opGSET:
			k := &ks[i.b()]
			env := fn.env
			if n := env.findStr(*k, fn.proto.hashes[i.b()]); n != nil && n.val.n != tagNil {
				n.val = clean(regs[i.a()])
				env.absent = 0
				continue
			}
			fr.pc = int32(pc)
			if env.watched {
				t.globalWrite(k.str())
			}
			x, y, z, nargs = env.Value(), *k, regs[i.a()], -1
			goto setIndex

		case opTGETV:
			b, c := &regs[uint8(i.b())], &regs[uint8(i.c())]
			if b.n == tagTable {
				tab := b.table()
				if c.n >= minNumber {
					f := c.float()
					if k := int(f); uint(k-1) < uint(len(tab.arr)) && float64(k) == f {
						if v := &tab.arr[k-1]; v.n != tagNil {
							regs[i.a()] = *v
							continue
						}
					}
				} else if c.n&tagMask == tagStr {
					if n := tab.findStr(*c, hashString(c.str())); n != nil && n.val.n != tagNil {
						regs[i.a()] = n.val
						continue
					}
				}
			}
			x, y, nargs = *b, *c, int(uint8(i.b()))
			goto index
		case opTGETS:
			b := &regs[uint8(i.b())]
			if b.n == tagTable {
				tab := b.table()
				if nodes := tab.nodes; len(nodes) != 0 { // probe by hand: execute is too big for the inliner
					first := unsafe.Pointer(unsafe.SliceData(nodes))
					if at := (*node)(unsafe.Add(first, uintptr(fn.proto.hashes[i.c()]&uint32(len(nodes)-1))*unsafe.Sizeof(node{}))).head; at != 0 {
						n := (*node)(unsafe.Add(first, uintptr(at-1)*unsafe.Sizeof(node{})))
						if k := &ks[i.c()]; n.key.p == k.p && n.key.n == k.n && n.val.n != tagNil {
							regs[i.a()] = n.val
							continue
						}
					}
				}
				if n := tab.findStr(ks[i.c()], fn.proto.hashes[i.c()]); n != nil && n.val.n != tagNil {
					regs[i.a()] = n.val
					continue
				}
				if tab.meta == nil {
					regs[i.a()] = Nil
					continue
				}
			}
			x, y, nargs = *b, ks[i.c()], int(uint8(i.b()))
			goto indexConst
		case opTGETB:
			b := &regs[uint8(i.b())]
			if b.n == tagTable {
				tab := b.table()
				if k := int(i.c()); uint(k-1) < uint(len(tab.arr)) && tab.arr[k-1].n != tagNil {
					regs[i.a()] = tab.arr[k-1]
					continue
				}
			}
			x, y, nargs = *b, Int(int(i.c())), int(uint8(i.b()))
			goto index
		case opSELF:
			b := regs[uint8(i.b())]
			regs[i.a()+1] = b
			k := ks[i.c()]
			h := fn.proto.hashes[i.c()]
			if b.n == tagTable {
				tab := b.table()
				if n := tab.findStr(k, h); n != nil && n.val.n != tagNil {
					regs[i.a()] = n.val
					continue
				}
				if m := tab.meta; m != nil { // the usual class: __index is a table
					if n := m.findStr(eventKeys[evIndex], eventHashes[evIndex]); n != nil && n.val.n == tagTable {
						if n := n.val.table().findStr(k, h); n != nil && n.val.n != tagNil {
							regs[i.a()] = n.val
							continue
						}
					}
				}
			} else if b.isStr() && st.strMeta != nil {
				if ix := st.strMeta.event(evIndex); ix.n == tagTable {
					if n := ix.table().findStr(k, h); n != nil && n.val.n != tagNil {
						regs[i.a()] = n.val
						continue
					}
				}
			}
			x, y, nargs = b, k, int(uint8(i.b()))
			goto indexConst

		case opTSETV:
			b, c := &regs[uint8(i.b())], &regs[uint8(i.c())]
			if b.n == tagTable {
				tab := b.table()
				if c.n >= minNumber {
					f := c.float()
					if k := int(f); uint(k-1) < uint(len(tab.arr)) && float64(k) == f && (tab.meta == nil || tab.arr[k-1].n != tagNil) {
						if v := &regs[i.a()]; v.n >= minNumber && tab.arr[k-1].n >= minNumber {
							tab.arr[k-1].n = v.n
						} else {
							tab.arr[k-1] = clean(*v)
						}
						continue
					} else if k == len(tab.arr)+1 && k <= cap(tab.arr) && !tab.intKeys && tab.meta == nil && float64(k) == f && regs[i.a()].n != tagNil {
						tab.arr = append(tab.arr, clean(regs[i.a()]))
						continue
					}
				} else if c.n&tagMask == tagStr {
					if n := tab.findStr(*c, hashString(c.str())); n != nil && (n.val.n != tagNil || tab.meta == nil) {
						n.val = clean(regs[i.a()])
						tab.absent = 0
						continue
					}
				}
			}
			x, y, z, nargs = *b, *c, regs[i.a()], int(uint8(i.b()))
			goto setIndex
		case opTSETS:
			b := &regs[uint8(i.b())]
			if b.n == tagTable {
				tab := b.table()
				if nodes := tab.nodes; len(nodes) != 0 { // probe by hand: execute is too big for the inliner
					first := unsafe.Pointer(unsafe.SliceData(nodes))
					if at := (*node)(unsafe.Add(first, uintptr(fn.proto.hashes[i.c()]&uint32(len(nodes)-1))*unsafe.Sizeof(node{}))).head; at != 0 {
						n := (*node)(unsafe.Add(first, uintptr(at-1)*unsafe.Sizeof(node{})))
						if k := &ks[i.c()]; n.key.p == k.p && n.key.n == k.n && n.val.n != tagNil {
							if v := &regs[i.a()]; v.n >= minNumber && n.val.n >= minNumber {
								n.val.n = v.n
								continue
							}
						}
					}
				}
				n := tab.findStr(ks[i.c()], fn.proto.hashes[i.c()])
				if n != nil && (n.val.n != tagNil || tab.meta == nil) {
					tab.absent = 0
					if v := &regs[i.a()]; v.n >= minNumber && n.val.n >= minNumber {
						n.val.n = v.n
					} else {
						n.val = clean(*v)
					}
					continue
				}
			}
			x, y, z, nargs = *b, ks[i.c()], regs[i.a()], int(uint8(i.b()))
			goto setIndex
		case opTSETB:
			b := &regs[uint8(i.b())]
			if b.n == tagTable {
				tab := b.table()
				k := int(i.c())
				if uint(k-1) < uint(len(tab.arr)) && (tab.meta == nil || tab.arr[k-1].n != tagNil) {
					tab.arr[k-1] = clean(regs[i.a()])
					continue
				} else if k == len(tab.arr)+1 && k <= cap(tab.arr) && !tab.intKeys && tab.meta == nil && regs[i.a()].n != tagNil {
					tab.arr = append(tab.arr, clean(regs[i.a()]))
					continue
				}
			}
			x, y, z, nargs = *b, Int(int(i.c())), regs[i.a()], int(uint8(i.b()))
			goto setIndex
		case opTSETM:
			fr.pc = int32(pc)
			t.setMulti(regs[i.a()-1].table(), int(ks[i.b()].float()), base+int(i.a()))

		// ---- comparisons that jump

		case opLT:
			b, c := &regs[i.a()], &regs[uint8(i.b())]
			if b.n >= minNumber && c.n >= minNumber {
				if b.float() < c.float() {
					goto jump
				}
				continue
			}
			x, y = *b, *c
			goto compare
		case opGE:
			b, c := &regs[i.a()], &regs[uint8(i.b())]
			if b.n >= minNumber && c.n >= minNumber {
				if !(b.float() < c.float()) {
					goto jump
				}
				continue
			}
			x, y = *b, *c
			goto compare
		case opLE:
			b, c := &regs[i.a()], &regs[uint8(i.b())]
			if b.n >= minNumber && c.n >= minNumber {
				if b.float() <= c.float() {
					goto jump
				}
				continue
			}
			x, y = *b, *c
			goto compare
		case opGT:
			b, c := &regs[i.a()], &regs[uint8(i.b())]
			if b.n >= minNumber && c.n >= minNumber {
				if !(b.float() <= c.float()) {
					goto jump
				}
				continue
			}
			x, y = *b, *c
			goto compare
		case opLTK:
			if b := &regs[i.a()]; b.n >= minNumber {
				if b.float() < ks[i.b()].float() {
					goto jump
				}
				continue
			}
			x, y = regs[i.a()], ks[i.b()]
			goto compare
		case opGEK:
			if b := &regs[i.a()]; b.n >= minNumber {
				if !(b.float() < ks[i.b()].float()) {
					goto jump
				}
				continue
			}
			x, y = regs[i.a()], ks[i.b()]
			goto compare
		case opLEK:
			if b := &regs[i.a()]; b.n >= minNumber {
				if b.float() <= ks[i.b()].float() {
					goto jump
				}
				continue
			}
			x, y = regs[i.a()], ks[i.b()]
			goto compare
		case opGTK:
			if b := &regs[i.a()]; b.n >= minNumber {
				if !(b.float() <= ks[i.b()].float()) {
					goto jump
				}
				continue
			}
			x, y = regs[i.a()], ks[i.b()]
			goto compare
		case opKLT:
			if b := &regs[i.a()]; b.n >= minNumber {
				if ks[i.b()].float() < b.float() {
					goto jump
				}
				continue
			}
			x, y = ks[i.b()], regs[i.a()]
			goto compare
		case opKGE:
			if b := &regs[i.a()]; b.n >= minNumber {
				if !(ks[i.b()].float() < b.float()) {
					goto jump
				}
				continue
			}
			x, y = ks[i.b()], regs[i.a()]
			goto compare
		case opKLE:
			if b := &regs[i.a()]; b.n >= minNumber {
				if ks[i.b()].float() <= b.float() {
					goto jump
				}
				continue
			}
			x, y = ks[i.b()], regs[i.a()]
			goto compare
		case opKGT:
			if b := &regs[i.a()]; b.n >= minNumber {
				if !(ks[i.b()].float() <= b.float()) {
					goto jump
				}
				continue
			}
			x, y = ks[i.b()], regs[i.a()]
			goto compare
		case opEQ, opNE:
			b, c := regs[i.a()], regs[uint8(i.b())]
			if RawEqual(b, c) {
				if i.op() == opEQ {
					goto jump
				}
				continue
			}
			if b.n == c.n && (b.n == tagTable || b.n == tagUserdata) {
				if mm := t.equalSlow(b, c); mm.n != tagNil {
					fr.pc = int32(pc)
					x, y, z, nargs, cnt = mm, b, c, 2, contCmp
					goto callMeta
				}
			}
			if i.op() == opNE {
				goto jump
			}
		case opEQK:
			if b, c := &regs[i.a()], &ks[i.b()]; b.n == c.n && (b.p == c.p || b.n >= minNumber || b.n <= tagTrue || b.str() == c.str()) {
				if b.n != ^math.Float64bits(nanNum) {
					goto jump
				}
			} else if b.n >= minNumber && c.n >= minNumber && b.float() == c.float() {
				goto jump
			}
		case opNEK:
			if b, c := &regs[i.a()], &ks[i.b()]; b.n == c.n && (b.p == c.p || b.n >= minNumber || b.n <= tagTrue || b.str() == c.str()) {
				if b.n == ^math.Float64bits(nanNum) {
					goto jump
				}
			} else if !(b.n >= minNumber && c.n >= minNumber && b.float() == c.float()) {
				goto jump
			}
		case opISTC:
			if v := &regs[uint8(i.b())]; v.n > tagFalse {
				regs[i.a()] = *v
				goto jump
			}
		case opISFC:
			if v := &regs[uint8(i.b())]; v.n <= tagFalse {
				regs[i.a()] = *v
				goto jump
			}
		case opIST:
			if regs[uint8(i.b())].n > tagFalse {
				goto jump
			}
		case opISF:
			if regs[uint8(i.b())].n <= tagFalse {
				goto jump
			}
		case opJMP:
			goto jump

		// ---- calls

		case opCALL:
			nargs = int(i.c())
			goto call
		case opCALLM:
			nargs = t.top - (base + int(i.a()) + 1)
			goto call
		case opTAIL:
			nargs = int(i.c())
			goto tail
		case opTAILM:
			nargs = t.top - (base + int(i.a()) + 1)
			goto tail

		case opVARG:
			n, want := max(int(fr.nvar)-fn.proto.nparams, 0), int(i.b())-1
			from := base - n
			to := base + int(i.a())
			if want < 0 {
				if to+n+slack > len(t.stack) {
					fr.pc = int32(pc)
					t.ensure(to, n)
					regs = (*[256]Value)(unsafe.Pointer(&t.stack[base]))
				}
				copy(t.stack[to:to+n], t.stack[from:from+n])
				t.top = to + n
				acc += int64(n) >> 3
			} else {
				for k := 0; k < want; k++ {
					if k < n {
						t.stack[to+k] = t.stack[from+k]
					} else {
						t.stack[to+k] = Nil
					}
				}
			}
		case opRET0:
			if t.open != nil {
				t.closeUpvals(base)
			}
			if fr.cont == contLua && fr.nret <= 1 {
				if fr.nret < 0 {
					t.top = int(fr.ret)
				} else if fr.nret == 1 {
					t.stack[fr.ret].n = tagNil
				}
				goto returned
			}
			nargs = 0
			goto returnMany
		case opRET1:
			if t.open != nil {
				t.closeUpvals(base)
			}
			if fr.cont == contLua {
				if fr.nret == 1 {
					t.stack[fr.ret] = regs[i.a()]
					goto returned
				}
				if fr.nret <= 0 {
					if fr.nret < 0 {
						t.stack[fr.ret] = regs[i.a()]
						t.top = int(fr.ret) + 1
					}
					goto returned
				}
			}
			nargs = 1
			goto returnMany
		case opRET:
			if t.open != nil {
				t.closeUpvals(base)
			}
			nargs = int(i.b())
			goto returnMany
		case opRETM:
			if t.open != nil {
				t.closeUpvals(base)
			}
			nargs = t.top - (base + int(i.a()))
			goto returnMany

		// ---- loops

		case opFORI:
			r := (*[4]Value)(unsafe.Pointer(&regs[i.a()]))
			if r[0].n < minNumber || r[1].n < minNumber || r[2].n < minNumber {
				fr.pc = int32(pc)
				t.forPrepare(r)
			}
			ix, stop := r[0].float(), r[1].float()
			if r[2].n>>63 == 1 { // the complement: step is not negative
				if !(ix <= stop) {
					goto jump
				}
			} else if !(ix >= stop) {
				goto jump
			}
			r[3].n = r[0].n
		case opFORL:
			r := (*[4]Value)(unsafe.Pointer(&regs[i.a()]))
			ix := r[0].float() + r[2].float()
			if r[2].n>>63 == 1 {
				if !(ix <= r[1].float()) {
					continue
				}
			} else if !(ix >= r[1].float()) {
				continue
			}
			n := ^math.Float64bits(ix)
			r[0].n = n
			r[3].n = n
			goto jump
		case opITERP:
			regs[i.a()-1] = Int(0)
			goto jump
		case opITERC:
			f := regs[i.a()-4]
			if f.n == tagFunc && f.fn().gofn != nil && regs[i.a()-3].n == tagTable {
				tab := regs[i.a()-3].table()
				switch f.fn().gofn.special {
				case spNext:
					at := int(regs[i.a()-1].float())
					if at == 0 && regs[i.a()-2].n != tagNil {
						at = tab.place(regs[i.a()-2])
						if at < 0 {
							fr.pc = int32(pc)
							t.raiseAt(errBadNext.Error())
						}
					}
					next, k, v := tab.nextAt(at)
					if next < 0 {
						acc += int64(len(tab.arr)+int(tab.used)-at) >> 2
						continue
					}
					acc += int64(next-at) >> 2
					regs[i.a()-1].n = ^math.Float64bits(float64(next))
					regs[i.a()-2] = k
					regs[i.a()] = k
					if want := int(i.b()); want > 1 {
						regs[i.a()+1] = v
						for ; want > 2; want-- {
							regs[int(i.a())+want-1] = Nil
						}
					}
					goto iterJump
				case spIpairs:
					if c := regs[i.a()-2]; c.n >= minNumber {
						k := int(c.float()) + 1
						v := tab.GetInt(k)
						if v.n == tagNil {
							continue
						}
						c = Int(k)
						regs[i.a()-2] = c
						regs[i.a()] = c
						if want := int(i.b()); want > 1 {
							regs[i.a()+1] = v
							for ; want > 2; want-- {
								regs[int(i.a())+want-1] = Nil
							}
						}
						goto iterJump
					}
				}
			}
			{
				at := base + int(i.a())
				fr.pc = int32(pc)
				st.exec = acc + int64(pc)
				fidx := base + fn.proto.frameSize
				t.ensure(fidx, 4)
				t.stack[fidx] = t.stack[at-4]
				t.stack[fidx+1] = t.stack[at-3]
				t.stack[fidx+2] = t.stack[at-2]
				if t.stack[fidx].n != tagFunc && t.eventOf(t.stack[fidx], evCall).n != tagFunc {
					t.opError("call", t.stack[fidx], -1)
				}
				if st.exec >= st.limit.Load() {
					t.look()
				}
				if o := a.precall(fidx, 2, at, int(i.b()), contIter); o != goOn {
					return o
				}
				goto reload
			}
		default:
			panic("bad opcode")
		}
		continue

	iterJump: // as jump; the distance is where it always is
	jump:
		{
			j := i.j()
			pc += j
			acc -= int64(j)
			if j < 0 {
				if n := acc + int64(pc); n >= st.limit.Load() {
					fr.pc = int32(pc)
					st.exec = n
					t.look()
					acc = st.exec - int64(pc)
				}
			}
			continue
		}

	arithmetic: // R[A] = x op y, not both numbers
		{
			fr.pc = int32(pc)
			rb, rc := -1, -1
			op, ev := binAdd, evUnm
			switch o := i.op(); {
			case o == opUNM:
				rb, rc = int(uint8(i.b())), int(uint8(i.b()))
			case o < opADDK:
				op, rb, rc = binop(o-opADD), int(uint8(i.b())), int(uint8(i.c()))
			case o < opKADD:
				op, rb = binop(o-opADDK), int(uint8(i.b()))
			default:
				op, rc = binop(o-opKADD), int(uint8(i.c()))
			}
			if i.op() != opUNM {
				ev = evAdd + event(op)
			}
			res, mm := t.arithSlow(op, ev, x, y, rb, rc)
			if mm.n == tagNil {
				regs[i.a()] = res
				continue
			}
			x, y, z, nargs = mm, x, y, 2
			goto callResult
		}

	compare: // x < y or x <= y, by the instruction; then the jump
		{
			fr.pc = int32(pc)
			st.exec = acc + int64(pc)
			op := i.op()
			res, mm, negate := t.lessSlow(x, y, op&2 != 0)
			acc = st.exec - int64(pc)
			if mm.n == tagNil {
				if res != (op&1 == 1) {
					goto jump
				}
				continue
			}
			cnt = contCmp
			if negate {
				x, y, cnt = y, x, contCmpNot
			}
			x, y, z, nargs = mm, x, y, 2
			goto callMeta
		}

	indexConst: // as index; y is a constant string, so its hash is known
		{
			fr.pc = int32(pc)
			h := i.c()
			if i.op() == opGGET {
				h = i.b()
			}
			v, mm, self := t.indexStr(x, y, fn.proto.hashes[h], nargs)
			if mm.n == tagNil {
				regs[i.a()] = v
				continue
			}
			x, y, z, nargs = mm, self, y, 2
			goto callResult
		}

	index: // R[A] = x[y]; nargs is the register of x
		{
			fr.pc = int32(pc)
			v, mm, self := t.indexSlow(x, y, nargs)
			if mm.n == tagNil {
				regs[i.a()] = v
				continue
			}
			x, y, z, nargs = mm, self, y, 2
			goto callResult
		}

	setIndex: // x[y] = z; nargs is the register of x
		{
			fr.pc = int32(pc)
			st.exec = acc + int64(pc)
			mm, self := t.setSlow(x, y, z, nargs)
			if mm.n == tagNil {
				continue
			}
			fidx := base + fn.proto.frameSize
			t.ensure(fidx, 4)
			t.stack[fidx], t.stack[fidx+1], t.stack[fidx+2], t.stack[fidx+3] = mm, self, y, z
			if o := a.precall(fidx, 3, fidx, 0, contLua); o != goOn {
				return o
			}
			goto reload
		}

	callResult: // R[A] = x(y, z)
		cnt = contLua
	callMeta: // x(y, z) with cnt deciding on the result
		{
			fr.pc = int32(pc)
			st.exec = acc + int64(pc)
			if st.exec >= st.limit.Load() {
				t.look()
			}
			fidx := base + fn.proto.frameSize
			t.ensure(fidx, 4)
			t.stack[fidx], t.stack[fidx+1], t.stack[fidx+2] = x, y, z
			if o := a.precall(fidx, nargs, base+int(i.a()), 1, cnt); o != goOn {
				return o
			}
			goto reload
		}

	call: // R[A](R[A+1...]), nargs of them
		{
			f := &regs[i.a()]
			fidx := base + int(i.a())
			fr.pc = int32(pc)
			st.exec = acc + int64(pc)
			if f.n == tagFunc {
				callee := f.fn()
				if p := callee.proto; p != nil {
					if st.exec >= st.limit.Load() {
						t.look()
					}
					nb := fidx + 1
					if p.vararg || nb+p.frameSize+slack > len(t.stack) || t.nf == len(t.frames) {
						t.enterLua(callee, fidx, nargs, fidx, int(i.b())-1, contLua)
						goto reload
					}
					for k := nargs; k < p.nparams; k++ {
						t.stack[nb+k].n = tagNil
					}
					fr = &t.frames[t.nf]
					t.nf++
					fr.fn = callee
					fr.base, fr.ret, fr.pc, fr.nret, fr.nvar = int32(nb), int32(fidx), 0, int32(i.b())-1, 0
					fr.cont = contLua
					fn = callee
					base = nb
					regs = (*[256]Value)(unsafe.Pointer(&t.stack[base]))
					ks = (*[65536]Value)(unsafe.Pointer(unsafe.SliceData(p.consts)))
					code = unsafe.Pointer(unsafe.SliceData(p.code))
					pc = 0
					acc = st.exec
					continue
				} else if g := callee.gofn; g.special == spNone || g.special > spStop {
					if st.exec >= st.limit.Load() {
						t.look()
					}
					top := fidx + 1 + nargs
					t.ensure(top, 0)
					nf := t.pushFrame()
					*nf = frame{fn: callee, base: int32(fidx + 1), ret: int32(fidx)}
					t.base, t.top = fidx+1, top
					n := g.fn(t)
					t.nf--
					fr = &t.frames[t.nf-1]
					acc = st.exec - int64(pc)
					regs = (*[256]Value)(unsafe.Pointer(&t.stack[base]))
					from := t.top - n
					switch want := int(i.b()) - 1; {
					case want == 1:
						if n > 0 {
							t.stack[fidx] = t.stack[from]
						} else {
							t.stack[fidx].n = tagNil
						}
					case want == 0:
					default:
						t.settle(from, n, fidx, want)
					}
					continue
				}
			}
			if st.exec >= st.limit.Load() {
				t.look()
			}
			if o := a.precall(fidx, nargs, fidx, int(i.b())-1, contLua); o != goOn {
				return o
			}
			goto reload
		}

	tail: // return R[A](R[A+1...]), nargs of them
		{
			fidx := base + int(i.a())
			fr.pc = int32(pc)
			st.exec = acc + int64(pc)
			if st.exec >= st.limit.Load() {
				t.look()
			}
			f := t.stack[fidx]
			if f.n != tagFunc && t.eventOf(f, evCall).n != tagFunc {
				t.callError(f, fidx)
			}
			if t.open != nil {
				t.closeUpvals(base)
			}
			to := base - 1
			if fn.proto.vararg {
				to -= int(fr.nvar)
			}
			copy(t.stack[to:to+nargs+1], t.stack[fidx:fidx+nargs+1])
			old := *fr
			t.nf--
			if o := a.precall(to, nargs, int(old.ret), int(old.nret), old.cont); o != goOn {
				return o
			}
			goto reload
		}

	returnMany: // nargs values from R[A] on
		{
			st.exec = acc + int64(pc)
			from := base + int(i.a())
			if fr.cont == contLua {
				t.settle(from, nargs, int(fr.ret), int(fr.nret))
				t.nf--
				goto reload
			}
			if o := a.finish(from, nargs); o != goOn {
				return o
			}
			goto reload
		}

	returned: // the results are in place, the caller is a Lua function
		{
			acc += int64(pc)
			t.nf--
			fr = &t.frames[t.nf-1]
			fn = fr.fn
			base = int(fr.base)
			regs = (*[256]Value)(unsafe.Pointer(&t.stack[base]))
			ks = (*[65536]Value)(unsafe.Pointer(unsafe.SliceData(fn.proto.consts)))
			code = unsafe.Pointer(unsafe.SliceData(fn.proto.code))
			pc = int(fr.pc)
			acc -= int64(pc)
			continue
		}
	}
}
