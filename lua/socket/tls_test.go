package socket

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// certificate makes a certificate for edge.test, signed by parent or by itself.
func certificate(t *testing.T, parent *tls.Certificate, until time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "edge.test"}, DNSNames: []string{"edge.test"},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, BasicConstraintsValid: true, IsCA: parent == nil,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signer, signKey := tmpl, any(key)
	if parent != nil {
		signer, signKey = parent.Leaf, parent.PrivateKey
	} else {
		tmpl.Subject.CommonName = "the CA"
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, signer, &key.PublicKey, signKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// tlsServer answers each line with "SNI resumed line".
func tlsServer(t *testing.T, cert *tls.Certificate, version uint16) string {
	cfg := &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: version, MaxVersion: version}
	var key [32]byte
	cfg.SetSessionTicketKeys([][32]byte{key}) // one for all connections
	return listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		tc := tls.Server(c, cfg)
		defer tc.Close()
		r := bufio.NewReader(tc)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			st := tc.ConnectionState()
			word := " full "
			if st.DidResume {
				word = " resumed "
			}
			io.WriteString(tc, st.ServerName+word+line)
		}
	})
}

func TestTLSHandshake(t *testing.T) {
	now := time.Now()
	ca := certificate(t, nil, now.Add(24*time.Hour))
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	good := tlsServer(t, certificate(t, ca, now.Add(24*time.Hour)), tls.VersionTLS13)
	old := tlsServer(t, certificate(t, ca, now.Add(24*time.Hour)), tls.VersionTLS12)
	expired := tlsServer(t, certificate(t, ca, now.Add(-time.Hour)), tls.VersionTLS13)
	self := tlsServer(t, certificate(t, nil, now.Add(24*time.Hour)), tls.VersionTLS13)
	stranger := tlsServer(t, certificate(t, certificate(t, nil, now.Add(24*time.Hour)), now.Add(24*time.Hour)), tls.VersionTLS13)
	plain := listen(t, "tcp", "127.0.0.1:0", say("HTTP/1.1 400 speak up\r\n\r\n"))
	silent := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(io.Discard, c); c.Close() })
	f := func(addr, source, want string, logs ...string) {
		t.Helper()
		h := &host{request: 1}
		if got := run(t, h, NewPools(Config{TrustedCAs: roots}), addr, connected+source); got != want {
			t.Errorf("%s\n got %q\nwant %q", source, got, want)
		}
		for _, l := range logs {
			if !strings.Contains(strings.Join(h.logs, "\n"), l) {
				t.Errorf("%s: no %q in the log %q", source, l, h.logs)
			}
		}
	}
	f(good, `return s:sslhandshake(false, "edge.test", true), s:send("hi\n"), s:receive()`, "true|3|edge.test full hi")
	f(good, `return type(s:sslhandshake(nil, "edge.test", true)), s:send("hi\n"), s:receive()`, "userdata|3|edge.test full hi")
	f(good, `return s:sslhandshake(false, nil, true)`, "true") // the chain alone
	f(good, `return s:sslhandshake(false, "other.test", true)`, "nil|certificate host mismatch", `lua ssl certificate does not match host "other.test"`)
	f(good, `s:sslhandshake(false, "other.test", true) return s:send("x")`, "nil|closed")
	f(self, `return s:sslhandshake(false, "edge.test", true)`, "nil|18: self-signed certificate", "lua ssl certificate verify error: (18: self-signed certificate)")
	f(self, `return s:sslhandshake(false, "edge.test", false)`, "true")
	f(expired, `return s:sslhandshake(false, "edge.test", true)`, "nil|10: certificate has expired")
	f(stranger, `return s:sslhandshake(false, "edge.test", true)`, "nil|20: unable to get local issuer certificate")
	f(plain, `return s:sslhandshake()`, "nil|handshake failed", "SSL_do_handshake() failed")
	f(silent, `s:settimeout(20) return s:sslhandshake()`, "nil|timeout", "lua tcp socket ssl handshake timed out")
	f(good, `return (s:sslhandshake(1))`, "t:1: bad argument #1 to 'sslhandshake' (session expected, got number)")
	f(good, `return (s:sslhandshake(1, 2, 3, 4, 5))`, "t:1: ngx.socket sslhandshake: expecting 1 ~ 5 arguments (including the object), but seen 6")
	f(good, `return socket.tcp():sslhandshake()`, "nil|closed")
	// A session resumes, with either version; a TLS 1.3 one is there once something was read.
	for _, addr := range []string{good, old} {
		f(addr, `local sess = s:sslhandshake(nil, "edge.test", true) s:send("a\n") s:receive() s:close()
			s = socket.tcp() s:connect(ip, port)
			return type(s:sslhandshake(sess, "edge.test", true)), s:send("b\n"), s:receive()`, "userdata|2|edge.test resumed b")
		// From the pool it comes back as a TLS connection: no second handshake, and the server's tickets are no reason to drop it.
		f(addr, `s:sslhandshake(false, "edge.test", true) s:send("a\n") s:receive() local ok = s:setkeepalive()
			s = socket.tcp() s:connect(ip, port)
			return ok, s:getreusedtimes(), s:sslhandshake(false, "edge.test", true), s:send("b\n"), s:receive()`, "1|1|true|2|edge.test full b")
		f(addr, `s:sslhandshake(false) local ok = s:setkeepalive() s = socket.tcp() s:connect(ip, port) return ok, s:getreusedtimes()`, "1|1")
	}
}
