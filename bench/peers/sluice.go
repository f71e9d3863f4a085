package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"sluice/bench/load/rehearsal"
	"sluice/bench/load/scenario"
	"sluice/bench/load/token"
	"sluice/bench/peers/rig"
	"sluice/cachesync"
)

const (
	helloRoute = "  - {name: hello, method: GET, path: /hello, content: peer_hello.lua}\n"
	getRoute   = "  - {name: get, method: GET, path: \"/get/{id}\", content: peer_get.lua}\n"
)

const fileRoutes = `  - {name: peer_hello, method: GET, path: /peer/hello, content: peer_hello.lua}
  - {name: peer_draw, method: POST, path: "/peer/v1/redpackets/{id}/draw", content: peer_draw.lua}
  - {name: peer_enter, method: POST, path: "/peer/v1/rooms/{id}/enter", content: peer_enter.lua}
`

// sluicePeer starts sluice, funds and opens the red packets, and sells one out.
// get says whether the route of the case "get" is wanted.
func sluicePeer(ctx context.Context, r *rig.Rig, binary string, open, shares int, get bool, file *rig.Stores, sha string) (*peer, error) {
	st, err := r.Stores("sluice")
	if err != nil {
		return nil, err
	}
	files := map[string]string{"peer_hello.lua": siteFile("hello.lua")}
	table, behind := helloRoute, st
	if get {
		table += getRoute
		files["peer_get.lua"] = siteFile("get.lua")
	}
	if file != nil {
		table, behind = table+fileRoutes, file
		files["peer_draw.lua"], files["peer_enter.lua"] = siteFile("draw.lua"), siteFile("enter.lua")
	}
	files["lib/backends.lua"], files["lib/peer_auth.lua"] = backends(behind, sha), siteFile("sluice_auth.lua")
	g, err := r.Sluice(ctx, binary, st, table, files)
	if err != nil {
		return nil, err
	}
	p := &peer{key: "sluice", name: "sluice", base: "http://" + g.Gateway.Addr, gateway: g.Gateway, stores: st, behind: behind, sync: g.Sync, sluice: g}
	if err := g.Insist(ctx, http.MethodPut, "/admin/rooms/"+roomID, map[string]any{"title": "The night"}); err != nil {
		return nil, err
	}
	c := &rehearsal.Client{Target: p.base, Minter: token.New(kid, []byte(secret), time.Now().Add(time.Hour)), Run: "peers", Now: time.Now, Wait: time.Minute, Tell: func(string, int64) {}}
	fund := func(list, times, count int) ([]string, error) {
		return c.Fund(ctx, &scenario.Fund{List: list, Times: times, Body: map[string]any{"amount": count * shareFen, "count": count, "mode": "equal"}}, "sender")
	}
	if p.open, err = fund(0, open, shares); err != nil {
		return nil, fmt.Errorf("%w\nsettle: %s\nsync: %s\ngateway: %s", err, g.Settle.Log(), g.Sync.Log(), g.Gateway.Log())
	}
	sold, err := fund(1, 1, 1)
	if err != nil {
		return nil, err
	}
	p.sold = sold[0]
	if got, err := ask(p, "POST", "/v1/redpackets/"+p.sold+"/draw", "somebody"); err != nil || got["outcome"] != "won" {
		return nil, fmt.Errorf("peers: selling out: %v, %v", got, err)
	}
	// From now on losers need not ask home: the filter of those who won stands in the region's cache.
	if err := filterOut(ctx, st.Memcached.Addr, p.sold); err != nil {
		return nil, fmt.Errorf("%w\nsettle: %s\nsync: %s", err, g.Settle.Log(), g.Sync.Log())
	}
	g.Settle.Stop()
	rec := cachesync.Record{Type: cachesync.TypeUser, Version: cachesync.MakeVersion(1, 1, 1), CommitMS: time.Now().UnixMilli(), Payload: []byte(userJSON)}
	return p, warmUsers(st.Memcached.Addr, winners, rec.Append(nil))
}

// filterOut waits until the red packet's record in memcached says that the filter of its winners is out.
func filterOut(ctx context.Context, addr, id string) error {
	mc := memcache.New(addr)
	defer mc.Close()
	last := ""
	for range 600 {
		if item, err := mc.Get(cachesync.RedPacketKey(id)); err != nil {
			last = err.Error()
		} else if rec, err := cachesync.Parse(item.Value); err != nil {
			last = err.Error()
		} else if f := strings.Split(string(rec.Payload), ";"); len(f) > 5 && f[5] != "0" {
			return nil
		} else {
			last = string(rec.Payload)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("peers: no filter of the winners of %s after 30 s; its record: %s", id, last)
}
