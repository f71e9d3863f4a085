package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// reply is what came back for one request.
type reply struct {
	raw     string // header as it came
	status  int
	headers []string // lines
	body    string
	err     error // no or a broken answer
}

// packets are the bytes to send, by connection.
func (s *site) packets() [][]string {
	b := s.b
	if v := b.section("raw_request"); v.set {
		if v.many {
			var l []string
			for _, x := range v.list {
				l = append(l, latin1(s.expand(x.text)))
			}
			return [][]string{{strings.Join(l, "")}}
		}
		return [][]string{{latin1(s.expand(v.text))}}
	}
	if v := b.section("pipelined_requests"); v.set {
		var l []string
		for i, x := range v.list {
			l = append(l, s.request(x.text, b.section("more_headers").at(i).text, i == len(v.list)-1))
		}
		return [][]string{l}
	}
	v := b.section("request")
	if !v.many {
		return [][]string{{s.request(v.text, b.section("more_headers").at(0).text, true)}}
	}
	var out [][]string
	for i, x := range v.list {
		out = append(out, []string{s.request(x.text, b.section("more_headers").at(i).text, true)})
	}
	return out
}

func (s *site) request(spec, more string, last bool) string {
	spec = latin1(s.expand(strings.TrimLeft(spec, " \t\n")))
	first, body, _ := strings.Cut(spec, "\n")
	body = strings.TrimSuffix(body, "\n") // as Test::Base chomps a section
	if strings.TrimSpace(body) == "" {
		body = ""
	}
	f := strings.Fields(first)
	meth, uri, ver := "GET", "/", "HTTP/1.1"
	if len(f) > 0 {
		meth = f[0]
	}
	if len(f) > 1 {
		uri = f[1]
	}
	if len(f) > 2 {
		ver = f[2]
	}
	var h strings.Builder
	fmt.Fprintf(&h, "%s %s %s\r\n", meth, uri, ver)
	lm := "\n" + strings.ToLower(more)
	if !strings.Contains(lm, "\nhost:") {
		h.WriteString("Host: localhost\r\n")
	}
	if !strings.Contains(lm, "\nconnection:") {
		if last {
			h.WriteString("Connection: close\r\n")
		} else {
			h.WriteString("Connection: keep-alive\r\n")
		}
	}
	for l := range strings.SplitSeq(latin1(s.expand(more)), "\n") {
		if l != "" {
			h.WriteString(l + "\r\n")
		}
	}
	if body != "" && !strings.Contains(lm, "\ncontent-length:") && !strings.Contains(lm, "\ntransfer-encoding:") {
		fmt.Fprintf(&h, "Content-Length: %d\r\n", len(body))
	}
	h.WriteString("\r\n")
	return h.String() + body
}

// talk sends one connection's requests and reads the answers.
func talk(addr string, reqs []string, timeout time.Duration) []reply {
	out := make([]reply, len(reqs))
	fail := func(from int, err error) []reply {
		for i := from; i < len(out); i++ {
			out[i].err = err
		}
		return out
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return fail(0, err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(timeout))
	if _, err := io.WriteString(c, strings.Join(reqs, "")); err != nil {
		return fail(0, err)
	}
	br := bufio.NewReaderSize(c, 64<<10)
	for i := range reqs {
		head := strings.HasPrefix(reqs[i], "HEAD ")
		out[i] = readReply(br, head)
		if out[i].err != nil {
			return fail(i+1, out[i].err)
		}
	}
	return out
}

func readReply(br *bufio.Reader, head bool) (r reply) {
	start, err := br.Peek(5)
	if err != nil {
		r.err = fmt.Errorf("no answer: %w", err)
		return r
	}
	if string(start) != "HTTP/" {
		all, _ := io.ReadAll(br)
		r.status, r.body = 200, string(all) // HTTP/0.9
		return r
	}
	var raw bytes.Buffer
	for {
		line, err := br.ReadString('\n')
		raw.WriteString(line)
		if err != nil {
			r.err = fmt.Errorf("broken header: %w", err)
			return r
		}
		if strings.TrimRight(line, "\r\n") == "" {
			break
		}
	}
	r.raw = raw.String()
	lines := strings.Split(strings.ReplaceAll(r.raw, "\r\n", "\n"), "\n")
	if f := strings.Fields(lines[0]); len(f) > 1 {
		r.status, _ = strconv.Atoi(f[1])
	}
	r.headers = lines[1:]
	if head || r.status == 204 || r.status == 304 || r.status >= 100 && r.status < 200 {
		return r
	}
	if te, ok := r.header("transfer-encoding"); ok && strings.Contains(strings.ToLower(te), "chunked") {
		r.body, r.err = readChunked(br)
		return r
	}
	if cl, ok := r.header("content-length"); ok {
		n, err := strconv.Atoi(cl)
		if err != nil || n < 0 {
			r.err = fmt.Errorf("bad Content-Length %q", cl)
			return r
		}
		b := make([]byte, n)
		m, err := io.ReadFull(br, b)
		r.body = string(b[:m])
		_ = err // a short body is compared as it came
		return r
	}
	all, err := io.ReadAll(br)
	r.body = string(all)
	if err != nil && len(all) == 0 {
		r.err = err
	}
	return r
}

func readChunked(br *bufio.Reader) (string, error) {
	var b bytes.Buffer
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return b.String(), nil // a broken end is compared as it came
		}
		n, err := strconv.ParseInt(strings.TrimSpace(line), 16, 64)
		if err != nil {
			return b.String(), fmt.Errorf("bad chunk %q", line)
		}
		if n == 0 {
			for {
				line, err := br.ReadString('\n')
				if err != nil || strings.TrimSpace(line) == "" {
					return b.String(), nil
				}
			}
		}
		if _, err := io.CopyN(&b, br, n); err != nil {
			return b.String(), nil
		}
		_, _ = br.ReadString('\n')
	}
}

func (r *reply) header(name string) (string, bool) {
	var vals []string
	for _, l := range r.headers {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(strings.TrimSpace(k), name) {
			vals = append(vals, strings.TrimSpace(v))
		}
	}
	return strings.Join(vals, ", "), len(vals) > 0
}
