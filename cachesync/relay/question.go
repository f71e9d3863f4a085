package relay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"sluice/cachesync/pipeline"
	"sluice/cachesync/record"
)

// Bounds of a question. The largest is a batch of users' states or the list of a red packet.
const (
	maxArgs     = 1 << 16
	maxQuestion = 16 << 20 // bytes
	maxStranger = 1 << 10  // bytes, before AUTH
)

// errProtocol: what came is no question; the connection cannot go on.
var errProtocol = errors.New("relay: not the Redis protocol, or too large")

// firstKey is which argument of an allowed command is its first key; 0: it has none.
var firstKey = map[string]int{
	"EVALSHA": 3, "GET": 1, "HGET": 1, "HMGET": 1, "HGETALL": 1, "EXISTS": 1, "SCRIPT": 0,
}

// length reads a line such as *3 or $12.
func length(r *pipeline.Reader, mark byte, limit int) (int, error) {
	line, err := r.Line()
	if err != nil {
		return 0, err
	}
	if len(line) < 2 || line[0] != mark {
		return 0, errProtocol
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < 0 || n > limit {
		return 0, errProtocol
	}
	return n, nil
}

// read reads one question of at most limit bytes.
func (it *item) read(r *pipeline.Reader, limit int) error {
	n, err := length(r, '*', maxArgs)
	if err != nil {
		return err
	}
	if n == 0 {
		return errProtocol
	}
	it.text, it.ends = it.text[:0], it.ends[:0]
	for range n {
		size, err := length(r, '$', limit-len(it.text))
		if err != nil {
			return err
		}
		at := len(it.text)
		if cap(it.text) < at+size {
			it.text = append(make([]byte, 0, max(2*cap(it.text), at+size, 512)), it.text...)
		}
		it.text = it.text[:at+size]
		if err := r.ReadFull(it.text[at:]); err != nil {
			return err
		}
		it.ends = append(it.ends, at+size)
		if end, err := r.Line(); err != nil || len(end) != 0 {
			return errors.Join(errProtocol, err)
		}
	}
	it.name = strings.ToUpper(string(it.arg(0)))
	return nil
}

// arg is argument i of what was read.
func (it *item) arg(i int) []byte {
	from := 0
	if i > 0 {
		from = it.ends[i-1]
	}
	return it.text[from:it.ends[i]]
}

// encode makes the command that goes to the home, or says why there is none.
func (it *item) encode() error {
	at, ok := firstKey[it.name]
	switch {
	case !ok:
		return fmt.Errorf("%.20q is not a question to a home", it.name)
	case it.name == "SCRIPT" && (len(it.ends) < 2 || !strings.EqualFold(string(it.arg(1)), "EXISTS")):
		return errors.New("only SCRIPT EXISTS may be asked")
	case at >= len(it.ends):
		return fmt.Errorf("%s without a key", it.name)
	}
	keys := 1
	switch it.name {
	case "SCRIPT":
		keys = 0
	case "EXISTS":
		keys = len(it.ends) - 1
	case "EVALSHA":
		n, err := strconv.Atoi(string(it.arg(2)))
		if err != nil || n < 1 || n > len(it.ends)-3 {
			return errors.New("EVALSHA needs at least one key")
		}
		keys = n
	}
	it.cmd.Reset(it.name)
	first := 0
	for i := 1; i < len(it.ends); i++ {
		if i < at || i >= at+keys {
			it.cmd.Bytes(it.arg(i))
			continue
		}
		key := string(it.arg(i))
		bucket, _, ok := record.OfBucketKey(key)
		if i == at {
			first = bucket
		}
		if !ok || bucket != first {
			return fmt.Errorf("%.40q is not a key of a bucket, or of another one than the first", key)
		}
		it.cmd.Key(key)
	}
	return nil
}
