package redpacket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
	"sluice/cachesync/record"
	"sluice/gateway/redpacket/script"
)

// A complete filter of winners is published when the last win is past, in chunks; a uid
// belongs to one chunk. A chunk is a Bloom filter: a winner is always in it (so nobody who won
// ever hears soldout from it), of the others one in a hundred is too, and asks home.
//
//	chunk = version 1 | hashes k | bits, at least 10 a winner

const (
	filterVersion  = 1
	filterHashes   = 7
	filterBits     = 10       // a winner: 0.8 % false positives
	filterPerChunk = 200_000  // winners: 250 KB, well below memcached's limit of an item
	filterMemory   = 64 << 20 // bytes of chunks that a gateway keeps
)

// filterKey is the cache key of a chunk.
func filterKey(id string, chunk int64) string { return record.PrefixFilter + id + ":" + text64(chunk) }

func filterChunks(winners int64) int64 { return max(1, (winners+filterPerChunk-1)/filterPerChunk) }

// buildFilter makes all chunks from the hashes of the winners' uids.
func buildFilter(hashes []uint64) [][]byte {
	n := filterChunks(int64(len(hashes)))
	count := make([]int, n)
	for _, h := range hashes {
		count[h%uint64(n)]++
	}
	chunks := make([][]byte, n)
	for i := range chunks {
		chunks[i] = make([]byte, 2+(count[i]*filterBits+7)/8+8)
		chunks[i][0], chunks[i][1] = filterVersion, filterHashes
	}
	for _, h := range hashes {
		bits := chunks[h%uint64(n)][2:]
		eachBit(h, filterHashes, len(bits), func(at uint64) bool {
			bits[at/8] |= 1 << (at % 8)
			return true
		})
	}
	return chunks
}

// eachBit goes through the bits of a hash until f says false.
func eachBit(h uint64, hashes, bytes int, f func(at uint64) bool) bool {
	step := h*0x9E3779B97F4A7C15 | 1
	for range hashes {
		if !f(h % uint64(bytes*8)) {
			return false
		}
		h += step
		h ^= h >> 29
	}
	return true
}

// filterHas reports whether the uid of hash h may have won; true also when the chunk is not
// one that this binary understands.
func filterHas(chunk []byte, h uint64) bool {
	if len(chunk) < 3 || chunk[0] != filterVersion || chunk[1] == 0 || chunk[1] > 32 {
		return true
	}
	bits := chunk[2:]
	return eachBit(h, int(chunk[1]), len(bits), func(at uint64) bool { return bits[at/8]&(1<<(at%8)) != 0 })
}

// Filters keeps the chunks that this gateway has read, by red packet and epoch. It is safe for
// concurrent use.
type Filters struct {
	cache Reader
	mu    sync.RWMutex
	have  map[chunkName][]byte
	bytes int
}

type chunkName struct {
	id    ID
	epoch uint64
	chunk int64
}

// NewFilters reads chunks through the given cache.
func NewFilters(cache Reader) *Filters {
	return &Filters{cache: cache, have: map[chunkName][]byte{}}
}

// NoWin reports whether uid certainly won nothing in a red packet whose last win is past.
func (f *Filters) NoWin(ctx context.Context, st *State, uid string) bool {
	h := xxhash.Sum64String(uid)
	name := chunkName{st.ID, st.version >> 52, int64(h % uint64(st.filter))}
	f.mu.RLock()
	chunk, ok := f.have[name]
	f.mu.RUnlock()
	if !ok {
		reads := []cachesync.Read{{Key: filterKey(st.ID.String(), name.chunk)}}
		if f.cache.Read(ctx, reads) != nil || reads[0].State != cachesync.Hit {
			return false
		}
		chunk = append([]byte(nil), reads[0].Record.Payload...)
		f.keep(name, chunk)
	}
	return !filterHas(chunk, h)
}

// keep bounds the memory: when it is full, some chunks go, whichever.
func (f *Filters) keep(name chunkName, chunk []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for old, b := range f.have {
		if f.bytes+len(chunk) <= filterMemory {
			break
		}
		f.bytes -= len(b)
		delete(f.have, old)
	}
	if _, ok := f.have[name]; !ok {
		f.have[name] = chunk
		f.bytes += len(chunk)
	}
}

// FilterSource fills chunks from the home. Its prefix is record.PrefixFilter.
type FilterSource struct{ h *House }

// NewFilterSource makes the source of wf: records.
func NewFilterSource(h *House) *FilterSource { return &FilterSource{h} }

var _ cachesync.Source = (*FilterSource)(nil)

