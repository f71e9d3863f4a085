package statement

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Line is one line of a statement.
type Line struct {
	Number    int // in the file, from 1
	Key       string
	Amount    int64 // fen
	Reference string
}

// ErrFormat: the file is not a statement. The message tells line and column.
var ErrFormat = errors.New("not a statement")

// Read calls fn for every line.
func Read(r io.Reader, fn func(Line) error) error {
	b := bufio.NewReader(r)
	if mark, err := b.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = b.Discard(3)
	}
	c := csv.NewReader(b)
	c.Comment, c.ReuseRecord, c.TrimLeadingSpace = '#', true, true
	head, err := c.Read()
	if err != nil {
		return fmt.Errorf("%w: header: %v", ErrFormat, err)
	}
	at := map[string]int{}
	for i, name := range head {
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := at[name]; twice && name != "" {
			return fmt.Errorf("%w: column %q stands twice in the header", ErrFormat, name)
		}
		at[name] = i
	}
	key, hasKey := at["key"]
	amount, fen := at["amount"]
	yuan, hasYuan := at["amount_yuan"]
	ref, hasRef := at["reference"]
	if !hasKey || fen == hasYuan {
		return fmt.Errorf("%w: the header needs the columns key and amount (fen) or amount_yuan, it has %q", ErrFormat, head)
	}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %v", ErrFormat, err)
		}
		n, _ := c.FieldPos(0)
		l := Line{Number: n, Key: strings.Clone(strings.TrimSpace(row[key]))}
		if l.Key == "" {
			return fmt.Errorf("%w: line %d: no key", ErrFormat, n)
		}
		if fen {
			l.Amount, err = strconv.ParseInt(strings.TrimSpace(row[amount]), 10, 64)
		} else {
			l.Amount, err = parseYuan(strings.TrimSpace(row[yuan]))
		}
		if err != nil || l.Amount < 0 {
			return fmt.Errorf("%w: line %d: bad amount %q", ErrFormat, n, row[amount+yuan]) // the one that is absent is 0
		}
		if hasRef {
			l.Reference = strings.Clone(row[ref])
		}
		if err := fn(l); err != nil {
			return err
		}
	}
}

// parseYuan reads "12", "12.3" and "12.34"; floating point never touches money.
func parseYuan(s string) (int64, error) {
	whole, cents, dot := strings.Cut(s, ".")
	if len(cents) > 2 || dot && cents == "" {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil {
		return 0, err
	}
	c, err := strconv.ParseUint((cents + "00")[:2], 10, 8)
	if err != nil {
		return 0, err
	}
	if n > (math.MaxInt64-c)/100 {
		return 0, strconv.ErrRange
	}
	return int64(n*100 + c), nil
}
