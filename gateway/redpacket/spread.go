package redpacket

import (
	"context"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"

	"sluice/gateway/redpacket/script"
)

// MaxParts is how many parts a red packet may be spread over: each has a bucket of its own.
const MaxParts = Buckets

// mostMoved bounds the shares of one move: a longer one would hold up the draws of others.
const mostMoved = 4096

// partOf is the part that holds all outcomes of uid, for ever.
func partOf(uid string, parts int64) int {
	if parts <= 1 {
		return 0
	}
	return int((xxhash.Sum64String(uid) >> 32) % uint64(parts)) // the low bits choose the winners' hash
}

// PartBucket is the bucket of a part; part 0 is where the id says.
func (id ID) PartBucket(part int) int { return (id.Bucket() + part) % Buckets }

// partIn is the part whose bucket b is.
func (id ID) partIn(b int) int { return (b - id.Bucket() + Buckets) % Buckets }

// part is the key of a part's hash. The parts beside the first stand under another name: who
// lists the red packets of a bucket shall not find them.
func (k *keys) part(id string, part int) string {
	if part == 0 {
		return k.rp(id)
	}
	return k.tag + ":rq:" + id
}

func (k *keys) notes(id string) string { return k.tag + ":nt:" + id }
func (k *keys) taken(id string) string { return k.tag + ":tk:" + id }

// parts is how many parts the red packet has, at least one.
func (s *spec) parts() int { return int(max(1, s.Spread)) }

// firstOf is the first share of a part's range at the beginning; the next part's is behind its last.
func (s *spec) firstOf(part int) int64 { return s.Count * int64(part) / int64(s.parts()) }

// partFields are the fields with which a part begins: of part 0, which has been funded, those
// that are the part's own.
func (s *spec) partFields(part int, fen int64) []string {
	first, behind := s.firstOf(part), s.firstOf(part+1)
	var fields []string
	if part > 0 {
		for all := s.fields(); len(all) > 0; all = all[2:] {
			switch all[0] {
			case "k", "n", "la", "fix", "spec", "ek", "f": // the part's own, or part 0's alone
			default:
				fields = append(fields, all[0], all[1])
			}
		}
	}
	return append(fields, "pt", strconv.Itoa(part), "sp", text64(s.Spread), "k", text64(first), "n", text64(behind), "b", text64(first),
		"la", text64(fen), "mv", "0", "nt", "0", "nl", "0", "nf", "0")
}

// listOf are the uids of the audience list whose part it is.
func (s *spec) listOf(part int) (list []string) {
	for _, uid := range s.List {
		if partOf(uid, s.Spread) == part {
			list = append(list, uid)
		}
	}
	return list
}

// piece is one part as its bucket holds it.
type piece struct {
	state         string // "" when the bucket does not know it
	k, n, b       int64
	la, q         int64
	notes, nl, nf int64  // moves on their way, their shares and fen
	extra         int64  // shares that came while it was fenced
	moved         int64  // gives and takes so far
	open          string // the open move to the part asked about
	closed        uint64 // seq of its close event
	err           error  // its bucket is not certified, or cannot be asked
	index, bucket int
}

// pieces reads all parts, each at a moment at which its bucket is certified. to is the part
// whose open moves are asked about.
func (h *House) pieces(ctx context.Context, id ID, parts, to int) []piece {
	text := id.String()
	asks := make([]ask, parts)
	for i := range asks {
		b := id.PartBucket(i)
		asks[i] = ask{bucket: b, key: h.keys[b].part(text, i), fields: []string{"s", "k", "n", "b", "la", "q", "nt", "nl", "nf", "xl", "mv",
			"cs", "t" + strconv.Itoa(to)}}
	}
	h.ask(ctx, asks)
	list := make([]piece, parts)
	for i := range list {
		p := &list[i]
		p.index, p.bucket, p.err = i, asks[i].bucket, asks[i].err
		if p.err != nil {
			continue
		}
		str := func(j int) string { s, _ := asks[i].vals[j].(string); return s }
		num := func(j int) int64 { n, _ := strconv.ParseInt(str(j), 10, 64); return n }
		p.state, p.k, p.n, p.b, p.la, p.q = str(0), num(1), num(2), num(3), num(4), num(5)
		p.notes, p.nl, p.nf, p.extra, p.moved, p.closed, p.open = num(6), num(7), num(8), num(9), num(10), uint64(num(11)), str(12)
		if str(3) == "" && p.state != "" && p.state != "e" { // part 0, funded and not set up yet
			p.state = "p"
		}
	}
	return list
}

// total is what all parts have left, and what is on its way between them.
func total(list []piece) (left, fen, quarantined int64) {
	for i := range list {
		p := &list[i]
		left += p.n - p.k + p.extra + p.nl
		fen += p.la + p.nf
		quarantined += p.q
	}
	return left, fen, quarantined
}

// totalArgs are the last arguments of the scripts that emit the record of a spread red packet.
func totalArgs(list []piece) []string {
	left, fen, quarantined := total(list)
	return []string{text64(left), text64(fen), text64(quarantined)}
}

// broken is the first error of the parts.
func broken(list []piece) error {
	if i := slices.IndexFunc(list, func(p piece) bool { return p.err != nil }); i >= 0 {
		return list[i].err
	}
	return nil
}

// atPart runs a script on a part; more are the keys behind its hash.
func (h *House) atPart(ctx context.Context, id ID, part int, name script.Name, more func(k *keys, text string) []string, args ...string) (string, error) {
	b := id.PartBucket(part)
	k, text := &h.keys[b], id.String()
	list := k.base(k.part(text, part))
	if more != nil {
		list = append(list, more(k, text)...)
	}
	reply, _, err := h.run(ctx, b, name, list, append([]string{text}, args...), nil)
	return string(reply), err
}

// partsOf asks the home over how many parts a red packet is spread.
func (h *House) partsOf(ctx context.Context, id ID) (int, error) {
	n, err := h.control.HGet(ctx, h.keys[id.Bucket()].rp(id.String()), "sp").Int()
	if err == redis.Nil {
		return 1, nil
	}
	return n, scriptError(err)
}
