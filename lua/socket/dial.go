package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Resolver finds the addresses of a host name.
type Resolver interface {
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
}

// Errors in the words scripts see.
var (
	errTimeout   = errors.New("timeout")
	errClosed    = errors.New("closed")
	errTooMany   = errors.New("too many waiting connect operations")
	errUnread    = errors.New("unread data in buffer")
	errDubious   = errors.New("connection in dubious state")
	errMissing   = errors.New("missing the port number")
	errBadPeer   = errors.New("bad address")
	errNoPattern = errors.New("pattern is empty")
)

// errno finds the system's error in err, zero if there is none.
func errno(err error) syscall.Errno {
	var n syscall.Errno
	errors.As(err, &n)
	return n
}

// plain turns a network error into the one scripts see.
func plain(err error) error {
	var ne net.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return errClosed
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return errTimeout
	case errno(err) != 0:
		return errors.New(strings.ToLower(errno(err).Error()))
	case errors.As(err, &ne) && ne.Timeout():
		return errTimeout
	}
	return err
}

// failed is nginx's log line for a system call: "connect() failed (111:
// Connection refused)".
func failed(what string, err error) string {
	n := errno(err)
	text := n.Error()
	return fmt.Sprintf("%s failed (%d: %s%s)", what, int(n), strings.ToUpper(text[:1]), text[1:])
}

// target is where to connect: an address for net.Dial.
type target struct {
	network, addr string
	host          string // to be resolved, empty when addr is complete
	port          int
}

// parseTarget reads the host argument of connect.
func parseTarget(host string, port int) (target, error) {
	if path, ok := cutUnix(host); ok {
		// The name ends at the first zero byte or, as nginx parses it, colon.
		path, _, _ = strings.Cut(path, "\x00")
		return target{network: "unix", addr: path}, nil
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if net.ParseIP(bare) != nil {
		return target{network: "tcp", addr: net.JoinHostPort(bare, strconv.Itoa(port))}, nil
	}
	if host == "" {
		return target{}, errors.New(`failed to parse host name "": no host`)
	}
	if strings.ContainsAny(host, "/:\x00 ") {
		return target{}, fmt.Errorf("failed to parse host name \"%s\": invalid host", host)
	}
	return target{network: "tcp", host: host, port: port}, nil
}

func cutUnix(host string) (string, bool) {
	if len(host) >= 5 && strings.EqualFold(host[:5], "unix:") {
		return host[5:], true
	}
	return "", false
}

// dial connects; network is "tcp" or "udp" in front of t's own.
func (p *Pools) dial(t target, udp bool, local net.IP, deadline time.Time) (net.Conn, error) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	network := t.network
	d := net.Dialer{KeepAlive: -1}
	switch {
	case udp && network == "unix":
		network = "unixgram"
	case udp:
		network = "udp"
		if local != nil {
			d.LocalAddr = &net.UDPAddr{IP: local}
		}
	case local != nil && network == "tcp":
		d.LocalAddr = &net.TCPAddr{IP: local}
	}
	if t.host == "" {
		return d.DialContext(ctx, network, t.addr)
	}
	ips, err := p.lookup(ctx, t.host)
	if err != nil {
		return nil, err
	}
	var c net.Conn
	for _, ip := range ips {
		c, err = d.DialContext(ctx, network, net.JoinHostPort(ip.String(), strconv.Itoa(t.port)))
		if err == nil {
			return c, nil
		}
	}
	return nil, err
}

// lookup resolves a name; IPv4 addresses come first.
func (p *Pools) lookup(ctx context.Context, host string) ([]net.IPAddr, error) {
	var r Resolver = net.DefaultResolver
	if p.cfg.Resolver != nil {
		r = p.cfg.Resolver
	}
	ips, err := r.LookupIPAddr(ctx, host)
	if err != nil || len(ips) == 0 {
		code, text := 3, "Host not found"
		var de *net.DNSError
		if errors.As(err, &de) && !de.IsNotFound {
			code, text = 2, "Server failure"
			if de.IsTimeout {
				code, text = 110, "Operation timed out"
			}
		}
		return nil, fmt.Errorf("%s could not be resolved (%d: %s)", host, code, text)
	}
	var four, six []net.IPAddr
	for _, ip := range ips {
		if ip.IP.To4() != nil {
			four = append(four, ip)
		} else {
			six = append(six, ip)
		}
	}
	return append(four, six...), nil
}
