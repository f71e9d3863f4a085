package socket

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"sluice/lua/vm"
)

// session is what a handshake can be resumed with: the script's handle on it,
// and crypto/tls's cache of one. TLS 1.3 sends its ticket after the handshake,
// so a handle is empty until something was read.
type session struct {
	mu    sync.Mutex
	state *tls.ClientSessionState
}

func (s *session) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.state != nil
}

func (s *session) Put(_ string, state *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// verifyError is why a certificate was refused, in OpenSSL's words and number;
// number 0 is the name that did not fit.
type verifyError struct {
	number int
	text   string
}

func (e *verifyError) Error() string {
	if e.number == 0 {
		return e.text
	}
	return fmt.Sprintf("%d: %s", e.number, e.text)
}

// sslHandshake is sock:sslhandshake(session?, name?, verify?): it makes the
// connection a TLS one and answers a session, or true when the first argument
// is false.
func sslHandshake(t *vm.Thread) int {
	n := t.NArgs()
	if n < 1 || n > 5 {
		t.Errorf("ngx.socket sslhandshake: expecting 1 ~ 5 arguments (including the object), but seen %d", n)
	}
	s := sockOf(t)
	if s.conn == nil && s.connecting {
		s.own(t)
		s.busy(t, true, true)
		return 2
	}
	if s.conn == nil || s.readClosed || s.writeClosed {
		return s.gone(t, "handshake")
	}
	s.own(t)
	if s.busy(t, true, true) {
		return 2
	}
	var old *session
	keep := true
	switch v := t.Arg(2); v.Type() {
	case vm.TypeNil:
	case vm.TypeBoolean:
		keep = v.Truthy()
	default:
		ok := false
		if u := v.AsUserdata(); u != nil {
			old, ok = u.Data.(*session)
		}
		if !ok {
			t.ArgError(2, "session expected, got "+v.Type().String())
		}
	}
	name := t.OptString(3, "")
	verify := t.ToBool(4)
	if t.ToBool(5) {
		return noText(t, "asking for the certificate's status is not supported") // as nginx says it without NGX_HTTP_SSL_OCSP
	}
	if _, ok := s.conn.(*tls.Conn); ok { // from the pool, done already
		return s.pushSession(t, keep)
	}
	sess := &session{}
	if old != nil {
		state, _ := old.Get("")
		sess.Put("", state)
	}
	conn := tls.Client(s.conn, s.lib.pools.cfg.tlsConfig(name, verify, sess))
	s.session = sess
	deadline := s.lib.until(t, s.connectTimeout, s.lib.pools.cfg.ConnectTimeout)
	var err error
	s.block(t, &s.connecting, func() {
		_ = conn.SetDeadline(deadline)
		err = conn.Handshake()
		_ = conn.SetDeadline(time.Time{})
	})
	if s.conn == nil {
		return no(t, errClosed)
	}
	if err != nil {
		return s.handshakeError(t, err, name)
	}
	s.conn = conn
	return s.pushSession(t, keep)
}

func (s *sock) pushSession(t *vm.Thread, keep bool) int {
	if !keep || s.session == nil {
		t.PushBool(true)
		return 1
	}
	t.Push(vm.NewUserdata(s.session, nil).Value())
	return 1
}

func (s *sock) handshakeError(t *vm.Thread, err error, name string) int {
	var refused *verifyError
	p := plain(err)
	switch {
	case errors.As(err, &refused) && refused.number == 0:
		s.lib.log(t, LevelError, fmt.Sprintf("lua ssl certificate does not match host \"%s\"", name))
		p = refused
	case errors.As(err, &refused):
		s.lib.log(t, LevelError, fmt.Sprintf("lua ssl certificate verify error: (%s)", refused))
		p = refused
	case p == errTimeout:
		s.ft = ftTimeout
		s.lib.log(t, LevelError, "lua tcp socket ssl handshake timed out")
	case p == errClosed, errno(err) != 0:
		s.lib.log(t, LevelError, "SSL_do_handshake() failed: "+err.Error())
		p = errors.New("handshake failed")
	default:
		s.lib.log(t, LevelError, "SSL_do_handshake() failed ("+err.Error()+")")
		p = errors.New("handshake failed")
	}
	s.finalize()
	return no(t, p)
}

// tlsConfig is the handshake's configuration. crypto/tls's own check wants a
// name; as in OpenResty, a script may verify the chain alone.
func (c Config) tlsConfig(name string, verify bool, sess *session) *tls.Config {
	tc := &tls.Config{ServerName: name, InsecureSkipVerify: true, ClientSessionCache: sess, MinVersion: tls.VersionTLS12}
	if !verify {
		return tc
	}
	tc.VerifyConnection = func(st tls.ConnectionState) error {
		if len(st.PeerCertificates) == 0 {
			return &verifyError{1, "no certificate"}
		}
		leaf := st.PeerCertificates[0]
		opts := x509.VerifyOptions{Roots: c.TrustedCAs, Intermediates: x509.NewCertPool()}
		for _, ca := range st.PeerCertificates[1:] {
			opts.Intermediates.AddCert(ca)
		}
		if _, err := leaf.Verify(opts); err != nil {
			return asVerifyError(leaf, err)
		}
		if name != "" && leaf.VerifyHostname(name) != nil {
			return &verifyError{0, "certificate host mismatch"}
		}
		return nil
	}
	return tc
}

func asVerifyError(leaf *x509.Certificate, err error) error {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if time.Now().Before(invalid.Cert.NotBefore) {
			return &verifyError{9, "certificate is not yet valid"}
		}
		return &verifyError{10, "certificate has expired"}
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return &verifyError{26, "unsuitable certificate purpose"}
	case errors.As(err, &unknown) && leaf.CheckSignatureFrom(leaf) == nil, string(leaf.RawIssuer) == string(leaf.RawSubject):
		return &verifyError{18, "self-signed certificate"}
	case errors.As(err, &unknown):
		return &verifyError{20, "unable to get local issuer certificate"}
	}
	return &verifyError{1, "unspecified certificate verification error: " + err.Error()}
}

// transport is the connection below TLS, if there is any: what the system knows.
func transport(c net.Conn) net.Conn {
	if tc, ok := c.(*tls.Conn); ok {
		return tc.NetConn()
	}
	return c
}

// quietTLS tells whether what came on an idle TLS connection was no data: the
// server may send tickets whenever it likes.
func quietTLS(c net.Conn) bool {
	if _, ok := c.(*tls.Conn); !ok {
		return false
	}
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	var b [1]byte
	n, err := c.Read(b[:])
	return n == 0 && plain(err) == errTimeout
}
