package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// stamps notes when a peer's bytes came in, in microseconds by the kernel's clock: the moment
// at which a peer on this machine sent them. The time at which we look is later, and how much
// depends on what else the two cores have to do: the home, the region, the replica, the clients
// and who measures share them.
type stamps struct{ first, last atomic.Int64 }

// reset forgets the first.
func (s *stamps) reset() { s.first.Store(0) }

// dial connects with a connection that stamps; a nil *stamps dials as everybody does.
func (s *stamps) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if s == nil || err != nil {
		return c, err
	}
	tcp := c.(*net.TCPConn)
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	if e := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
	}); e != nil || err != nil {
		return nil, errors.Join(e, err)
	}
	return &stamped{TCPConn: tcp, raw: raw, s: s}, nil
}

type stamped struct {
	*net.TCPConn
	raw syscall.RawConn
	s   *stamps
	oob [64]byte
}

func (c *stamped) Read(b []byte) (n int, err error) {
	var oobn int
	wait := c.raw.Read(func(fd uintptr) bool {
		for {
			n, oobn, _, _, err = syscall.Recvmsg(int(fd), b, c.oob[:], 0)
			if err != syscall.EINTR {
				return err != syscall.EAGAIN
			}
		}
	})
	switch {
	case wait != nil:
		return 0, wait
	case err != nil:
		return 0, err
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	at := sentAt(c.oob[:oobn])
	c.s.first.CompareAndSwap(0, at)
	c.s.last.Store(at)
	return n, nil
}

// sentAt finds the kernel's time; a kernel that gives none leaves us our own.
func sentAt(oob []byte) int64 {
	list, err := syscall.ParseSocketControlMessage(oob)
	if err == nil {
		for _, m := range list {
			if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SO_TIMESTAMPNS && len(m.Data) >= 16 {
				s, ns := binary.NativeEndian.Uint64(m.Data), binary.NativeEndian.Uint64(m.Data[8:])
				return int64(s)*1e6 + int64(ns)/1e3
			}
		}
	}
	return time.Now().UnixMicro()
}
