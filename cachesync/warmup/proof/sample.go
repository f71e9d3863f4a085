package proof

import (
	"cmp"
	"container/heap"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"sluice/cachesync/record"
)

// Entry is a sampled key and the version that was written, or kept, at least.
type Entry struct {
	Key     string         `json:"k"`
	Version record.Version `json:"v"`
	hash    uint64
}

// Sample is the k keys with the smallest hashes. It belongs to one goroutine.
type Sample struct {
	k    int
	heap entries // greatest hash first
	at   map[string]*Entry
	full bool
}

// NewSample keeps k keys.
func NewSample(k int) *Sample { return &Sample{k: k, at: make(map[string]*Entry, k)} }

// Offer takes part in the sampling. A key offered again keeps its highest version.
func (s *Sample) Offer(key string, v record.Version) {
	h := mix(xxhash.Sum64String(key))
	if s.full && h >= s.heap[0].hash {
		if h == s.heap[0].hash {
			s.raise(key, v)
		}
		return
	}
	if s.raise(key, v) {
		return
	}
	e := &Entry{Key: key, Version: v, hash: h}
	s.at[key] = e
	heap.Push(&s.heap, e)
	if len(s.heap) > s.k {
		gone := heap.Pop(&s.heap).(*Entry)
		delete(s.at, gone.Key)
	}
	s.full = len(s.heap) == s.k
}

// mix makes the order of the sample independent of the ring's, which goes by the
// same hash: else the sample would be one arc of the ring, and mostly one
// node's keys. (The finalizer of SplitMix64, Steele et al. 2014.)
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

func (s *Sample) raise(key string, v record.Version) bool {
	e := s.at[key]
	if e != nil {
		e.Version = max(e.Version, v)
	}
	return e != nil
}

// Entries returns the sample, smallest hash first: any prefix is a sample too.
func (s *Sample) Entries() []Entry {
	all := make([]Entry, len(s.heap))
	for i, e := range s.heap {
		all[i] = *e
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.hash, b.hash) })
	return all
}

// Restore puts back what Entries returned in an earlier run. It may be less
// than k only if no more keys were seen.
func (s *Sample) Restore(all []Entry) {
	for _, e := range all {
		s.Offer(e.Key, e.Version)
	}
}

// Distinct estimates how many different keys were offered, with its standard
// error; exact when fewer than k were.
func (s *Sample) Distinct() (n, stderr float64) {
	if !s.full {
		return float64(len(s.heap)), 0
	}
	n = float64(s.k-1) / (float64(s.heap[0].hash) / math.MaxUint64)
	return n, n / math.Sqrt(float64(s.k-2))
}

type entries []*Entry

func (e entries) Len() int           { return len(e) }
func (e entries) Less(i, j int) bool { return e[i].hash > e[j].hash }
func (e entries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *entries) Push(x any)        { *e = append(*e, x.(*Entry)) }
func (e *entries) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}
