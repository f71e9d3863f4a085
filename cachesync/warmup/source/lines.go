package source

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine is the longest line that is read; memcached would not take more anyway.
const maxLine = 2 << 20

var errLongLine = errors.New("line too long")

// lineReader cuts a stream into lines and knows where it is.
type lineReader struct {
	r      *bufio.Reader
	long   []byte // a line longer than r's buffer
	offset int64  // behind the last line
	line   int64
	cut    bool // the last line had no end: the file stopped there
}

func newLineReader(r io.Reader, offset, line int64) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 256<<10), offset: offset, line: line}
}

// next returns a line without its end, valid until the next call. A line above
// maxLine is skipped whole and reported as errLongLine with its beginning.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	l.offset += int64(len(line))
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = append(l.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = l.r.ReadSlice('\n')
			l.offset += int64(len(line))
			if len(l.long) <= maxLine {
				l.long = append(l.long, line...)
			}
		}
		line = l.long
	}
	if err != nil && !(err == io.EOF && len(line) > 0) {
		return nil, err
	}
	l.line++
	l.cut = err == io.EOF
	if len(line) > maxLine {
		return line[:sampleBytes], errLongLine
	}
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), nil
}
