package embedded

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"time"
)

const maxKey = 250

// conn runs the commands of one connection, in order.
type conn struct {
	s      *Server
	nc     net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	fields [][]byte
	quiet  bool // noreply: the command's own replies are dropped
	num    []byte
}

var errQuit = errors.New("quit")

func serve(s *Server, nc net.Conn) {
	c := &conn{s: s, nc: nc}
	c.r = bufio.NewReaderSize(deadlineReader{c}, max(s.cfg.MaxLineBytes, 16<<10))
	c.w = bufio.NewWriterSize(deadlineWriter{c}, 16<<10)
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				c.quiet = false
				c.text("CLIENT_ERROR line too long\r\n")
				c.w.Flush()
			}
			return
		}
		if err := c.command(line); err != nil {
			c.w.Flush()
			return
		}
		// Replies of pipelined commands leave together.
		if c.r.Buffered() == 0 {
			if c.w.Flush() != nil {
				return
			}
		}
	}
}

type deadlineReader struct{ *conn }

func (d deadlineReader) Read(p []byte) (int, error) {
	// The other side may be waiting for replies before it sends the rest.
	if d.w.Buffered() > 0 {
		if err := d.w.Flush(); err != nil {
			return 0, err
		}
	}
	d.nc.SetReadDeadline(time.Now().Add(d.s.cfg.IdleTimeout))
	return d.nc.Read(p)
}

type deadlineWriter struct{ *conn }

func (d deadlineWriter) Write(p []byte) (int, error) {
	d.nc.SetWriteDeadline(time.Now().Add(d.s.cfg.WriteTimeout))
	return d.nc.Write(p)
}

func (c *conn) text(s string) {
	if !c.quiet {
		c.w.WriteString(s)
	}
}

// clientError is an error that noreply does not silence: the client is lost anyway.
func (c *conn) clientError(why string) {
	c.w.WriteString("CLIENT_ERROR ")
	c.w.WriteString(why)
	c.w.WriteString("\r\n")
}

// split cuts line at spaces.
func (c *conn) split(line []byte) [][]byte {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
	c.fields = c.fields[:0]
	for len(line) > 0 {
		i := bytes.IndexByte(line, ' ')
		if i < 0 {
			i = len(line)
		}
		if i > 0 {
			c.fields = append(c.fields, line[:i])
		}
		line = line[min(i+1, len(line)):]
	}
	return c.fields
}

func (c *conn) command(line []byte) error {
	f := c.split(line)
	c.quiet = false
	if len(f) == 0 {
		c.text("ERROR\r\n")
		return nil
	}
	verb := string(f[0])
	switch verb {
	case "set", "add", "replace", "append", "prepend", "cas", "incr", "decr", "touch", "delete", "flush_all", "verbosity":
		c.quiet = len(f) > 1 && string(f[len(f)-1]) == "noreply"
	}
	switch verb {
	case "get", "gets":
		c.get(f[1:], verb == "gets", false, 0)
	case "gat", "gats":
		c.gat(f, verb == "gats")
	case "set", "add", "replace", "append", "prepend", "cas":
		return c.store(verb, f)
	case "incr", "decr":
		c.delta(f, verb == "decr")
	case "touch":
		c.touch(f)
	case "delete":
		c.delete(f)
	case "flush_all":
		c.flush(f)
	case "version":
		c.text("VERSION " + Version + "\r\n")
	case "verbosity":
		c.verbosity(f)
	case "stats":
		c.stats(f)
	case "quit":
		return errQuit
	default:
		c.text("ERROR\r\n")
	}
	return nil
}

func (c *conn) badFormat() { c.clientError("bad command line format") }

// keyed checks the number of fields and the key.
func (c *conn) keyed(f [][]byte, least, most int) bool {
	if c.quiet {
		most++
	}
	if len(f) < least || len(f) > most {
		c.quiet = false
		c.text("ERROR\r\n")
		return false
	}
	if len(f[1]) > maxKey {
		c.badFormat()
		return false
	}
	return true
}

func (c *conn) get(keys [][]byte, withCAS, touch bool, exptime int64) {
	if len(keys) == 0 {
		c.text("ERROR\r\n")
		return
	}
	for _, key := range keys {
		if len(key) > maxKey {
			c.badFormat()
			return
		}
	}
	for _, key := range keys {
		it := c.s.store.get(key, touch, exptime)
		if it == nil {
			continue
		}
		b := append(c.num[:0], "VALUE "...)
		b = append(b, key...)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(it.flags), 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(len(it.value)), 10)
		if withCAS {
			b = append(b, ' ')
			b = strconv.AppendUint(b, it.cas, 10)
		}
		c.num = append(b, '\r', '\n')
		c.w.Write(c.num)
		c.w.Write(it.value)
		c.w.WriteString("\r\n")
	}
	c.w.WriteString("END\r\n")
}

