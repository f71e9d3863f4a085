package cmd

import (
	"errors"
	"io"
	"net/http"

	"sluice/gateway/admin"
	"sluice/gateway/ledger"
	"sluice/gateway/redpacket"
	"sluice/gateway/redpacket/payment"
)

// paymentProvider is how senders pay; a webhook's signed callback comes to the
// admin listener, POST /payments/confirm.
func (p *parts) paymentProvider(store ledger.Payments, server *admin.Server) (redpacket.Provider, error) {
	if p.cfg.Payment.Provider != "webhook" {
		return redpacket.Auto{}, nil
	}
	hook, err := payment.New(payment.Config{URL: p.cfg.Payment.URL, Secret: []byte(p.cfg.Payment.Secret)})
	if err != nil {
		return nil, err
	}
	server.HandleOpen("POST /payments/confirm", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, payment.MaxBody))
		if err == nil {
			_, err = hook.Confirm(r.Context(), store, r.Header.Get("Sluice-Timestamp"), r.Header.Get("Sluice-Signature"), body)
		}
		var large *http.MaxBytesError
		switch {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case errors.Is(err, payment.ErrForged):
			admin.Fail(w, http.StatusUnauthorized, "forged", "the signature or the timestamp is not right")
		case errors.As(err, &large):
			admin.Fail(w, http.StatusRequestEntityTooLarge, "body_too_large", "a callback has at most 16 KiB")
		case errors.Is(err, payment.ErrMalformed):
			admin.Fail(w, http.StatusBadRequest, "malformed", err.Error())
		case errors.Is(err, ledger.ErrNotFound):
			admin.Fail(w, http.StatusNotFound, "not_found", "no such payment")
		case errors.Is(err, ledger.ErrAmount):
			admin.Fail(w, http.StatusConflict, "wrong_amount", "amount: is not what was asked for; nothing was posted")
		default:
			p.log.Error("payment callback", "err", err)
			admin.Fail(w, http.StatusServiceUnavailable, "later", "call again")
		}
	}))
	return hook, nil
}
