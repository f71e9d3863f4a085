package pipeline

// fifo is a growing ring of calls; it shrinks by being replaced when empty.
type fifo struct {
	ring []*Call
	head int
	n    int
}

func (f *fifo) push(c *Call) {
	if f.n == len(f.ring) {
		bigger := make([]*Call, max(64, 2*f.n))
		for i := range f.n {
			bigger[i] = f.at(i)
		}
		f.ring, f.head = bigger, 0
	}
	f.ring[(f.head+f.n)&(len(f.ring)-1)] = c
	f.n++
}

func (f *fifo) at(i int) *Call { return f.ring[(f.head+i)&(len(f.ring)-1)] }

func (f *fifo) pop() *Call {
	c := f.ring[f.head]
	f.ring[f.head] = nil
	f.head = (f.head + 1) & (len(f.ring) - 1)
	f.n--
	return c
}
