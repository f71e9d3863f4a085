package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"sluice/gateway/config"
)

// adminClient calls a running process's admin listener.
type adminClient struct{ url, token string }

func newAdminClient(cfg config.Config, addr string) adminClient {
	if addr == "" {
		addr = cfg.Admin.Listen
	}
	return adminClient{"http://" + addr, cfg.Admin.Token}
}

// call sends body (nil for none) as JSON and decodes the answer into out.
func (c adminClient) call(method, path string, body, out any) error {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, c.url+path, reader)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	client := http.Client{Timeout: 30 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%w; does the gateway run, and is admin.listen (or --admin) its address?", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 128<<20))
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		var fail struct {
			Error struct{ Message string } `json:"error"`
		}
		if json.Unmarshal(text, &fail) == nil && fail.Error.Message != "" {
			return fmt.Errorf("%s", fail.Error.Message)
		}
		return fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
