package sim

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// store is a Redis of the commands that money uses: enough of each to behave alike.
type store struct {
	hashes  map[string]map[string]string
	sets    map[string]map[string]bool
	strings map[string]string
	streams map[string]*stream
	expires map[string]int64  // ms, strings only
	scripts map[string]string // by SHA; a restart loses them
	now     func() int64      // ms
	lua     *machine
}

type stream struct {
	entries []entry
	last    [2]uint64
}

type entry struct {
	id     [2]uint64
	fields []string
}

func newStore(now func() int64, m *machine) *store {
	s := &store{now: now, lua: m}
	s.wipe()
	return s
}

func (s *store) wipe() {
	s.hashes, s.sets, s.strings = map[string]map[string]string{}, map[string]map[string]bool{}, map[string]string{}
	s.streams, s.expires, s.scripts = map[string]*stream{}, map[string]int64{}, map[string]string{}
}

// snapshot is a copy of all data; scripts are not part of it.
func (s *store) snapshot() *store {
	c := newStore(s.now, s.lua)
	for k, v := range s.hashes {
		c.hashes[k] = maps.Clone(v)
	}
	for k, v := range s.sets {
		c.sets[k] = maps.Clone(v)
	}
	for k, v := range s.streams {
		c.streams[k] = &stream{entries: slices.Clone(v.entries), last: v.last}
	}
	maps.Copy(c.strings, s.strings)
	maps.Copy(c.expires, s.expires)
	return c
}

// restore puts a snapshot back, as after a crash: no scripts. Only the keys that it is for go
// back: those of one node of a cluster.
func (s *store) restore(from *store, node func(key string) bool) {
	c := from.snapshot()
	back(s.hashes, c.hashes, node)
	back(s.sets, c.sets, node)
	back(s.strings, c.strings, node)
	back(s.streams, c.streams, node)
	back(s.expires, c.expires, node)
	s.scripts = map[string]string{}
}

func back[V any](now, then map[string]V, node func(string) bool) {
	maps.DeleteFunc(now, func(key string, _ V) bool { return node(key) })
	for key, v := range then {
		if node(key) {
			now[key] = v
		}
	}
}

type errReply string

func (e errReply) Error() string { return string(e) }

var errSyntax = errors.New("ERR sim: command not known or wrong number of arguments")

