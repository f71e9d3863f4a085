package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"sluice/bench/load/token"
)

// ask sends one request as a user ("": as somebody with a forged token) and decodes the answer; text that is no object is under "text".
func ask(p *peer, method, path, uid string) (map[string]any, error) {
	req, err := http.NewRequest(method, p.base+path, nil)
	if err != nil {
		return nil, err
	}
	key := secret
	if uid == "" {
		uid, key = "a", "not the house's secret, but as long as one"
	}
	m := token.New(kid, []byte(key), time.Now().Add(time.Hour))
	req.Header.Set("Authorization", "Bearer "+string(m.Append(nil, []byte(uid), "")))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	got := map[string]any{}
	if json.Unmarshal(text, &got) != nil {
		got["text"] = string(text)
	}
	got["status"] = float64(res.StatusCode)
	return got, nil
}

// equal asks every peer the same and compares what a client would rely on; get says whether the case "get" is measured.
func equal(peers []*peer, get bool) error {
	type question struct {
		name, method, path, uid string
		want                    map[string]any
	}
	for _, p := range peers {
		open := "/v1/redpackets/" + p.open[0] + "/draw"
		questions := []question{
			{"hello", "GET", "/hello", "a", map[string]any{"text": "hello", "status": 200.0}},
			{"win", "POST", open, "equal1", map[string]any{"outcome": "won", "amount": float64(shareFen), "status": 200.0}},
			{"win again", "POST", open, "equal1", map[string]any{"outcome": "already", "amount": float64(shareFen), "status": 200.0}},
			{"lose", "POST", "/v1/redpackets/" + p.sold + "/draw", "l1", map[string]any{"outcome": "soldout", "status": 200.0}},
			{"the winner of the sold-out one", "POST", "/v1/redpackets/" + p.sold + "/draw", "somebody", map[string]any{"outcome": "already", "amount": 100.0, "status": 200.0}},
			{"enter", "POST", "/v1/rooms/" + roomID + "/enter", "l1", map[string]any{"status": 200.0, "push": "[ws://127.0.0.1:9000/connection/websocket]", "room.id": roomID, "room.title": "The night", "token": "three parts"}},
			{"forged token", "POST", open, "", map[string]any{"status": 401.0, "error.code": "unauthorized"}},
		}
		if get && p.key != "file" { // whose get is sluice's own
			questions = append(questions, question{"get", "GET", "/get/x", "a", map[string]any{"uid": "x", "level": 12.0, "name": "somebody", "status": 200.0}})
		}
		for _, q := range questions {
			got, err := ask(p, q.method, q.path, q.uid)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", p.name, q.name, err)
			}
			for field, want := range q.want {
				if have := pick(got, field); have != want {
					return fmt.Errorf("%s, %s: answers differ: %s is %v, want %v, in %v\n%s", p.name, q.name, field, have, want, got, p.gateway.Log())
				}
			}
		}
	}
	return nil
}

func pick(got map[string]any, field string) any {
	head, rest, deep := strings.Cut(field, ".")
	v := got[head]
	if deep {
		inner, _ := v.(map[string]any)
		return pick(inner, rest)
	}
	if list, ok := v.([]any); ok {
		return fmt.Sprint(list)
	}
	if text, ok := v.(string); ok && field == "token" && strings.Count(text, ".") == 2 {
		return "three parts"
	}
	return v
}
