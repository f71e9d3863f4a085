package shdict

// slab accounts for memory as nginx's slab allocator does, so that a
// dictionary holds as many keys here as it would there, and is full at the
// same moment:
//
//	page 4096 bytes | objects of one power of two each, or part of a big one
//
// Nothing is stored in it; it only says whether there is room.
type slab struct {
	free    []bool // by page
	nfree   int
	hint    int // no page below it is free
	partial [12]*page
}

// page holds objects of 1<<shift bytes each.
type page struct {
	index      int
	shift      uint
	used, max  int
	prev, next *page // in partial, while not full
	listed     bool
}

// chunk is what alloc gave: an object in a page, or whole pages.
type chunk struct {
	page  *page
	first int // of whole pages
	pages int
}

const (
	pageSize  = 4096
	maxObject = pageSize / 2
	minShift  = 3
	// What nginx keeps for itself in a zone, and per page.
	poolHeader = 704
	pageHeader = 24
	// The dictionary's own head and the zone's name for the log.
	shctxSize  = 80
	logCtxSize = 26
)

func newSlab(size int64, name string) *slab {
	pages := int((size - poolHeader) / (pageSize + pageHeader))
	start := (int64(poolHeader+pages*pageHeader) + pageSize - 1) / pageSize * pageSize
	if room := int((size - start) / pageSize); pages > room {
		pages = room
	}
	s := &slab{free: make([]bool, max(pages, 0)), nfree: max(pages, 0)}
	for i := range s.free {
		s.free[i] = true
	}
	s.alloc(shctxSize)
	s.alloc(logCtxSize + len(name))
	return s
}

func (s *slab) freeBytes() int64 { return int64(s.nfree) * pageSize }

// alloc finds room for n bytes.
func (s *slab) alloc(n int) (chunk, bool) {
	if n > maxObject {
		pages := (n + pageSize - 1) / pageSize
		first := s.takePages(pages)
		return chunk{first: first, pages: pages}, first >= 0
	}
	shift := uint(minShift)
	for 1<<shift < n {
		shift++
	}
	p := s.partial[shift]
	if p == nil {
		first := s.takePages(1)
		if first < 0 {
			return chunk{}, false
		}
		p = &page{index: first, shift: shift, max: objectsPerPage(shift)}
		s.list(p)
	}
	p.used++
	if p.used == p.max {
		s.unlist(p)
	}
	return chunk{page: p}, true
}

// objectsPerPage leaves out what the bitmap of a page of small objects takes.
func objectsPerPage(shift uint) int {
	n := pageSize >> shift
	if shift < 6 {
		n -= max(1, n/8>>shift)
	}
	return n
}

func (s *slab) release(c chunk) {
	if c.page == nil {
		s.freePages(c.first, c.pages)
		return
	}
	p := c.page
	if p.used == p.max {
		s.list(p)
	}
	p.used--
	if p.used == 0 {
		s.unlist(p)
		s.freePages(p.index, 1)
	}
}

func (s *slab) list(p *page) {
	p.prev, p.next, p.listed = nil, s.partial[p.shift], true
	if p.next != nil {
		p.next.prev = p
	}
	s.partial[p.shift] = p
}

func (s *slab) unlist(p *page) {
	if !p.listed {
		return
	}
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		s.partial[p.shift] = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	}
	p.prev, p.next, p.listed = nil, nil, false
}

// takePages finds n free pages in a row and gives the first, or -1.
func (s *slab) takePages(n int) int {
	if n > s.nfree {
		return -1
	}
	run := 0
	for i := s.hint; i < len(s.free); i++ {
		if !s.free[i] {
			run = 0
			continue
		}
		run++
		if run < n {
			continue
		}
		first := i - n + 1
		for j := first; j <= i; j++ {
			s.free[j] = false
		}
		s.nfree -= n
		if first == s.hint {
			s.hint = i + 1
		}
		return first
	}
	return -1
}

func (s *slab) freePages(first, n int) {
	for i := first; i < first+n; i++ {
		s.free[i] = true
	}
	s.nfree += n
	s.hint = min(s.hint, first)
}
