package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// Pages reads JSON pages of a user service:
//
//	GET URL&cursor=...   ->   {"items":[{...},{...}], "next":"..."}
//
// until next is empty, missing or null. The service must not be stormed: pages
// are asked for one at a time, at most Rate a second; 429 and 5xx wait, as long
// as Retry-After says or twice as long each time.
type Pages struct {
	URL     string
	Header  http.Header
	Items   string  // field of the rows; zero value means "items"
	Next    string  // field of the next cursor; zero value means "next"
	Param   string  // query parameter of the cursor; zero value means "cursor"
	Rate    float64 // pages a second; zero value means 5
	Tries   int     // per page; zero value means 6
	Client  *http.Client
	Backoff time.Duration // before the second try; zero value means 500 ms
}

// maxPage bounds the memory of a page.
const maxPage = 16 << 20

// Name is the URL without its query, which may hold secrets.
func (p *Pages) Name() string {
	u, err := url.Parse(p.URL)
	if err != nil {
		return "url"
	}
	u.RawQuery, u.User = "", nil
	return u.String()
}

// Repeatable is true.
func (p *Pages) Repeatable() bool { return true }

// Size is unknown.
func (p *Pages) Size(context.Context) (Size, error) { return Size{}, nil }

// Open goes on at pos.Cursor, behind pos.Row rows of that page.
func (p *Pages) Open(ctx context.Context, pos Position) (Reader, error) {
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &Error{File: p.Name(), Err: errors.New("is not an http or https URL")}
	}
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&p.Items, "items")
	def(&p.Next, "next")
	def(&p.Param, "cursor")
	if p.Rate <= 0 {
		p.Rate = 5
	}
	if p.Tries <= 0 {
		p.Tries = 6
	}
	if p.Backoff <= 0 {
		p.Backoff = 500 * time.Millisecond
	}
	if p.Client == nil {
		p.Client = &http.Client{Timeout: 30 * time.Second}
	}
	return &pageReader{p: p, ctx: ctx, url: u, pos: pos, next: pos.Cursor, limit: rate.NewLimiter(rate.Limit(p.Rate), 1)}, nil
}

type pageReader struct {
	p     *Pages
	ctx   context.Context
	url   *url.URL
	limit *rate.Limiter
	pos   Position
	next  string
	items []json.RawMessage
	asked bool
	total int64
	names nameCache
	row   Row
}

func (r *pageReader) Next() (*Row, error) {
	for r.pos.Row >= int64(len(r.items)) {
		if r.asked && r.next == "" {
			return nil, io.EOF
		}
		cursor := r.next
		if err := r.read(cursor); err != nil {
			return nil, &Error{File: r.p.Name(), Line: r.total, Err: err}
		}
		if r.asked { // the first page goes on where the position says
			r.pos.Row = 0
		}
		r.asked, r.pos.Cursor = true, cursor
	}
	item := r.items[r.pos.Row]
	r.pos.Row++
	r.total++
	r.row = Row{File: r.p.Name() + "?" + r.p.Param + "=" + r.pos.Cursor, Line: r.pos.Row, Fields: r.row.Fields[:0], Raw: item}
	fields, why := objectFields(item, r.row.Fields, &r.names)
	r.row.Fields = fields
	if why != "" {
		return nil, badRow(r.row.File, r.row.Line, item, "%s", why)
	}
	return &r.row, nil
}

// read gets a page; what may pass by itself is tried again.
func (r *pageReader) read(cursor string) error {
	wait := r.p.Backoff
	var last error
	for try := range r.p.Tries {
		if try > 0 {
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-r.ctx.Done():
				t.Stop()
				return r.ctx.Err()
			}
			wait = min(2*wait, 30*time.Second)
		}
		if err := r.limit.Wait(r.ctx); err != nil {
			return err
		}
		after, err := r.get(cursor)
		if err == nil {
			return nil
		}
		last = err
		if after < 0 || r.ctx.Err() != nil {
			break
		}
		wait = max(wait, min(after, time.Minute))
	}
	return fmt.Errorf("page %q: %w", cursor, last)
}

// get asks once. after < 0 means that trying again is of no use.
func (r *pageReader) get(cursor string) (after time.Duration, err error) {
	u := *r.url
	if cursor != "" {
		q := u.Query()
		q.Set(r.p.Param, cursor)
		u.RawQuery = q.Encode()
	}
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return -1, err
	}
	for k, v := range r.p.Header {
		req.Header[k] = v
	}
	req.Header.Set("Accept", "application/json")
	resp, err := r.p.Client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		err := fmt.Errorf("status %d: %q", resp.StatusCode, text)
		if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode < 500 {
			return -1, err
		}
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return time.Duration(seconds) * time.Second, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
	if err != nil {
		return 0, err // the page ended early
	}
	if len(body) > maxPage {
		return -1, fmt.Errorf("page larger than %d bytes; ask for smaller pages in the URL", maxPage)
	}
	var page map[string]json.RawMessage
	if err := json.Unmarshal(body, &page); err != nil {
		return 0, fmt.Errorf("not JSON: %w", err)
	}
	items, ok := page[r.p.Items]
	if !ok {
		return -1, fmt.Errorf("answer has no field %q; name the field of the rows with --http-items", r.p.Items)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(items, &list); err != nil {
		return -1, fmt.Errorf("field %q: %w", r.p.Items, err)
	}
	next, err := cursorText(page[r.p.Next])
	if err != nil {
		return -1, fmt.Errorf("field %q: %w", r.p.Next, err)
	}
	if next != "" && next == cursor {
		return -1, fmt.Errorf("next cursor %q is that of this page: it would never end", next)
	}
	r.items, r.next = list, next
	return 0, nil
}

func cursorText(raw json.RawMessage) (string, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "", nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case raw[0] == '{' || raw[0] == '[':
		return "", errors.New("is not a string or number")
	}
	return string(raw), nil
}

func (r *pageReader) Position() Position { return r.pos }
func (r *pageReader) Done() int64        { return r.total }
func (r *pageReader) Close() error       { return nil }
