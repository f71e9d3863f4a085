package source

import (
	"bytes"
	"errors"
)

// jsonReader reads one JSON object a line.
type jsonReader struct {
	lines *lineReader
	file  string
	names nameCache
	row   Row
}

func (j *jsonReader) Next() (*Row, error) {
	for {
		line, err := j.lines.next()
		if errors.Is(err, errLongLine) {
			return nil, badRow(j.file, j.lines.line, line, "row longer than %d bytes", maxLine)
		}
		if err != nil {
			return nil, err
		}
		if j.lines.line == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		j.row = Row{File: j.file, Line: j.lines.line, Fields: j.row.Fields[:0], Raw: line}
		fields, why := objectFields(line, j.row.Fields, &j.names)
		j.row.Fields = fields
		if why != "" {
			return nil, badRow(j.file, j.lines.line, line, "%s", why)
		}
		return &j.row, nil
	}
}
