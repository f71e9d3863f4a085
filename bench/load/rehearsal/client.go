package rehearsal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sluice/bench/load/scenario"
	"sluice/bench/load/token"
)

// ErrRefused is wrapped when the server did not do what was asked.
var ErrRefused = errors.New("the server refused")

// ErrUnknown is wrapped when the server knows no such red packet.
var ErrUnknown = errors.New("no such red packet")

var errLater = errors.New("not now")

// Client funds on the public listener and closes on the admin one.
type Client struct {
	Target, Admin string // http://host:port; Admin "" cannot close
	AdminToken    string
	Minter        *token.Minter
	Mark          string        // value of Header; "" is no rehearsal
	Run           string        // makes Idempotency-Keys differ from run to run
	Wait          time.Duration // for a red packet to open; zero value means 30 s
	Now           func() time.Time
	Tell          func(id string, fen int64) // each id as soon as it is known
}

// Fund funds f.Times red packets and waits until all are open, or scheduled.
func (c *Client) Fund(ctx context.Context, f *scenario.Fund, sender string) ([]string, error) {
	body := map[string]any{}
	for k, v := range f.Body {
		body[k] = v
	}
	if f.OpensIn > 0 {
		body["opens_at"] = c.Now().Add(f.OpensIn).Format(time.RFC3339Nano)
	}
	var ids []string
	for i := range f.Times {
		var answer struct{ ID, State string }
		key := c.Run + "-" + strconv.Itoa(f.List) + "-" + strconv.Itoa(i)
		if err := c.insist(ctx, http.MethodPost, c.Target+"/v1/redpackets", c.token(sender, "fund"), key, body, &answer); err != nil {
			return ids, err
		}
		if answer.ID == "" {
			return ids, fmt.Errorf("rehearsal: fund: %w: the answer has no id", ErrRefused)
		}
		c.Tell(answer.ID, f.Fen)
		ids = append(ids, answer.ID)
	}
	for _, id := range ids {
		if err := c.opened(ctx, id, sender); err != nil {
			return ids, err
		}
	}
	return ids, nil
}

func (c *Client) opened(ctx context.Context, id, sender string) error {
	wait := c.Wait
	if wait <= 0 {
		wait = 30 * time.Second
	}
	state := ""
	for end := c.Now().Add(wait); c.Now().Before(end); {
		var answer struct{ State string }
		if err := c.insist(ctx, http.MethodGet, c.Target+"/v1/redpackets/"+url.PathEscape(id), c.token(sender, ""), "", nil, &answer); err != nil {
			return err
		}
		if state = answer.State; state == "open" || state == "scheduled" {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("rehearsal: %w", ctx.Err())
		}
	}
	return fmt.Errorf("rehearsal: red packet %s is %q after %s, not open: does settle run?", id, state, wait)
}

// CanClose closes a red packet that does not exist: before the first fen is funded it is known whether
// address and token serve to close what will be.
func (c *Client) CanClose(ctx context.Context) error {
	if _, _, err := c.Close(ctx, []string{"none"}); err != nil && !errors.Is(err, ErrUnknown) {
		return fmt.Errorf("rehearsal: what it would fund could not be closed again, so nothing was: %w", err)
	}
	return nil
}

// Close closes red packets by the admin API and returns those that could not be closed.
func (c *Client) Close(ctx context.Context, ids []string) (closed int, left []string, err error) {
	for _, id := range ids {
		if e := c.insist(ctx, http.MethodPost, c.Admin+"/admin/redpackets/"+url.PathEscape(id)+"/close", c.AdminToken, "", map[string]any{}, nil); e != nil {
			left = append(left, id)
			if err == nil {
				err = e
			}
			continue
		}
		closed++
	}
	return closed, left, err
}

func (c *Client) token(uid, scope string) string {
	if c.Minter == nil {
		return ""
	}
	return string(c.Minter.Append(nil, []byte(uid), scope))
}

// insist calls again while the server says "later" (429, 503) or an answer is lost: all calls here may be repeated, since
// funding carries an Idempotency-Key.
func (c *Client) insist(ctx context.Context, method, address, bearer, key string, in, out any) (err error) {
	for try := range 10 {
		if err = c.call(ctx, method, address, bearer, key, in, out); !errors.Is(err, errLater) {
			return err
		}
		select {
		case <-time.After(time.Duration(try+1) * 200 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
	return err
}

func (c *Client) call(ctx context.Context, method, address, bearer, key string, in, out any) error {
	var reader io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("rehearsal: %w", err)
		}
		reader = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, reader)
	if err != nil {
		return fmt.Errorf("rehearsal: %w", err)
	}
	for k, v := range map[string]string{"Authorization": "Bearer " + bearer, "Idempotency-Key": key, Header: c.Mark, "Content-Type": "application/json"} {
		if v != "" && v != "Bearer " && (in != nil || k != "Content-Type") {
			req.Header.Set(k, v)
		}
	}
	res, err := http.DefaultClient.Do(req)
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial": // nobody is there
		return fmt.Errorf("rehearsal: %w", err)
	case err != nil: // it may have been done, and only the answer is lost: ask again
		return fmt.Errorf("rehearsal: %w: %w", errLater, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("rehearsal: %s %s: %w", method, address, err)
	}
	if res.StatusCode == 429 || res.StatusCode == 503 {
		return fmt.Errorf("rehearsal: %s %s: %w: %w: %s %.200s", method, address, ErrRefused, errLater, res.Status, bytes.TrimSpace(text))
	}
	if res.StatusCode == 404 && bytes.Contains(text, []byte(`"not_found"`)) {
		return fmt.Errorf("rehearsal: %s %s: %w: %w", method, address, ErrRefused, ErrUnknown)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("rehearsal: %s %s: %w: %s %.200s", method, address, ErrRefused, res.Status, bytes.TrimSpace(text))
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			return fmt.Errorf("rehearsal: %s %s: %w", method, address, err)
		}
	}
	return nil
}
