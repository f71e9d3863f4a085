package relay

import (
	"context"
	"crypto/subtle"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/cachesync/pipeline"
	"sluice/cachesync/resp"
)

const (
	strangerTime = 5 * time.Second // to say who one is
	writeTime    = 5 * time.Second // to take a batch of replies
	batchItems   = 256
)

// item is one question with its answer.
type item struct {
	text []byte // the arguments, one behind the other
	ends []int
	name string
	cmd  resp.Cmd
	home *home  // nil: answered here
	said string // the answer given here, whole
}

// session serves one connection: run reads questions and passes them on, answer waits for the
// replies in their order.
type session struct {
	s       *Server
	conn    net.Conn
	r       *pipeline.Reader
	known   bool // has said the secret
	home    *home
	pending chan *item
}

func newSession(s *Server, conn net.Conn) *session {
	c := &session{s: s, conn: conn, pending: make(chan *item, s.cfg.MaxInFlight)}
	c.r = pipeline.NewReader(c)
	return c
}

// Read is the reader's source. Before it may wait, what was read so far goes out: so what
// came together travels on together.
func (c *session) Read(b []byte) (int, error) {
	if c.home != nil {
		c.home.client.Flush()
	}
	n, err := c.conn.Read(b)
	if c.home != nil {
		c.home.in.Add(uint64(n))
	}
	return n, err
}

func (c *session) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { c.conn.SetReadDeadline(time.Unix(1, 0)) }) // what is under way is answered
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); c.answer() }()
	c.conn.SetReadDeadline(time.Now().Add(strangerTime))
	err := c.questions(ctx)
	if errors.Is(err, errProtocol) {
		c.say("-DENIED " + err.Error() + "\r\n")
	}
	if c.home != nil {
		c.home.client.Flush()
	}
	close(c.pending)
	<-done
	c.conn.Close()
}

// questions reads until the connection or the context ends.
func (c *session) questions(ctx context.Context) error {
	for {
		it := c.s.items.Get().(*item)
		it.home, it.said = nil, ""
		limit := maxQuestion
		if !c.known {
			limit = maxStranger
		}
		if err := it.read(c.r, limit); err != nil {
			return err
		}
		switch {
		case it.name == "AUTH" && len(it.ends) >= 2:
			was := c.known
			c.known = subtle.ConstantTimeCompare(it.arg(len(it.ends)-1), []byte(c.s.cfg.Secret)) == 1
			it.said = "+OK\r\n"
			if !c.known {
				it.said = "-WRONGPASS wrong secret of the relay\r\n"
			} else if !was {
				c.conn.SetReadDeadline(time.Time{})
				if ctx.Err() != nil {
					return ctx.Err() // the deadline that was to end us is gone
				}
			}
		case !c.known:
			it.said = "-NOAUTH the relay wants its secret first\r\n"
		case it.name == "PING":
			it.said = "+PONG\r\n"
		case it.name == "SELECT" && len(it.ends) == 2:
			n, _ := strconv.Atoi(string(it.arg(1)))
			h := c.s.homes[n]
			if h == nil {
				it.said = "-DENIED this relay knows no home of that number\r\n"
				break
			}
			if c.home != nil {
				c.home.client.Flush()
			}
			c.home, it.said = h, "+OK\r\n"
		case c.home == nil:
			it.said = "-DENIED SELECT a home first\r\n"
		default:
			c.pass(it)
		}
		c.pending <- it // full: reading stops until replies have come
	}
}

// pass gives a question to the home's pipeline.
func (c *session) pass(it *item) {
	if err := it.encode(); err != nil {
		it.said = "-DENIED " + oneLine(err.Error()) + "\r\n"
		return
	}
	it.home = c.home
	c.home.calls.Add(1)
	c.home.client.Queue(context.Background(), &it.cmd)
}

func (c *session) say(text string) {
	c.pending <- &item{said: text}
}

// answer writes replies, as many at once as are there. When they cannot be written it goes on
// taking them, so that nobody waits.
func (c *session) answer() {
	var out []byte
	var batch []*item
	var dead bool
	var next *item
	for {
		it := next
		if next = nil; it == nil {
			var ok bool
			if it, ok = <-c.pending; !ok {
				return
			}
		}
		batch = append(batch[:0], it)
		it.finish()
	more:
		for len(batch) < batchItems {
			select {
			case one, ok := <-c.pending:
				if !ok {
					break more
				}
				if one.home != nil && !one.cmd.Ready() {
					next = one
					break more
				}
				one.finish()
				batch = append(batch, one)
			default:
				break more
			}
		}
		out = encode(out[:0], batch)
		home := it.home
		for _, one := range batch {
			if cap(one.text) <= 64<<10 {
				c.s.items.Put(one)
			}
		}
		if dead {
			continue
		}
		c.conn.SetWriteDeadline(time.Now().Add(writeTime))
		n, err := c.conn.Write(out)
		if home != nil {
			home.out.Add(uint64(n))
		}
		if err != nil {
			dead = true
			c.conn.Close() // ends the reading too
		}
		if cap(out) > 1<<20 {
			out = nil
		}
	}
}

// finish waits for the home's reply.
func (it *item) finish() {
	if it.home != nil {
		it.home.client.Finish(context.Background(), &it.cmd) // its error stays in cmd.Err
	}
}

// encode appends the answers of a batch. Those of scripts go out when the home's replicas
// have what they wrote.
func encode(out []byte, batch []*item) []byte {
	synced := await(batch)
	for _, it := range batch {
		if it.home == nil {
			out = append(out, it.said...)
			continue
		}
		err := it.cmd.Err
		if err == nil && it.name == "EVALSHA" {
			err = synced[it.home]
		}
		out = it.home.encode(out, it, err)
	}
	return out
}

// await waits, once for each home, until its replicas have what the scripts of a batch wrote.
func await(batch []*item) map[*home]error {
	var shas map[*home][]string
	for _, it := range batch {
		if it.home == nil || it.home.Synced == nil || it.name != "EVALSHA" || it.cmd.Err != nil {
			continue
		}
		if shas == nil {
			shas = map[*home][]string{}
		}
		if sha := string(it.arg(1)); !slices.Contains(shas[it.home], sha) {
			shas[it.home] = append(shas[it.home], sha)
		}
	}
	var failed map[*home]error
	for h, list := range shas {
		if err := h.Synced(context.Background(), list...); err != nil {
			if failed == nil {
				failed = map[*home]error{}
			}
			failed[h] = err
		}
	}
	return failed
}

func (h *home) encode(out []byte, it *item, err error) []byte {
	var refused resp.ReplyError
	switch {
	case err == nil:
		return it.cmd.Reply.Append(out)
	case errors.As(err, &refused):
		h.refused.Add(1)
		return append(append(append(out, '-'), refused...), "\r\n"...)
	case errors.Is(err, resp.ErrNotSent):
		h.notSent.Add(1)
		out = append(out, "-NOTSENT home "...)
	default:
		h.unknown.Add(1)
		out = append(out, "-UNKNOWN home "...)
	}
	return append(append(append(append(out, h.Name...), ": "...), oneLine(err.Error())...), "\r\n"...)
}

func oneLine(s string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(s) }