func (c *conn) gat(f [][]byte, withCAS bool) {
	if len(f) < 3 {
		c.text("ERROR\r\n")
		return
	}
	exptime, err := strconv.ParseInt(string(f[1]), 10, 64)
	if err != nil {
		c.clientError("invalid exptime argument")
		return
	}
	c.get(f[2:], withCAS, true, exptime)
}

// store reads "verb key flags exptime bytes [cas] [noreply]" and the data block.
func (c *conn) store(verb string, f [][]byte) error {
	want := 5
	if verb == "cas" {
		want = 6
	}
	if len(f) < want || len(f) > want+1 {
		c.quiet = false
		c.text("ERROR\r\n")
		return nil
	}
	flags, err1 := strconv.ParseUint(string(f[2]), 10, 32)
	exptime, err2 := strconv.ParseInt(string(f[3]), 10, 64)
	size, err3 := strconv.ParseInt(string(f[4]), 10, 32)
	var cas uint64
	var err4 error
	if verb == "cas" {
		cas, err4 = strconv.ParseUint(string(f[5]), 10, 64)
	}
	if len(f[1]) > maxKey || err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		c.badFormat()
		if err3 == nil && size >= 0 { // or the data would be read as commands
			return c.swallow(int(size) + 2)
		}
		return nil
	}
	if size < 0 {
		c.clientError("bad data chunk")
		return nil
	}
	key := bytes.Clone(f[1]) // the line's buffer is reused for the data
	if len(key)+int(size)+itemOverhead > c.s.cfg.MaxValueBytes {
		c.text(string(tooLarge))
		if verb == "set" {
			c.s.store.delete(key)
		}
		return c.swallow(int(size) + 2)
	}
	value := make([]byte, size+2)
	if _, err := io.ReadFull(c.r, value); err != nil {
		return err
	}
	if value[size] != '\r' || value[size+1] != '\n' {
		c.clientError("bad data chunk")
		if value[size+1] == '\n' {
			return nil
		}
		return c.toLineEnd()
	}
	c.text(string(c.s.store.write(verb, key, uint32(flags), exptime, value[:size:size], cas)))
	return nil
}

func (c *conn) swallow(n int) error {
	_, err := c.r.Discard(n)
	return err
}

// toLineEnd skips the rest of a data block that was longer than announced.
func (c *conn) toLineEnd() error {
	for {
		_, err := c.r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func (c *conn) delta(f [][]byte, down bool) {
	if !c.keyed(f, 3, 3) {
		return
	}
	delta, err := strconv.ParseUint(string(f[2]), 10, 64)
	if err != nil {
		c.clientError("invalid numeric delta argument")
		return
	}
	n, why := c.s.store.delta(f[1], delta, down)
	if why != "" {
		c.text(string(why))
		return
	}
	c.text(strconv.FormatUint(n, 10) + "\r\n")
}

func (c *conn) touch(f [][]byte) {
	if !c.keyed(f, 3, 3) {
		return
	}
	exptime, err := strconv.ParseInt(string(f[2]), 10, 64)
	if err != nil {
		c.clientError("invalid exptime argument")
		return
	}
	c.text(string(c.s.store.touch(f[1], exptime)))
}

func (c *conn) delete(f [][]byte) {
	if !c.keyed(f, 2, 3) {
		return
	}
	// Old clients send a time, which must be 0.
	if n := len(f); n == 4 && string(f[2]) != "0" || n == 3 && string(f[2]) != "0" && !c.quiet {
		c.clientError("bad command line format.  Usage: delete <key> [noreply]")
		return
	}
	c.text(string(c.s.store.delete(f[1])))
}

func (c *conn) flush(f [][]byte) {
	if c.quiet {
		f = f[:len(f)-1]
	}
	var delay int64
	if len(f) > 1 {
		var err error
		if delay, err = strconv.ParseInt(string(f[1]), 10, 64); err != nil || len(f) > 2 {
			c.badFormat()
			return
		}
	}
	c.s.store.flush(delay)
	c.text("OK\r\n")
}

func (c *conn) verbosity(f [][]byte) {
	if c.quiet {
		return
	}
	if len(f) != 2 {
		c.text("ERROR\r\n")
		return
	}
	if _, err := strconv.ParseUint(string(f[1]), 10, 32); err != nil {
		c.badFormat()
		return
	}
	c.text("OK\r\n")
}
