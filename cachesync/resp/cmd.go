package resp

import "strconv"

// Cmd is a command with its reply. Reset, fill and Do it again and again: its
// memory is reused. The zero value is ready for Reset.
type Cmd struct {
	Reply Value // after Do returned nil
	Err   error // of DoAll and Finish

	body   []byte // encoded arguments
	nargs  int
	slot   int // hash slot of the first key, -1 = none
	values store
	call   *call // between Queue and Finish
}

// Reset starts a new command. The last reply becomes invalid.
func (c *Cmd) Reset(name string) *Cmd {
	c.body, c.nargs, c.slot = c.body[:0], 0, -1
	c.Reply, c.Err = Value{}, nil
	return c.Arg(name)
}

// Ready says of a queued command that Finish would not wait: true also for one that was not
// queued. A redirection can still make it wait.
func (c *Cmd) Ready() bool { return c.call == nil || c.call.Ready() }

func (c *Cmd) head(n int) {
	c.nargs++
	c.body = append(c.body, '$')
	c.body = strconv.AppendInt(c.body, int64(n), 10)
	c.body = append(c.body, '\r', '\n')
}

// Arg appends an argument.
func (c *Cmd) Arg(s string) *Cmd {
	c.head(len(s))
	c.body = append(append(c.body, s...), '\r', '\n')
	return c
}

// Bytes appends a binary argument.
func (c *Cmd) Bytes(b []byte) *Cmd {
	c.head(len(b))
	c.body = append(append(c.body, b...), '\r', '\n')
	return c
}

// Int appends a number.
func (c *Cmd) Int(n int64) *Cmd {
	var tmp [20]byte
	return c.Bytes(strconv.AppendInt(tmp[:0], n, 10))
}

// Key appends a key; in a cluster the first one picks the node.
func (c *Cmd) Key(s string) *Cmd {
	if c.slot < 0 {
		c.slot = int(slotOf(s))
	}
	return c.Arg(s)
}

// encode appends the whole command.
func (c *Cmd) encode(dst []byte) []byte {
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(c.nargs), 10)
	dst = append(dst, '\r', '\n')
	return append(dst, c.body...)
}
