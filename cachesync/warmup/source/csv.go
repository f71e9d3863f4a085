package source

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"unicode/utf8"
)

// csvReader reads RFC 4180: quoted fields may hold separators, quotes doubled
// and line ends. The first row names the columns.
type csvReader struct {
	lines  *lineReader
	file   string
	comma  byte
	header []string
	row    Row
	joined []byte // a row of several lines
	plain  []byte // unquoted fields
}

func (c *csvReader) readHeader() error {
	line, first, err := c.record()
	if err == io.EOF {
		return &Error{File: c.file, Err: errors.New("empty file: a CSV file begins with the names of its columns"), Hint: "was the export cut off?"}
	}
	if err != nil {
		return err
	}
	line = bytes.TrimPrefix(line, []byte("\ufeff"))
	fields, why := c.split(line, nil)
	if why == "" && !utf8.Valid(line) {
		why = "not valid UTF-8"
	}
	if why != "" {
		return &Error{File: c.file, Line: first, Err: errors.New("names of columns: " + why)}
	}
	for _, f := range fields {
		name := string(bytes.TrimSpace(f.Text))
		if name == "" || slices.Contains(c.header, name) {
			return &Error{File: c.file, Line: first, Err: errors.New("names of columns: " + name + " is empty or stands twice")}
		}
		c.header = append(c.header, name)
	}
	return nil
}

// record returns the lines of one row and the number of its first line.
func (c *csvReader) record() (line []byte, first int64, err error) {
	line, err = c.lines.next()
	first = c.lines.line
	if err != nil || !c.open(line, false) {
		return line, first, err
	}
	c.joined = append(c.joined[:0], line...)
	for open := true; open; {
		line, err = c.lines.next()
		if err == io.EOF {
			return c.joined, first, badRow(c.file, first, c.joined, "a quoted field is not closed before the file ends, in line %d", c.lines.line)
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return c.joined, first, err
		}
		c.joined = append(append(c.joined, '\n'), line...)
		if err != nil || len(c.joined) > maxLine {
			return c.joined, first, badRow(c.file, first, c.joined, "row longer than %d bytes, up to line %d: is a quoted field not closed?", maxLine, c.lines.line)
		}
		open = c.open(line, true)
	}
	return c.joined, first, nil
}

// open tells whether a quoted field goes on behind the line; open says whether one
// goes on before it. A quote inside a field that is not quoted opens nothing.
func (c *csvReader) open(line []byte, open bool) bool {
	if bytes.IndexByte(line, '"') < 0 {
		return open
	}
	for begins := !open; ; begins = true {
		if begins && len(line) > 0 && line[0] == '"' {
			line, open = line[1:], true
		}
		for open {
			i := bytes.IndexByte(line, '"')
			if i < 0 {
				return true
			}
			line = line[i+1:]
			if open = len(line) > 0 && line[0] == '"'; open { // doubled: a quote
				line = line[1:]
			}
		}
		i := bytes.IndexByte(line, c.comma)
		if i < 0 {
			return false
		}
		line = line[i+1:]
	}
}

func (c *csvReader) Next() (*Row, error) {
	for {
		line, first, err := c.record()
		var bad *BadRow
		switch {
		case errors.As(err, &bad):
			return nil, err
		case errors.Is(err, errLongLine):
			return nil, badRow(c.file, first, line, "row longer than %d bytes", maxLine)
		case err != nil:
			return nil, err
		case len(line) == 0:
			continue
		}
		if !utf8.Valid(line) {
			return nil, badRow(c.file, first, line, "not valid UTF-8; write the file as UTF-8")
		}
		c.row = Row{File: c.file, Line: first, Fields: c.row.Fields[:0]}
		fields, why := c.split(line, c.row.Fields)
		c.row.Fields = fields
		switch {
		case why != "":
			return nil, badRow(c.file, first, line, "%s", why)
		case len(fields) < len(c.header):
			return nil, badRow(c.file, first, line, "missing columns: %d of %d, no %s", len(fields), len(c.header), c.header[len(fields)])
		case len(fields) > len(c.header):
			return nil, badRow(c.file, first, line, "too many columns: %d instead of %d", len(fields), len(c.header))
		}
		for i := range fields {
			fields[i].Name = c.header[i]
		}
		return &c.row, nil
	}
}

// split cuts a row at its separators; texts alias line or c.plain.
func (c *csvReader) split(line []byte, fields []Field) ([]Field, string) {
	if bytes.IndexByte(line, '"') < 0 {
		for {
			i := bytes.IndexByte(line, c.comma)
			if i < 0 {
				return append(fields, Field{Text: line}), ""
			}
			fields = append(fields, Field{Text: line[:i]})
			line = line[i+1:]
		}
	}
	if cap(c.plain) < len(line) {
		c.plain = make([]byte, 0, 2*len(line))
	}
	c.plain = c.plain[:0]
	for {
		start := len(c.plain)
		if len(line) > 0 && line[0] == '"' {
			line = line[1:]
			for {
				i := bytes.IndexByte(line, '"')
				if i < 0 {
					return fields, "a quoted field is not closed"
				}
				c.plain = append(c.plain, line[:i]...)
				line = line[i+1:]
				if len(line) == 0 || line[0] != '"' {
					break
				}
				c.plain = append(c.plain, '"')
				line = line[1:]
			}
			fields = append(fields, Field{Text: c.plain[start:len(c.plain):len(c.plain)]})
			if len(line) == 0 {
				return fields, ""
			}
			if line[0] != c.comma {
				return fields, "text behind a closing quote"
			}
			line = line[1:]
			continue
		}
		i := bytes.IndexByte(line, c.comma)
		field := line
		if i >= 0 {
			field = line[:i]
		}
		if bytes.IndexByte(field, '"') >= 0 {
			return fields, "a quote inside a field that is not quoted"
		}
		fields = append(fields, Field{Text: field})
		if i < 0 {
			return fields, ""
		}
		line = line[i+1:]
	}
}