// Fill implements cachesync.Source.
func (s *FilterSource) Fill(ctx context.Context, keys []string) ([]cachesync.Filled, error) {
	out := make([]cachesync.Filled, len(keys))
	asks := make([]ask, len(keys))
	for i, key := range keys {
		out[i].Key = key
		text, chunk, _ := strings.Cut(strings.TrimPrefix(key, record.PrefixFilter), ":")
		id, err := s.h.ids.Parse(text)
		if _, bad := strconv.ParseUint(chunk, 10, 31); err != nil || bad != nil || id.Home() != s.h.home {
			out[i].Err = cachesync.ErrNotFound
			continue
		}
		asks[i] = ask{bucket: id.Bucket(), key: s.h.keys[id.Bucket()].chunk(text), fields: []string{chunk, "v" + chunk}}
	}
	s.h.ask(ctx, asks)
	for i := range asks {
		switch {
		case out[i].Err != nil:
		case asks[i].err != nil:
			out[i].Err = fmt.Errorf("%w: %v", cachesync.ErrLater, asks[i].err)
		default:
			out[i].Record, out[i].Expiry, out[i].Err = filled(asks[i].vals, cachesync.TypeFilter)
		}
	}
	return out, nil
}

// publishFilter makes the filter of a red packet that nobody can win from any more.
func (h *House) publishFilter(ctx context.Context, p published, winnerHashes int64) error {
	id, k := p.id, &h.keys[p.id.Bucket()]
	text := id.String()
	var hashes []uint64
	var set *script.Set // of part 0
	for i := p.parts - 1; i >= 0; i-- {
		list, at, err := h.hashedWinners(ctx, id, i, winnerHashes)
		if err != nil {
			return err
		}
		hashes, set = append(hashes, list...), at
	}
	chunks := buildFilter(hashes)
	for i, chunk := range chunks {
		reply, err := h.backend.EvalSHA(ctx, set.SHA(script.Filter), k.base(k.rp(text), k.chunk(text)),
			[]string{text, text64(int64(i)), text64(int64(len(chunks))), string(chunk)}, nil)
		if err != nil {
			return err // fenced too: the next look begins again
		}
		if string(reply) != "done" {
			return fmt.Errorf("%w: the filter of %s was answered %q", ErrNotReady, text, reply)
		}
	}
	return nil
}

// hashedWinners reads the winners of one part. What is read counts only for the epoch it was read in:
// published under a later one, it would hide the winners that an uncertified Redis had
// forgotten. So a part beside the first is probed again; part 0's set publishes.
func (h *House) hashedWinners(ctx context.Context, id ID, part int, winnerHashes int64) (hashes []uint64, set *script.Set, err error) {
	b, text := id.PartBucket(part), id.String()
	k := &h.keys[b]
	if _, set, err = h.run(ctx, b, script.Probe, k.base(), nil, nil); err != nil {
		return nil, nil, err
	}
	for first := int64(0); first < winnerHashes; first += hashGroup(winnerHashes) {
		lists, err := h.readGroup(ctx, k, text, first, winnerHashes, func(pipe redis.Pipeliner, key string) { pipe.HKeys(ctx, key) })
		if err != nil {
			return nil, nil, err
		}
		for _, list := range lists {
			for _, uid := range list.(*redis.StringSliceCmd).Val() {
				hashes = append(hashes, xxhash.Sum64String(uid))
			}
		}
	}
	if part > 0 {
		_, err = h.backend.EvalSHA(ctx, set.SHA(script.Probe), k.base(), nil, nil)
	}
	return hashes, set, err
}

// published is a red packet whose filter may be due.
type published struct {
	id    ID
	parts int
}

// publishFilters looks for red packets whose last win is past and whose filter is not out. It
// returns those that hold quarantined shares: they get none.
func (h *House) publishFilters(ctx context.Context, ids []published) (held []ID, err error) {
	asks := make([]ask, len(ids))
	for i := range ids {
		id := ids[i].id
		asks[i] = ask{bucket: id.Bucket(), key: h.keys[id.Bucket()].rp(id.String()), fields: []string{"s", "f", "q", "wp", "fix", "eq"}}
	}
	h.ask(ctx, asks)
	var errs []error
	for i := range asks {
		v := asks[i].vals
		if asks[i].err != nil || len(v) != 6 {
			continue // next time
		}
		str := func(i int) string { s, _ := v[i].(string); return s }
		s, holds, won := str(0), str(2) != "0" && str(2) != "", true
		if ids[i].parts > 1 && s != "" && s != "p" && s != "u" && s != "e" {
			list := h.pieces(ctx, ids[i].id, ids[i].parts, 0)
			if broken(list) != nil {
				continue
			}
			// Its record may still tell of shares that no part holds any more.
			holds = str(5) != "0" && str(5) != "" || slices.ContainsFunc(list, func(p piece) bool { return p.q != 0 })
			// It is sold out in part 0 when it is in all parts.
			won = !slices.ContainsFunc(list, func(p piece) bool { return p.k < p.n && p.state != "c" })
		}
		if holds {
			held = append(held, ids[i].id)
		}
		if holds || !won || (s != "x" && s != "c") || str(1) != "0" || strings.Contains(str(4), ";"+ModePortal+";") {
			continue
		}
		hashes, err := strconv.ParseInt(str(3), 10, 64)
		if err == nil {
			err = h.publishFilter(ctx, ids[i], hashes)
		}
		if err != nil && !errors.Is(err, ErrNotReady) {
			errs = append(errs, err)
		}
	}
	return held, errors.Join(errs...)
}
