package memcache

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"sluice/cachesync/pipeline"
)

// getLineBytes ends a "get k1 k2 ..." line; memcached takes longer ones, but
// the reply of a line is not flushed before its end.
const getLineBytes = 8 << 10

// result is one op on its way: the caller's Op must not be written by the
// reader, since the caller may have gone.
type result struct {
	kind     Kind
	lastRead bool // ends a get line
	key, end int  // of the key in Req
	op       int  // index in the caller's batch
	flags    uint32
	cas      uint64 // or the number of incr and decr
	value    []byte
	err      error
}

// call is a batch of ops for one node: one write, one contiguous reply.
type call struct {
	pipeline.Call
	client  *Client
	node    *node
	results []result
	line    int  // start of the open get line
	open    bool // a get line is open
	writes  bool
	started bool
	err     error
}

func (k *call) add(i int, op *Op) {
	r := result{kind: op.Kind, op: i}
	if op.Kind <= Gets {
		if k.open && (k.results[len(k.results)-1].kind != op.Kind || len(k.Req)-k.line > getLineBytes) {
			k.closeLine()
		}
		if !k.open {
			k.open, k.line = true, len(k.Req)
			k.Req = append(k.Req, op.Kind.String()...)
		}
		k.Req = append(k.Req, ' ')
		r.key = len(k.Req)
		k.Req = append(k.Req, op.Key...)
		r.end = len(k.Req)
		k.results = append(k.results, r)
		return
	}
	k.closeLine()
	k.writes = true
	b := append(k.Req, op.Kind.String()...)
	b = append(b, ' ')
	b = append(b, op.Key...)
	b = append(b, ' ')
	switch op.Kind {
	case Delete:
		b = b[:len(b)-1]
	case Touch:
		b = strconv.AppendInt(b, int64(op.Expiry), 10)
	case Incr, Decr:
		b = strconv.AppendUint(b, op.Delta, 10)
	default:
		b = strconv.AppendUint(b, uint64(op.Flags), 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(op.Expiry), 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(len(op.Value)), 10)
		if op.Kind == CAS {
			b = append(b, ' ')
			b = strconv.AppendUint(b, op.CAS, 10)
		}
		b = append(b, '\r', '\n')
		b = append(b, op.Value...)
	}
	k.Req = append(b, '\r', '\n')
	k.results = append(k.results, r)
}

func (k *call) closeLine() {
	if k.open {
		k.Req = append(k.Req, '\r', '\n')
		k.results[len(k.results)-1].lastRead = true
		k.open = false
	}
}

// ReadReply is called by the connection's reader.
func (k *call) ReadReply(r *pipeline.Reader) error {
	for i := 0; i < len(k.results); {
		if k.results[i].kind <= Gets {
			n, err := k.readLine(r, i)
			if err != nil {
				return err
			}
			i = n
			continue
		}
		line, err := r.Line()
		if err != nil {
			return err
		}
		if err := k.results[i].stored(line); err != nil {
			return err
		}
		i++
	}
	return nil
}

// readLine reads the reply of one get line whose first key is result i: hits in
// the order asked, misses left out, END. It returns the first result behind it.
func (k *call) readLine(r *pipeline.Reader, i int) (int, error) {
	last := i
	for !k.results[last].lastRead {
		last++
	}
	for {
		line, err := r.Line()
		if err != nil {
			return 0, err
		}
		if len(line) == 3 && line[0] == 'E' && line[1] == 'N' && line[2] == 'D' {
			for ; i <= last; i++ {
				k.results[i].err = ErrCacheMiss
			}
			return last + 1, nil
		}
		key, rest, ok := bytes.Cut(bytes.TrimPrefix(line, []byte("VALUE ")), []byte{' '})
		if !ok || len(line) == len(key)+1+len(rest) {
			if err := replyError(line); err != nil {
				for ; i <= last; i++ {
					k.results[i].err = err
				}
				return last + 1, nil
			}
			return 0, fmt.Errorf("%w: %.60q instead of VALUE or END", pipeline.ErrProtocol, line)
		}
		for ; i <= last && !bytes.Equal(key, k.Req[k.results[i].key:k.results[i].end]); i++ {
			k.results[i].err = ErrCacheMiss
		}
		if i > last {
			return 0, fmt.Errorf("%w: VALUE of a key not asked for", pipeline.ErrProtocol)
		}
		if err := k.results[i].fetched(rest, r); err != nil {
			return 0, err
		}
		i++
	}
}

// fetched reads "flags bytes [cas]" and the value behind the line.
func (res *result) fetched(fields []byte, r *pipeline.Reader) error {
	flags, fields, ok1 := number(fields)
	size, fields, ok2 := number(fields)
	cas, fields, ok3 := uint64(0), fields, true
	if len(fields) > 0 {
		cas, fields, ok3 = number(fields)
	}
	if !ok1 || !ok2 || !ok3 || len(fields) > 0 || size > 1<<30 {
		return fmt.Errorf("%w: numbers of a VALUE line", pipeline.ErrProtocol)
	}
	res.flags, res.cas = uint32(flags), cas
	var err error
	if res.value, err = r.Bytes(int(size)); err != nil {
		return err
	}
	end, err := r.Line()
	if err == nil && len(end) != 0 {
		err = fmt.Errorf("%w: value longer than announced", pipeline.ErrProtocol)
	}
	return err
}

// number cuts a decimal and the space behind it.
func number(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && b[i] != ' '; i++ {
		d := b[i] - '0'
		if d > 9 || n > (1<<64-1)/10 {
			return 0, nil, false
		}
		n = n*10 + uint64(d)
	}
	if i < len(b) {
		return n, b[i+1:], i > 0
	}
	return n, nil, i > 0
}

// stored reads the one-line reply of a write.
func (res *result) stored(line []byte) error {
	switch string(line) {
	case "STORED", "DELETED", "TOUCHED":
		return nil
	case "NOT_STORED":
		res.err = ErrNotStored
		return nil
	case "EXISTS":
		res.err = ErrCASConflict
		return nil
	case "NOT_FOUND":
		res.err = ErrCacheMiss
		return nil
	}
	if res.kind == Incr || res.kind == Decr {
		// memcached pads the number of a decr with spaces.
		if n, rest, ok := number(line); ok && len(bytes.TrimSpace(rest)) == 0 {
			res.cas = n
			return nil
		}
	}
	if err := replyError(line); err != nil {
		res.err = err
		// After a refused store the value itself may be read as commands.
		if bytes.HasPrefix(line, []byte("SERVER_ERROR")) || res.kind >= Delete {
			return nil
		}
		return err
	}
	return fmt.Errorf("%w: %.60q", pipeline.ErrProtocol, line)
}

// replyError is nil when line is none of the protocol's error lines.
func replyError(line []byte) error {
	s := string(line)
	if s == "ERROR" || strings.HasPrefix(s, "CLIENT_ERROR") || strings.HasPrefix(s, "SERVER_ERROR") {
		return fmt.Errorf("%w: %s", ErrServerError, s)
	}
	return nil
}

// keptBytes and keptOps are the largest call that is used again: a batch of an applier, 2048
// records of a few hundred bytes, must fit, or each would be garbage.
const (
	keptBytes = 1 << 20
	keptOps   = 4096
)

// Recycle keeps the call for another batch, unless it grew large.
func (k *call) Recycle() {
	if cap(k.Req) > keptBytes || cap(k.results) > keptOps {
		return
	}
	clear(k.results)
	k.results, k.Req = k.results[:0], k.Req[:0]
	k.open, k.writes, k.started, k.node, k.err = false, false, false, nil, nil
	k.client.calls.Put(k)
}
