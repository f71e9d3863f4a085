package shdict

// Push puts v at an end of the list under key, which it makes if it must, and
// gives the list's new length. A full dictionary is an error here: nothing is
// pushed out for a list.
func (d *Dict) Push(key string, v Value, left bool) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.ms()
	d.expire(false, now)
	e, dead := d.lookup(key, now)
	if e != nil && !dead && e.value.Kind != list {
		return 0, ErrNotList
	}
	if dead {
		d.remove(e)
		e = nil
	}
	if e == nil {
		room, ok := d.slab.alloc((nodeSize + len(key) + listHead + 15) &^ 15)
		if !ok {
			return 0, ErrNoMemory
		}
		e = d.insert(key, Value{Kind: list}, 0, 0, room)
	}
	room, ok := d.slab.alloc(elementSize + v.size())
	if !ok {
		if e.len() == 0 {
			d.remove(e)
		}
		return 0, ErrNoMemory
	}
	if left {
		e.pushFront(element{v, room})
	} else {
		e.elements = append(e.elements, element{v, room})
	}
	return e.len(), nil
}

func (e *entry) len() int { return len(e.elements) - e.first }

// pushFront uses the room that pops left, or makes as much as there are
// elements, so that pushing is cheap on average.
func (e *entry) pushFront(el element) {
	if e.first == 0 {
		n := len(e.elements)
		grown := make([]element, 2*n+4)
		e.first = len(grown) - n
		copy(grown[e.first:], e.elements)
		e.elements = grown
	}
	e.first--
	e.elements[e.first] = el
}

// Pop takes the value at an end of a list; Kind None means there is no list.
// An empty list is gone.
func (d *Dict) Pop(key string, left bool) (Value, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.ms()
	d.expire(false, now)
	e, dead := d.lookup(key, now)
	if e == nil || dead {
		return Value{}, nil
	}
	if e.value.Kind != list {
		return Value{}, ErrNotList
	}
	var el element
	if left {
		el = e.elements[e.first]
		e.elements[e.first] = element{}
		e.first++
	} else {
		last := len(e.elements) - 1
		el = e.elements[last]
		e.elements[last] = element{}
		e.elements = e.elements[:last]
	}
	d.slab.release(el.room)
	if e.len() == 0 {
		d.remove(e)
	} else if e.first > 64 && e.first > len(e.elements)/2 {
		e.elements = append([]element(nil), e.elements[e.first:]...)
		e.first = 0
	}
	return el.value, nil
}

// Len is how long the list under key is.
func (d *Dict) Len(key string) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.ms()
	d.expire(false, now)
	e, dead := d.lookup(key, now)
	if e == nil || dead {
		return 0, nil
	}
	if e.value.Kind != list {
		return 0, ErrNotList
	}
	return e.len(), nil
}
