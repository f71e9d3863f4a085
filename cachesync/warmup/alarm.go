package warmup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Webhook posts alarms as JSON, each three times at most. Alarms go out one after
// another in the background; Close waits for them.
type Webhook struct {
	URL    string
	Client *http.Client  // zero value means one with 5 s timeout
	Wait   time.Duration // before the second try; zero value means 1 s
	Log    *slog.Logger

	mu sync.Mutex // one alarm at a time, in order
	wg sync.WaitGroup
}

// Raise sends a in the background.
func (w *Webhook) Raise(a Alarm) {
	body, err := json.Marshal(a)
	if err != nil || w.URL == "" {
		return
	}
	w.wg.Go(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		wait := w.Wait
		if wait <= 0 {
			wait = time.Second
		}
		var err error
		for try := range 3 {
			if try > 0 {
				time.Sleep(wait)
			}
			if err = w.post(body); err == nil {
				return
			}
		}
		if w.Log != nil {
			w.Log.Error("warm: alarm not delivered", "kind", a.Kind, "err", err)
		}
	})
}

func (w *Webhook) post(body []byte) error {
	client := w.Client
	if client == nil {
		client = &http.Client{Timeout: 5 * time.Second}
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("webhook answered %d", resp.StatusCode)
	}
	return nil
}

// Close waits until all alarms are delivered or given up.
func (w *Webhook) Close() { w.wg.Wait() }
