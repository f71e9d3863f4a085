package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice/bench/peers/plain"
	"sluice/bench/peers/rig"
	"sluice/internal/servers"
)

//go:embed site/*.lua
var site embed.FS

// peer is one side of the comparison.
type peer struct {
	key, name string
	base      string // http://host:port and a path before all others
	gateway   *rig.Proc
	stores    *rig.Stores
	behind    *rig.Stores // of the resty clients, where those are not stores
	sync      *rig.Proc   // of sluice only
	open      []string    // red packets to win from
	sold      string
	sluice    *rig.House // of sluice only
	users     uint64     // winners so far: each comes once
}

type house struct {
	rigs     []*rig.Rig
	peers    []*peer
	patience time.Duration // of sluice for its stores
}

// add makes a rig: each holds one sluice at most.
func (h *house) add() (*rig.Rig, error) {
	r, err := rig.New()
	if err != nil {
		return nil, err
	}
	h.rigs, r.Patience = append(h.rigs, r), h.patience
	return r, nil
}

func (h *house) close() {
	for _, r := range h.rigs {
		r.Close()
	}
}

func siteFile(name string) string {
	text, err := site.ReadFile("site/" + name)
	if err != nil {
		panic(err) // embedded at build time
	}
	return string(text)
}

// backends is site/backends.lua for one pair of stores.
func backends(st *rig.Stores, sha string) string {
	port := func(p *rig.Proc) string { return p.Addr[strings.LastIndexByte(p.Addr, ':')+1:] }
	return strings.NewReplacer("@SHA@", sha, "@SECRET@", secret, "@MEMCACHED@", port(st.Memcached), "@REDIS@", port(st.Redis)).Replace(siteFile("backends.lua"))
}

// build starts all peers that are asked for.
func build(ctx context.Context, o options) (h *house, err error) {
	h = &house{patience: 2 * time.Second} // no answer of a loaded machine is cut short
	if o.stall > 0 {
		h.patience = 0
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	r, err := h.add()
	if err != nil {
		return nil, err
	}
	// Winners are few when quick; a million shares each otherwise.
	open := []string{"open0"}
	if !o.quick {
		open = []string{"open0", "open1", "open2", "open3"}
	}
	var file *rig.Stores
	var sha string
	for _, key := range strings.Split(o.peers, ",") {
		var p *peer
		switch key {
		case "nginx":
			p, err = nginxPeer(ctx, r, open, o.shares)
		case "plain":
			p, err = plainPeer(ctx, r, open, o.shares)
		case "sluice":
			if strings.Contains(o.peers, "file") {
				if file, sha, err = fileStores(ctx, r, open, o.shares); err != nil {
					return nil, err
				}
			}
			p, err = sluicePeer(ctx, r, o.binary, len(open), o.shares, slices.Contains(o.cases, "get"), file, sha)
		case "before":
			p, err = beforePeer(ctx, h, o, len(open))
		case "file":
			if len(h.peers) == 0 || h.peers[0].key != "sluice" {
				return nil, fmt.Errorf("-peers: file needs sluice before it")
			}
			p = &peer{key: "file", name: "sluice, nginx's file", sync: h.peers[0].sync, base: strings.TrimSuffix(h.peers[0].base, "/") + "/peer", gateway: h.peers[0].gateway, stores: file, open: open, sold: "sold"}
		default:
			err = fmt.Errorf("-peers: no peer is called %q", key)
		}
		if err != nil {
			return nil, err
		}
		h.peers = append(h.peers, p)
	}
	return h, nil
}

// beforePeer is another build of sluice, with a house of its own.
func beforePeer(ctx context.Context, h *house, o options, open int) (*peer, error) {
	if o.before == "" {
		return nil, fmt.Errorf("-peers: before needs -before BINARY")
	}
	r, err := h.add()
	if err != nil {
		return nil, err
	}
	p, err := sluicePeer(ctx, r, o.before, open, o.shares, slices.Contains(o.cases, "get"), nil, "")
	if err != nil {
		return nil, err
	}
	p.key, p.name = "before", "sluice before"
	return p, nil
}

func fileStores(ctx context.Context, r *rig.Rig, open []string, shares int) (*rig.Stores, string, error) {
	st, err := r.Stores("file")
	if err != nil {
		return nil, "", err
	}
	sha, err := seed(ctx, st, open, "sold", shares)
	return st, sha, err
}

func nginxPeer(ctx context.Context, r *rig.Rig, open []string, shares int) (*peer, error) {
	st, err := r.Stores("nginx")
	if err != nil {
		return nil, err
	}
	sha, err := seed(ctx, st, open, "sold", shares)
	if err != nil {
		return nil, err
	}
	files := map[string]string{"backends.lua": backends(st, sha), "peer_auth.lua": siteFile("peer_auth.lua")}
	dir := filepath.Join(r.Dir, "nginx", "lua")
	for _, f := range []string{"hello.lua", "get.lua", "draw.lua", "enter.lua"} {
		files[f] = siteFile(f)
	}
	loc := func(pattern, file string) string {
		return fmt.Sprintf("    location ~ ^%s$ { set $id $1; content_by_lua_file %s/%s; }\n", pattern, dir, file)
	}
	p, err := r.Nginx("nginx", "", "    location = /hello { content_by_lua_file "+dir+"/hello.lua; }\n"+
		loc("/get/([^/]+)", "get.lua")+loc("/v1/redpackets/([^/]+)/draw", "draw.lua")+loc("/v1/rooms/([^/]+)/enter", "enter.lua"), files)
	if err != nil {
		return nil, err
	}
	return &peer{key: "nginx", name: "nginx+Lua", base: "http://" + p.Addr, gateway: p, stores: st, open: open, sold: "sold"}, nil
}

func plainPeer(ctx context.Context, r *rig.Rig, open []string, shares int) (*peer, error) {
	st, err := r.Stores("plain")
	if err != nil {
		return nil, err
	}
	sha, err := seed(ctx, st, open, "sold", shares)
	if err != nil {
		return nil, err
	}
	port, err := servers.Port()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	p, err := r.Start("plain-server", addr, self, plain.Verb, "-listen", addr, "-memcached", st.Memcached.Addr, "-redis", st.Redis.Addr, "-sha", sha, "-secret", secret)
	if err != nil {
		return nil, err
	}
	return &peer{key: "plain", name: "plain Go", base: "http://" + addr, gateway: p, stores: st, open: open, sold: "sold"}, nil
}