// do runs one command. Replies: nil, int64, string, []any, error as errReply.
func (s *store) do(args ...string) any {
	name := strings.ToUpper(args[0])
	a := args[1:]
	switch name {
	case "TIME":
		ms := s.now()
		return []any{strconv.FormatInt(ms/1000, 10), strconv.FormatInt(ms%1000*1000, 10)}
	case "HGET":
		if v, ok := s.hashes[a[0]][a[1]]; ok {
			return v
		}
		return nil
	case "HMGET":
		out := make([]any, len(a)-1)
		h := s.hashes[a[0]]
		for i, f := range a[1:] {
			if v, ok := h[f]; ok {
				out[i] = v
			}
		}
		return out
	case "HGETALL":
		h := s.hashes[a[0]]
		out := make([]any, 0, 2*len(h))
		for _, f := range slices.Sorted(maps.Keys(h)) {
			out = append(out, f, h[f])
		}
		return out
	case "HKEYS":
		return texts(slices.Sorted(maps.Keys(s.hashes[a[0]])))
	case "SMEMBERS":
		return texts(slices.Sorted(maps.Keys(s.sets[a[0]])))
	case "HDEL":
		before := len(s.hashes[a[0]])
		for _, f := range a[1:] {
			delete(s.hashes[a[0]], f)
		}
		if before > 0 && len(s.hashes[a[0]]) == 0 {
			delete(s.hashes, a[0])
		}
		return int64(before - len(s.hashes[a[0]]))
	case "HSET", "HMSET":
		h := s.hashes[a[0]]
		if h == nil {
			h = map[string]string{}
			s.hashes[a[0]] = h
		}
		var added int64
		for i := 1; i+1 < len(a); i += 2 {
			if _, ok := h[a[i]]; !ok {
				added++
			}
			h[a[i]] = a[i+1]
		}
		if name == "HMSET" {
			return "OK"
		}
		return added
	case "SADD":
		m := s.sets[a[0]]
		if m == nil {
			m = map[string]bool{}
			s.sets[a[0]] = m
		}
		var added int64
		for _, v := range a[1:] {
			if !m[v] {
				added++
			}
			m[v] = true
		}
		return added
	case "SISMEMBER":
		if s.sets[a[0]][a[1]] {
			return int64(1)
		}
		return int64(0)
	case "GET":
		s.expire(a[0])
		if v, ok := s.strings[a[0]]; ok {
			return v
		}
		return nil
	case "SET":
		return s.set(a)
	case "STRLEN":
		return int64(len(s.strings[a[0]]))
	case "SETRANGE":
		return s.setRange(a)
	case "GETRANGE":
		v := s.strings[a[0]]
		from, to := atoi(a[1]), min(atoi(a[2])+1, int64(len(v)))
		if from >= to {
			return ""
		}
		return v[from:to]
	case "EXISTS":
		return s.count(a)
	case "DEL", "UNLINK":
		n := s.count(a)
		for _, k := range a {
			delete(s.hashes, k)
			delete(s.sets, k)
			delete(s.strings, k)
			delete(s.streams, k)
		}
		return n
	case "SCRIPT":
		sum := sha1.Sum([]byte(a[1]))
		sha := hex.EncodeToString(sum[:])
		s.scripts[sha] = a[1]
		return sha
	case "EVALSHA", "EVAL":
		return s.eval(name, a)
	}
	if strings.HasPrefix(name, "X") {
		return s.streamCommand(name, a)
	}
	return errReply(errSyntax.Error() + ": " + name)
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func atoi(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

func (s *store) expire(key string) {
	if at, ok := s.expires[key]; ok && s.now() >= at {
		delete(s.strings, key)
		delete(s.expires, key)
	}
}

func (s *store) set(a []string) any {
	s.expire(a[0])
	var px int64
	for i := 2; i < len(a); i++ {
		switch strings.ToUpper(a[i]) {
		case "NX":
			if _, ok := s.strings[a[0]]; ok {
				return nil
			}
		case "PX":
			px = atoi(a[i+1])
		case "EX":
			px = atoi(a[i+1]) * 1000
		}
	}
	s.strings[a[0]] = a[1]
	delete(s.expires, a[0])
	if px > 0 {
		s.expires[a[0]] = s.now() + px
	}
	return "OK"
}

func (s *store) setRange(a []string) any {
	v, at := []byte(s.strings[a[0]]), int(atoi(a[1]))
	for len(v) < at+len(a[2]) {
		v = append(v, 0)
	}
	copy(v[at:], a[2])
	s.strings[a[0]] = string(v)
	return int64(len(v))
}

func (s *store) count(keys []string) (n int64) {
	for _, k := range keys {
		_, ok1 := s.hashes[k]
		_, ok2 := s.sets[k]
		_, ok3 := s.strings[k]
		_, ok4 := s.streams[k]
		if ok1 || ok2 || ok3 || ok4 {
			n++
		}
	}
	return n
}

func (s *store) eval(name string, a []string) any {
	text := a[0]
	if name == "EVALSHA" {
		var ok bool
		if text, ok = s.scripts[a[0]]; !ok {
			return errReply("NOSCRIPT No matching script. Please use EVAL.")
		}
	}
	n := int(atoi(a[1]))
	return s.lua.run(s, text, a[2:2+n], a[2+n:])
}

// Streams.

func parseID(text string, high uint64) [2]uint64 {
	ms, seq, ok := strings.Cut(text, "-")
	a, _ := strconv.ParseUint(ms, 10, 64)
	if !ok {
		return [2]uint64{a, high}
	}
	b, _ := strconv.ParseUint(seq, 10, 64)
	return [2]uint64{a, b}
}

func less(a, b [2]uint64) bool { return a[0] < b[0] || a[0] == b[0] && a[1] < b[1] }

func (e *entry) reply() any {
	fields := make([]any, len(e.fields))
	for i, f := range e.fields {
		fields[i] = f
	}
	return []any{idText(e.id), fields}
}

func idText(id [2]uint64) string {
	return strconv.FormatUint(id[0], 10) + "-" + strconv.FormatUint(id[1], 10)
}

// from is the index of the first entry that is not before id, or behind it.
func (st *stream) from(id [2]uint64, behind bool) int {
	return sort.Search(len(st.entries), func(i int) bool {
		return less(id, st.entries[i].id) || !behind && st.entries[i].id == id
	})
}

func (s *store) streamCommand(name string, a []string) any {
	st := s.streams[a[0]]
	switch name {
	case "XADD":
		id := parseID(a[1], 0)
		if st == nil {
			st = &stream{}
			s.streams[a[0]] = st
		}
		if !less(st.last, id) {
			return errReply("ERR The ID specified in XADD is equal or smaller than the target stream top item")
		}
		st.last = id
		st.entries = append(st.entries, entry{id, slices.Clone(a[2:])})
		return a[1]
	case "XRANGE":
		if st == nil {
			return []any{}
		}
		from, behind := strings.CutPrefix(a[1], "(")
		i := 0
		if from != "-" {
			i = st.from(parseID(from, 0), behind)
		}
		limit := len(st.entries)
		if to, open := strings.CutPrefix(a[2], "("); to != "+" {
			limit = st.from(parseID(to, 1<<63), !open)
		}
		if len(a) > 4 {
			limit = min(limit, i+int(atoi(a[4])))
		}
		out := []any{}
		for ; i < limit; i++ {
			out = append(out, st.entries[i].reply())
		}
		return out
	case "XDEL":
		if st == nil {
			return int64(0)
		}
		before := len(st.entries)
		st.entries = slices.DeleteFunc(slices.Clone(st.entries), func(e entry) bool { return slices.Contains(a[1:], idText(e.id)) })
		return int64(before - len(st.entries))
	case "XTRIM": // XTRIM key MINID id
		if st == nil {
			return int64(0)
		}
		i := st.from(parseID(a[len(a)-1], 0), false)
		st.entries = slices.Clone(st.entries[i:])
		return int64(i)
	case "XREAD":
		return s.xread(a)
	}
	return errReply(errSyntax.Error() + ": " + name)
}

// xread never blocks: time does not pass inside a command.
func (s *store) xread(a []string) any {
	count := int64(1 << 40)
	for i, x := range a {
		if strings.EqualFold(x, "count") {
			count = atoi(a[i+1])
		}
		if !strings.EqualFold(x, "streams") {
			continue
		}
		names := a[i+1 : i+1+(len(a)-i-1)/2]
		ids := a[i+1+len(names):]
		var out []any
		for j, name := range names {
			st := s.streams[name]
			if st == nil {
				continue
			}
			var list []any
			for k := st.from(parseID(ids[j], 0), true); k < len(st.entries) && int64(len(list)) < count; k++ {
				list = append(list, st.entries[k].reply())
			}
			if len(list) > 0 {
				out = append(out, []any{name, list})
			}
		}
		if out == nil {
			return nil
		}
		return out
	}
	return errReply(errSyntax.Error())
}
