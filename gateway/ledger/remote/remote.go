// Package remote lets gateways ask the ledger without a database of their own: `sluice settle`,
// which has it, answers on its admin listener, behind the admin token. Only reading.
//
//	GET /admin/ledger/redpackets/{id}                      the row
//	GET /admin/ledger/redpackets/{id}/award?uid=&n=        who won what
//	GET /admin/ledger/redpackets/{id}/wins?cursor=&limit=  {"wins":[...],"next":"..."}
//	GET /admin/ledger/wins?uid=&cursor=&limit=             a user's, the same
//
// The bodies are the ledger's own types as JSON; the two ends are of one binary. A Client is safe
// for concurrent use.
package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice/gateway/admin"
	"sluice/gateway/ledger"
)

// Source is what is served.
type Source interface {
	RedPacket(ctx context.Context, id string) (ledger.RedPacket, error)
	Award(ctx context.Context, redPacket, uid, n string) (ledger.Award, error)
	Wins(ctx context.Context, redPacket, cursor string, limit int) ([]ledger.Award, string, error)
	WinsOf(ctx context.Context, uid, cursor string, limit int) ([]ledger.Award, string, error)
}

const maxLimit = 1000

type page struct {
	Wins []ledger.Award `json:"wins"`
	Next string         `json:"next"`
}

// Serve adds the routes to an admin listener.
func Serve(server *admin.Server, l Source) {
	handle := func(pattern string, f func(r *http.Request, q url.Values) (any, error)) {
		server.HandleFunc("GET /admin/ledger/"+pattern, func(r *http.Request) (any, error) {
			out, err := f(r, r.URL.Query())
			switch {
			case errors.Is(err, ledger.ErrNotFound):
				return nil, &admin.Error{Status: 404, Code: "not_found", Message: err.Error()}
			case errors.Is(err, ledger.ErrInvalid):
				return nil, &admin.Error{Status: 400, Code: "invalid", Message: err.Error()}
			}
			return out, err
		})
	}
	limit := func(q url.Values) int {
		n, err := strconv.Atoi(q.Get("limit"))
		if err != nil || n < 1 || n > maxLimit {
			return maxLimit
		}
		return n
	}
	handle("redpackets/{id}", func(r *http.Request, _ url.Values) (any, error) {
		return l.RedPacket(r.Context(), r.PathValue("id"))
	})
	handle("redpackets/{id}/award", func(r *http.Request, q url.Values) (any, error) {
		return l.Award(r.Context(), r.PathValue("id"), q.Get("uid"), q.Get("n"))
	})
	handle("redpackets/{id}/wins", func(r *http.Request, q url.Values) (any, error) {
		wins, next, err := l.Wins(r.Context(), r.PathValue("id"), q.Get("cursor"), limit(q))
		return page{wins, next}, err
	})
	handle("wins", func(r *http.Request, q url.Values) (any, error) {
		wins, next, err := l.WinsOf(r.Context(), q.Get("uid"), q.Get("cursor"), limit(q))
		return page{wins, next}, err
	})
}

// Client asks a `sluice settle`.
type Client struct {
	url, token string
	http       *http.Client
}

var _ Source = (*Client)(nil)

// NewClient asks the admin listener at base, such as http://10.0.0.7:8081.
func NewClient(base, token string) *Client {
	return &Client{strings.TrimSuffix(base, "/") + "/admin/ledger/", token, &http.Client{Timeout: 5 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 8, MaxConnsPerHost: 32, IdleConnTimeout: time.Minute}}}
}

// maxAnswer bounds what is read: a red packet's spec has up to 10,000 uids.
const maxAnswer = 4 << 20

func (c *Client) get(ctx context.Context, path string, q url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path+"?"+q.Encode(), nil)
	if err != nil {
		return fmt.Errorf("ledger: asking settle: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ledger: asking settle: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("ledger: asking settle: %w", err)
	case res.StatusCode == http.StatusNotFound && strings.Contains(string(body), `"not_found"`):
		return ledger.ErrNotFound
	case res.StatusCode == http.StatusBadRequest:
		return ledger.ErrInvalid
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("ledger: settle answered %d %.200s; is ledger.url its admin listener, and admin.token the same?", res.StatusCode, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("ledger: the answer of settle does not read: %w", err)
	}
	return nil
}

// RedPacket implements Source.
func (c *Client) RedPacket(ctx context.Context, id string) (row ledger.RedPacket, err error) {
	err = c.get(ctx, "redpackets/"+url.PathEscape(id), nil, &row)
	return row, err
}

// Award implements Source.
func (c *Client) Award(ctx context.Context, redPacket, uid, n string) (a ledger.Award, err error) {
	err = c.get(ctx, "redpackets/"+url.PathEscape(redPacket)+"/award", url.Values{"uid": {uid}, "n": {n}}, &a)
	return a, err
}

// Wins implements Source.
func (c *Client) Wins(ctx context.Context, redPacket, cursor string, limit int) ([]ledger.Award, string, error) {
	return c.page(ctx, "redpackets/"+url.PathEscape(redPacket)+"/wins", url.Values{"cursor": {cursor}, "limit": {strconv.Itoa(limit)}})
}

// WinsOf implements Source.
func (c *Client) WinsOf(ctx context.Context, uid, cursor string, limit int) ([]ledger.Award, string, error) {
	return c.page(ctx, "wins", url.Values{"uid": {uid}, "cursor": {cursor}, "limit": {strconv.Itoa(limit)}})
}

func (c *Client) page(ctx context.Context, path string, q url.Values) ([]ledger.Award, string, error) {
	var p page
	err := c.get(ctx, path, q, &p)
	return p.Wins, p.Next, err
}
