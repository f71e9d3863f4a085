package vm

// instr is one instruction:
//
//	bits  0..7   op
//	bits  8..15  A   register
//	bits 16..31  B   register, constant or count
//	bits 32..47  C   register, constant or count
//	bits 32..63  J   signed distance of a jump, instead of C
type instr uint64

type opcode uint8

func (i instr) op() opcode { return opcode(i) }
func (i instr) a() uint8   { return uint8(i >> 8) }
func (i instr) b() uint16  { return uint16(i >> 16) }
func (i instr) c() uint16  { return uint16(i >> 32) }
func (i instr) j() int     { return int(int32(i >> 32)) }

func makeABC(op opcode, a, b, c int) instr {
	return instr(op) | instr(uint8(a))<<8 | instr(uint16(b))<<16 | instr(uint16(c))<<32
}

func makeABJ(op opcode, a, b, j int) instr {
	return instr(op) | instr(uint8(a))<<8 | instr(uint16(b))<<16 | instr(uint32(int32(j)))<<32
}

func (i *instr) setOp(op opcode) { *i = *i&^0xff | instr(op) }
func (i *instr) setA(a int)      { *i = *i&^0xff00 | instr(uint8(a))<<8 }
func (i *instr) setB(b int)      { *i = *i&^0xffff0000 | instr(uint16(b))<<16 }
func (i *instr) setJ(j int)      { *i = *i&0xffffffff | instr(uint32(int32(j)))<<32 }

// R is a register, K a constant, U an upvalue. Comparisons jump by J when they hold;
// each stands beside its negation, so that op^1 inverts it.
const (
	opLT    opcode = iota // R[A] < R[B]
	opGE                  // not R[A] < R[B]
	opLE                  // R[A] <= R[B]
	opGT                  // not R[A] <= R[B]
	opLTK                 // R[A] < K[B]
	opGEK                 // not
	opLEK                 // R[A] <= K[B]
	opGTK                 // not
	opKLT                 // K[B] < R[A]
	opKGE                 // not
	opKLE                 // K[B] <= R[A]
	opKGT                 // not
	opEQ                  // R[A] == R[B]
	opNE                  // not
	opEQK                 // R[A] == K[B]
	opNEK                 // not
	opISTC                // R[B]; then R[A] = R[B]
	opISFC                // not R[B]; then R[A] = R[B]
	opIST                 // R[B]
	opISF                 // not R[B]
	opJMP                 // always
	opUCLO                // close upvalues from R[A] on, then jump
	opMOV                 // R[A] = R[B]
	opLOADK               // R[A] = K[B]
	opKPRI                // R[A] = nil, false, true (tag B)
	opKNIL                // R[A..B] = nil
	opNOT                 // R[A] = not R[B]
	opUNM                 // R[A] = -R[B]
	opLEN                 // R[A] = #R[B]
	opADD                 // R[A] = R[B] + R[C], and so on
	opSUB
	opMUL
	opDIV
	opMOD
	opPOW
	opADDK // R[A] = R[B] + K[C], and so on
	opSUBK
	opMULK
	opDIVK
	opMODK
	opPOWK
	opKADD // R[A] = K[B] + R[C], and so on
	opKSUB
	opKMUL
	opKDIV
	opKMOD
	opKPOW
	opCAT   // R[A] = R[B] .. ... .. R[C]
	opUGET  // R[A] = U[B]
	opUSETV // U[A] = R[B]
	opUSETK // U[A] = K[B]
	opFNEW  // R[A] = closure of proto B
	opTNEW  // R[A] = {} with room for B elements and C fields
	opTDUP  // R[A] = copy of template B
	opGGET  // R[A] = G[K[B]]
	opGSET  // G[K[B]] = R[A]
	opTGETV // R[A] = R[B][R[C]]
	opTGETS // R[A] = R[B][K[C]], a string
	opTGETB // R[A] = R[B][C]
	opTSETV // R[B][R[C]] = R[A]
	opTSETS // R[B][K[C]] = R[A]
	opTSETB // R[B][C] = R[A]
	opTSETM // R[A-1][K[B]...] = R[A...] up to top
	opSELF  // R[A+1] = R[B]; R[A] = R[B][K[C]]
	opCALL  // R[A...] = R[A](R[A+1..A+C]); B-1 results, 0: all
	opCALLM // as CALL, the arguments go on up to top
	opTAIL  // return R[A](R[A+1..A+C])
	opTAILM // as TAIL, the arguments go on up to top
	opVARG  // R[A...] = ...; B-1 values, 0: all
	opRET0  // return
	opRET1  // return R[A]
	opRET   // return R[A..A+B-1]
	opRETM  // return R[A..A+B-1] and on up to top
	opFORI  // numeric for: prepare R[A..A+2], copy to R[A+3] or leave by J
	opFORL  // numeric for: step, copy, go on by J
	opITERP // generic for: prepare, jump to the ITERC at J
	opITERC // R[A...A+B-1] = R[A-4](R[A-3], R[A-2]); go on by J unless R[A] is nil
	numOps
)

// noReg as A of a load: the value is wanted only if a jump list asks for it.
const noReg = 255

// opMode tells the tracer of names what an instruction does to registers.
type opMode uint8

const (
	modeNone opMode = iota // writes no register
	modeDst                // writes R[A]
	modeBase               // may write R[A] and all above
)

var opModes = func() (m [numOps]opMode) {
	for op := opMOV; op <= opCAT; op++ {
		m[op] = modeDst
	}
	for _, op := range []opcode{opUGET, opFNEW, opTNEW, opTDUP, opGGET, opTGETV, opTGETS, opTGETB, opISTC, opISFC} {
		m[op] = modeDst
	}
	for _, op := range []opcode{opKNIL, opSELF, opCALL, opCALLM, opTAIL, opTAILM, opVARG, opFORI, opFORL, opITERP, opITERC} {
		m[op] = modeBase
	}
	return
}()
