package load

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
)

// target is a resolved server.
type target struct {
	host string // for the Host header
	addr netip.AddrPort
	base string // path before the scenario's
}

// Origin checks a target's URL and splits it: TLS is refused, because the front that ends TLS is
// not what is measured here.
func Origin(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%w: %q is not a URL such as http://127.0.0.1:8080", ErrConfig, raw)
	}
	if u.Scheme != "http" {
		return nil, fmt.Errorf("%w: %q is %s; only http is spoken: measure the listener behind the TLS front", ErrConfig, raw, u.Scheme)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: %q may hold only scheme, host, port and path", ErrConfig, raw)
	}
	return u, nil
}

func resolve(ctx context.Context, raw string) (target, error) {
	u, err := Origin(raw)
	if err != nil {
		return target{}, err
	}
	port := 80
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return target{}, fmt.Errorf("%w: the port of %q is not from 1 to 65535", ErrConfig, raw)
		}
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil || len(ips) == 0 {
		return target{}, fmt.Errorf("load: resolve %s: %w", u.Hostname(), err)
	}
	ip := ips[0].Unmap()
	for _, other := range ips { // IPv4 first: servers listen on it more often
		if other.Unmap().Is4() {
			ip = other.Unmap()
			break
		}
	}
	base := u.EscapedPath()
	for len(base) > 0 && base[len(base)-1] == '/' {
		base = base[:len(base)-1]
	}
	return target{host: u.Host, addr: netip.AddrPortFrom(ip, uint16(port)), base: base}, nil
}
