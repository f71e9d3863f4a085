package payout

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/gateway/ledger"
)

// Names of the headers of a signed request.
const (
	HeaderKey       = "Idempotency-Key"
	HeaderTimestamp = "Sluice-Timestamp"
	HeaderSignature = "Sluice-Signature"
)

// Webhook pays by signed requests. URL and Secret are required. It is safe for
// concurrent use and must not be copied.
type Webhook struct {
	URL    string
	Secret []byte
	Client *http.Client     // nil means one that keeps 64 connections; the worker's Timeout bounds each call
	Now    func() time.Time // nil means time.Now

	once   sync.Once
	client http.Client
}

// idle is how many connections are kept for the next call: with Go's own two,
// sixteen callers would open a new one nearly each time.
const idle = 64

func (w *Webhook) prepare() {
	if w.Client != nil {
		w.client = *w.Client
	} else {
		w.client.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: idle, MaxIdleConnsPerHost: idle,
			IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true}
	}
	// A redirect would turn the POST into a GET whose 200 says nothing.
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
}

// body is what a provider reads.
type body struct {
	Key       string    `json:"key"`
	Kind      string    `json:"kind"`
	RedPacket string    `json:"redpacket"`
	UID       string    `json:"uid"`
	Share     int       `json:"share"`
	N         string    `json:"n,omitempty"`
	Amount    int64     `json:"amount"` // fen
	Prize     string    `json:"prize,omitempty"`
	At        time.Time `json:"at"`
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// maxReference bounds the provider's number.
const maxReference = 200

// Pay implements Provider.
func (w *Webhook) Pay(ctx context.Context, p ledger.Payout) (string, error) {
	doc, err := json.Marshal(body{p.Key, p.Kind.String(), p.RedPacket, p.UID, p.Share, p.N, p.Amount, p.Prize, p.At})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(doc))
	if err != nil {
		return "", err
	}
	w.once.Do(w.prepare)
	now := time.Now
	if w.Now != nil {
		now = w.Now
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(HeaderKey, p.Key)
	Sign(req.Header, w.Secret, doc, now())
	res, err := w.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", p.Kind, p.Key, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("%s %s: read the answer: %w", p.Kind, p.Key, err)
	}
	return verdict(p, res.StatusCode, answer)
}

func verdict(p ledger.Payout, status int, answer []byte) (string, error) {
	switch {
	case status >= 200 && status < 300:
		var a struct {
			Reference string `json:"reference"`
		}
		// An answer that is not ours is still a yes: the status says so. PostgreSQL takes no NUL.
		if json.Unmarshal(answer, &a) != nil || len(a.Reference) > maxReference || strings.Contains(a.Reference, "\x00") {
			a.Reference = ""
		}
		return a.Reference, nil
	case status == 400 || status == 401 || status == 403 || status == 404 || status == 410 || status == 422:
		return "", fmt.Errorf("%s %s: %w: status %d: %s", p.Kind, p.Key, ErrRefused, status, head(answer))
	}
	return "", fmt.Errorf("%s %s: status %d: %s", p.Kind, p.Key, status, head(answer))
}

func head(b []byte) string { return string(bytes.ToValidUTF8(b[:min(len(b), 200)], []byte("?"))) }

// Sign sets the timestamp and signature headers of a body.
func Sign(h http.Header, secret, doc []byte, now time.Time) {
	ts := strconv.FormatInt(now.Unix(), 10)
	h.Set(HeaderTimestamp, ts)
	h.Set(HeaderSignature, "v1="+hex.EncodeToString(mac(secret, ts, doc)))
}

func mac(secret []byte, ts string, doc []byte) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(ts))
	m.Write([]byte{'.'})
	m.Write(doc)
	return m.Sum(nil)
}

// ErrSignature: the request is not from who shares the secret, or too old.
var ErrSignature = errors.New("bad signature")

// Verify checks the headers that Sign set, in constant time. A timestamp more
// than tolerance away from now is refused, so that a recorded request can't be
// sent again for long; within it the Idempotency-Key makes it harmless.
func Verify(h http.Header, secret, doc []byte, now time.Time, tolerance time.Duration) error {
	ts := h.Get(HeaderTimestamp)
	unix, err := strconv.ParseInt(ts, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: timestamp %.40q", ErrSignature, ts)
	}
	if off := now.Sub(time.Unix(unix, 0)); off > tolerance || off < -tolerance {
		return fmt.Errorf("%w: timestamp is %v off", ErrSignature, off.Round(time.Second))
	}
	sig := h.Get(HeaderSignature)
	if len(sig) != 3+2*sha256.Size || sig[:3] != "v1=" {
		return fmt.Errorf("%w: no v1 signature", ErrSignature)
	}
	got, err := hex.DecodeString(sig[3:])
	if err != nil || !hmac.Equal(got, mac(secret, ts, doc)) {
		return fmt.Errorf("%w: it is of another body or secret", ErrSignature)
	}
	return nil
}
