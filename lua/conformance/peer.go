package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// peer is the tcp_listen server of a block.
type peer struct {
	l   net.Listener
	mu  sync.Mutex
	got string
}

func (s *site) listen() (*peer, error) {
	p := &peer{}
	addr := strings.TrimSpace(s.expand(s.b.text("tcp_listen")))
	if addr == "" {
		return p, nil
	}
	network := "tcp"
	if strings.HasPrefix(addr, "/") || strings.HasSuffix(addr, ".sock") {
		network = "unix"
	} else if !strings.Contains(addr, ":") {
		addr = "127.0.0.1:" + addr
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	p.l = l
	want, _ := strconv.Atoi(strings.TrimSpace(s.b.text("tcp_query_len")))
	answer := latin1(s.expand(s.b.text("tcp_reply")))
	shut := s.b.text("tcp_shutdown")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c, want, answer, shut)
		}
	}()
	return p, nil
}

func (p *peer) serve(c net.Conn, want int, answer, shut string) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(4 * time.Second))
	if strings.TrimSpace(shut) == "1" {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.CloseWrite()
		}
	}
	buf := make([]byte, 64<<10)
	var got []byte
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil || want > 0 && len(got) >= want || want == 0 && n > 0 {
			break
		}
	}
	p.mu.Lock()
	p.got = string(got)
	p.mu.Unlock()
	_, _ = io.WriteString(c, answer)
}

func (p *peer) check(b *Block) error {
	if p.l == nil || !b.has("tcp_query") {
		return nil
	}
	time.Sleep(20 * time.Millisecond)
	p.mu.Lock()
	defer p.mu.Unlock()
	if want := latin1(b.text("tcp_query")); p.got != strings.TrimSuffix(want, "\n") && p.got != want {
		return fmt.Errorf("the peer got %q, want %q", p.got, want)
	}
	return nil
}

func (p *peer) close() {
	if p.l != nil {
		_ = p.l.Close()
	}
}
