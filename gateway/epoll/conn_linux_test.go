package epoll

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"
)

// pair is a connection between a client of package net and ours.
func pair(t *testing.T) (client *net.TCPConn, served net.Conn) {
	t.Helper()
	ln := listen(t)
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if served, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { served.Close() })
	return c.(*net.TCPConn), served
}

func listen(t *testing.T) *Listener {
	t.Helper()
	ln, err := Listen("tcp", "127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// await fails the test when the reads of the other goroutine do not end.
func await(t *testing.T, errs <-chan error) error {
	t.Helper()
	select {
	case err := <-errs:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("it still waits after 20 s")
		return nil
	}
}

func TestConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		ln, err := Listen("tcp", "127.0.0.1:0", Options{})
		if err != nil {
			return nil, nil, nil, err
		}
		defer ln.Close() // connections outlive their listener
		if c1, err = net.Dial("tcp", ln.Addr().String()); err != nil {
			return nil, nil, nil, err
		}
		if c2, err = ln.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
}

// The event of the request tells of its end too, and none follows.
func TestEndThatCameWithTheRequestIsRead(t *testing.T) {
	client, served := pair(t)
	if _, err := client.Write([]byte("ask")); err != nil {
		t.Fatal(err)
	}
	client.CloseWrite()
	time.Sleep(10 * time.Millisecond) // both arrive before the first Read
	b := make([]byte, 100)
	n, err := served.Read(b)
	if err != nil || string(b[:n]) != "ask" {
		t.Fatalf("first read: %q, %v", b[:n], err)
	}
	errs := make(chan error, 1)
	go func() { _, err := served.Read(b); errs <- err }()
	if err := await(t, errs); err != io.EOF {
		t.Errorf("second read: %v, want EOF", err)
	}
	if _, err := served.Write([]byte("answer")); err != nil {
		t.Errorf("half-open, write: %v", err)
	}
	served.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "answer" {
		t.Errorf("half-open, the client got %q, %v", got, err)
	}
}

// A read stops at urgent data although more follows.
func TestWhatFollowsUrgentDataIsRead(t *testing.T) {
	client, served := pair(t)
	raw, err := client.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	client.Write([]byte("abc"))
	raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) })
	if err != nil {
		t.Fatal(err)
	}
	client.Write([]byte("def"))
	time.Sleep(10 * time.Millisecond)
	errs := make(chan error, 1)
	var got []byte
	go func() {
		b := make([]byte, 100)
		for len(got) < 6 {
			n, err := served.Read(b)
			if got = append(got, b[:n]...); err != nil {
				errs <- err
				return
			}
		}
		errs <- nil
	}()
	if err := await(t, errs); err != nil || string(got) != "abcdef" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestResetEndsARead(t *testing.T) {
	client, served := pair(t)
	errs := make(chan error, 1)
	go func() { _, err := served.Read(make([]byte, 10)); errs <- err }()
	client.SetLinger(0)
	client.Close()
	if err := await(t, errs); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("read: %v, want a reset", err)
	}
}

func TestCloseEndsAReadAndAWrite(t *testing.T) {
	_, served := pair(t)
	errs := make(chan error, 2)
	go func() { _, err := served.Read(make([]byte, 10)); errs <- err }()
	go func() { _, err := served.Write(make([]byte, 64<<20)); errs <- err }() // nobody reads it
	time.Sleep(20 * time.Millisecond)
	if err := served.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := await(t, errs); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	}
	if err := served.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

func TestDeadlineEndsAWriteThatNobodyReads(t *testing.T) {
	_, served := pair(t)
	served.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	errs := make(chan error, 1)
	go func() { _, err := served.Write(make([]byte, 64<<20)); errs <- err }()
	err := await(t, errs)
	var timeout net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("write: %v, want a timeout", err)
	}
}

// A deadline that is moved in time does not end the read that waits.
func TestMovedDeadline(t *testing.T) {
	client, served := pair(t)
	served.SetReadDeadline(time.Now().Add(time.Millisecond))
	served.SetReadDeadline(time.Now().Add(time.Hour))
	errs := make(chan error, 1)
	go func() { _, err := served.Read(make([]byte, 10)); errs <- err }()
	time.Sleep(2 * sweepEvery)
	client.Write([]byte("x"))
	if err := await(t, errs); err != nil {
		t.Error(err)
	}
}

// Every byte arrives, in order, when both ends are slow in turn and buffers
// and requests are of all sizes.
func TestBytesInBothDirections(t *testing.T) {
	client, served := pair(t)
	const total = 8 << 20
	text := bytes.Repeat([]byte("0123456789abcdefghijk"), total/21+1)[:total]
	var wg sync.WaitGroup
	send := func(c net.Conn, size int) {
		defer wg.Done()
		for at := 0; at < total; at += size {
			if _, err := c.Write(text[at:min(at+size, total)]); err != nil {
				t.Error(err)
				return
			}
		}
	}
	receive := func(c net.Conn, size int) {
		defer wg.Done()
		b := make([]byte, size)
		for at := 0; at < total; {
			n, err := c.Read(b)
			if err != nil || !bytes.Equal(b[:n], text[at:at+n]) {
				t.Errorf("at %d: %d bytes, %v", at, n, err)
				return
			}
			at += n
		}
	}
	wg.Add(4)
	go send(client, 7001)
	go receive(served, 1000)
	go send(served, 1<<20)
	go receive(client, 50000)
	wg.Wait()
}

func TestAddresses(t *testing.T) {
	client, served := pair(t)
	if got, want := served.LocalAddr().String(), client.RemoteAddr().String(); got != want {
		t.Errorf("local %s, want %s", got, want)
	}
	if got, want := served.RemoteAddr().String(), client.LocalAddr().String(); got != want {
		t.Errorf("remote %s, want %s", got, want)
	}
}
