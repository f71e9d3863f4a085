package payment

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
	"time"

	"sluice/gateway/ledger"
	"sluice/gateway/redpacket"
)

var (
	// ErrForged: the signature does not fit, or the timestamp is too far from now. HTTP 403.
	ErrForged = errors.New("payment: the callback is not signed by the provider, or not now")
	// ErrMalformed: the body is not a callback. HTTP 400.
	ErrMalformed = errors.New("payment: the body is not a callback")
)

// Tolerance is how far a callback's timestamp may be from this clock.
const Tolerance = 5 * time.Minute

// MaxBody is the most bytes of a callback.
const MaxBody = 16 << 10

// Config of a Webhook. URL and Secret are required.
type Config struct {
	URL    string
	Secret []byte
	Client *http.Client     // nil means one with a timeout of 5 s
	Now    func() time.Time // nil means time.Now
}

// Webhook is a redpacket.Provider.
type Webhook struct{ cfg Config }

var _ redpacket.Provider = (*Webhook)(nil)

// New checks its parts.
func New(cfg Config) (*Webhook, error) {
	if cfg.URL == "" || len(cfg.Secret) < 16 {
		return nil, errors.New("payment: a webhook needs a URL and a secret of at least 16 bytes")
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: 5 * time.Second}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Webhook{cfg}, nil
}

// Name implements redpacket.Provider.
func (*Webhook) Name() string { return "webhook" }

// Ask implements redpacket.Provider. The provider knows a payment by its id and asks its
// sender once, however often this is called. An answer {"paid":true} says that the money is
// there already.
func (w *Webhook) Ask(ctx context.Context, p ledger.Payment) (paid bool, err error) {
	body, err := json.Marshal(map[string]any{"payment": p.ID, "redpacket": p.RedPacket, "amount": p.Amount})
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("payment: %w", err)
	}
	stamp := strconv.FormatInt(w.cfg.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", p.ID)
	req.Header.Set("Sluice-Timestamp", stamp)
	req.Header.Set("Sluice-Signature", Sign(w.cfg.Secret, stamp, body))
	res, err := w.cfg.Client.Do(req)
	if err != nil {
		return false, fmt.Errorf("payment: asking for %s: %w", p.ID, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, MaxBody))
	if err != nil {
		return false, fmt.Errorf("payment: asking for %s: %w", p.ID, err)
	}
	if res.StatusCode/100 != 2 {
		return false, fmt.Errorf("payment: the provider answered %d to %s", res.StatusCode, p.ID)
	}
	var told struct {
		Paid bool `json:"paid"`
	}
	if len(answer) > 0 && json.Unmarshal(answer, &told) != nil {
		return false, nil // a 2xx of any form: the callback will tell
	}
	return told.Paid, nil
}

// Sign is the value of Sluice-Signature.
func Sign(secret []byte, timestamp string, body []byte) string {
	m := hmac.New(sha256.New, secret)
	io.WriteString(m, timestamp)
	m.Write([]byte{'.'})
	m.Write(body)
	return "v1=" + hex.EncodeToString(m.Sum(nil))
}

// Confirm takes a callback: headers Sluice-Timestamp and Sluice-Signature, and the body. It
// may be called any number of times with the same one.
func (w *Webhook) Confirm(ctx context.Context, l ledger.Payments, timestamp, signature string, body []byte) (ledger.Payment, error) {
	if len(body) > MaxBody {
		return ledger.Payment{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(body))
	}
	sec, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || !hmac.Equal([]byte(Sign(w.cfg.Secret, timestamp, body)), []byte(signature)) {
		return ledger.Payment{}, ErrForged
	}
	now := w.cfg.Now()
	if d := now.Sub(time.Unix(sec, 0)); d > Tolerance || d < -Tolerance {
		return ledger.Payment{}, fmt.Errorf("%w: its timestamp is %v away", ErrForged, d.Round(time.Second))
	}
	var c struct {
		Payment   string `json:"payment"`
		Amount    *int64 `json:"amount"`
		Reference string `json:"reference"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return ledger.Payment{}, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return ledger.Payment{}, fmt.Errorf("%w: something stands after it", ErrMalformed)
	}
	switch {
	case c.Payment == "":
		return ledger.Payment{}, fmt.Errorf("%w: payment: is required", ErrMalformed)
	case c.Amount == nil || *c.Amount <= 0:
		return ledger.Payment{}, fmt.Errorf("%w: amount: is required, in fen, above 0", ErrMalformed)
	case len(c.Reference) > 256:
		return ledger.Payment{}, fmt.Errorf("%w: reference: must have at most 256 bytes", ErrMalformed)
	}
	p, err := l.ConfirmPayment(ctx, c.Payment, *c.Amount, c.Reference, now)
	if err != nil {
		return p, fmt.Errorf("payment: confirming %s: %w", c.Payment, err)
	}
	return p, nil
}
