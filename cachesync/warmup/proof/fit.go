package proof

import "fmt"

// ItemBytes is what memcached 1.6 takes for an item: header 48, CAS 8, key and
// its NUL, value and its line end, rounded up to a chunk of its slab class (96
// bytes growing by 1.25, multiples of 8), and 12 for the hash table.
func ItemBytes(key, value int) int64 {
	need := int64(48 + 8 + key + 1 + value + 2)
	chunk := int64(96)
	for chunk < need {
		next := (chunk*5/4 + 7) / 8 * 8
		if next > 512<<10 {
			// Larger items are cut into chunks of half a megabyte and a rest.
			return need + 256 + 12
		}
		chunk = next
	}
	return chunk + 12
}

// Room is what one node has.
type Room struct {
	Node  string
	Limit int64 // bytes it may use
	Used  int64
	Share float64 // of the keys
}

// Fit is the arithmetic of a set and the nodes of a region.
type Fit struct {
	Records int64
	Each    int64   // bytes, overhead included
	There   float64 // fraction that is there already and needs no further room
}

// usable leaves room for pages that are not full and for everything else.
const usable = 0.95

// Check returns why the set does not fit, with the arithmetic; "" when it does.
func (f Fit) Check(rooms []Room) string {
	for _, r := range rooms {
		need := int64(float64(f.Records) * r.Share * (1 - f.There) * float64(f.Each))
		free := int64(float64(r.Limit)*usable) - r.Used
		if need > free {
			return fmt.Sprintf("%s: %d records x %.0f %% of the keys x %d bytes = %s needed; %s x %.0f %% - %s used = %s free",
				r.Node, f.Records, 100*r.Share*(1-f.There), f.Each, Bytes(need), Bytes(r.Limit), 100*usable, Bytes(r.Used), Bytes(free))
		}
	}
	return ""
}

// Bytes is n with a unit.
func Bytes(n int64) string {
	switch a := max(n, -n); {
	case a >= 10<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case a >= 10<<20:
		return fmt.Sprintf("%.0f MB", float64(n)/(1<<20))
	case a >= 10<<10:
		return fmt.Sprintf("%.0f KB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
