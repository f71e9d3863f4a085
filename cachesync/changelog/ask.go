package changelog

import (
	"strconv"
	"time"
)

// request asks for what comes behind pos, and hangs up a bell for the next request.
//
// A read that waits is woken by the first change and brings it alone. Changes come in batches,
// though, one turn of Redis' event loop each: the others of the same turn would be asked for
// when the next turn, and its fsync, has begun. So what waits is a read that serves as a bell
// only, and the question stands behind it on the same connection: Redis runs it at the end of
// the turn that rang, and sends both replies at once. The bell waits for what comes after the
// question before it, which Redis runs in the same breath: nothing is missed between the two.
//
// Without a bell, the question itself waits: until there was a heartbeat, since that which rings
// would be gone for a question from "$"; and while more is there than one answer may bring. A bell
// that stands when it turns out so does not ring for the rest, and is left behind with its connection.
func (r *Reader) request(pos []ID) []byte {
	hang := !r.cfg.Stream && !r.full && r.beat != "$"
	r.cmd = r.xread(r.cmd[:0], r.cfg.Count, !hang && !r.bell)
	var id [48]byte
	for _, p := range pos {
		text := appendUint(append(appendUint(id[:0], p.Epoch), '-'), p.Seq)
		r.cmd = appendLen(r.cmd, '$', len(text))
		r.cmd = append(append(r.cmd, text...), '\r', '\n')
	}
	r.cmd = appendArg(r.cmd, r.beat)
	if r.bell = hang; hang {
		r.cmd = r.xread(r.cmd, 1, true)
		for range r.keys {
			r.cmd = appendArg(r.cmd, "$")
		}
	}
	return r.cmd
}

// xread writes an XREAD as far as its positions.
func (r *Reader) xread(cmd []byte, count int, wait bool) []byte {
	args := 4 + 2*len(r.keys)
	if wait {
		args += 2
	}
	cmd = appendHead(cmd, args)
	cmd = appendArg(cmd, "XREAD")
	cmd = appendArg(cmd, "COUNT")
	cmd = appendArg(cmd, strconv.Itoa(count))
	if wait {
		cmd = appendArg(cmd, "BLOCK")
		cmd = appendArg(cmd, strconv.Itoa(int(r.cfg.Block/time.Millisecond)))
	}
	cmd = appendArg(cmd, "STREAMS")
	for _, k := range r.keys {
		cmd = appendArg(cmd, k)
	}
	return cmd
}
