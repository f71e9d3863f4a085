package main

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"net"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"sluice/bench/peers/rig"
)

//go:embed site/script.lua
var drawScript string

const (
	secret    = rig.Secret
	kid       = rig.KeyID
	roomID    = "r1"
	shareFen  = 100
	knownUser = 1000 // users l0..l999 who lose and enter; they have u: records
)

// seed fills the stores of a peer that is not sluice and returns the script's SHA.
func seed(ctx context.Context, st *rig.Stores, open []string, sold string, shares int) (string, error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("seed %s: %w", st.Redis.Name, err) }
	rdb := redis.NewClient(&redis.Options{Addr: st.Redis.Addr, MaxRetries: -1, ReadTimeout: 20e9, WriteTimeout: 20e9})
	defer rdb.Close()
	sha, err := rdb.ScriptLoad(ctx, drawScript).Result()
	if err != nil {
		return fail(err)
	}
	text := strings.Repeat(fmt.Sprintf("%05d", shareFen), shares)
	pipe := rdb.Pipeline()
	pipe.HSet(ctx, "{b07}:meta", "epoch", "1", "seq", "0", "vms", "0", "vctr", "0", "win", "0")
	put := func(id string, k, n int) {
		pipe.HSet(ctx, "{b07}:rp:"+id, "s", "o", "k", k, "n", n, "w", 5, "la", (n-k)*shareFen, "o", 0, "c", int64(9e15), "et", 0)
	}
	for _, id := range open {
		put(id, 0, shares)
		pipe.Set(ctx, "{b07}:sh:"+id, text, 0)
	}
	put(sold, 1, 1)
	pipe.Set(ctx, "{b07}:sh:"+sold, "00100", 0)
	pipe.HSet(ctx, "{b07}:w:"+sold, "somebody", "0,100,0")
	if _, err := pipe.Exec(ctx); err != nil {
		return fail(err)
	}
	return sha, cacheSeed(st, open, sold, shares)
}

func cacheSeed(st *rig.Stores, open []string, sold string, shares int) error {
	mc := memcache.New(st.Memcached.Addr)
	defer mc.Close()
	items := map[string]string{"k:x": value,
		"rm:" + roomID: `{"id":"r1","title":"The night","state":"live","capacity":0,"bans":{"banned1":1},"push":["ws://127.0.0.1:9000/connection/websocket"]}`,
		"rp:" + sold:   rpRecord("soldout", 1)}
	for _, id := range open {
		items["rp:"+id] = rpRecord("open", shares)
	}
	for k, v := range items {
		if err := mc.Set(&memcache.Item{Key: k, Value: []byte(v)}); err != nil {
			return fmt.Errorf("seed %s: %w", st.Memcached.Name, err)
		}
	}
	return warmUsers(st.Memcached.Addr, winners, []byte(userJSON))
}

// userJSON is a user's record.
const userJSON = `{"level":12,"vip":false,"name":"somebody"}`

// winners is how many winning users there are; all have records in the caches, as after a warm-up.
const winners = 3_000_000

// warmUsers writes the u: records of those who will win and lose.
func warmUsers(addr string, n int, text []byte) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	defer conn.Close()
	w := bufio.NewWriterSize(conn, 1<<20)
	put := func(prefix string, i int) {
		fmt.Fprintf(w, "set u:%s%d 0 0 %d noreply\r\n%s\r\n", prefix, i, len(text), text)
	}
	for i := range n {
		put("v", i)
	}
	for i := range knownUser {
		put("l", i)
	}
	fmt.Fprintf(w, "version\r\n")
	if err := w.Flush(); err != nil {
		return fmt.Errorf("peers: warm users: %w", err)
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		return fmt.Errorf("peers: warm users: %w", err)
	}
	return nil
}

// value is what the case "get" reads: about what a user's record is.
const value = `{"uid":"x","level":12,"vip":false,"name":"somebody","region":"idc-1","since":"2025-01-01T00:00:00Z","fans":["a","b","c"]}`

func rpRecord(state string, shares int) string {
	return fmt.Sprintf(`{"state":%q,"mode":"equal","audience":"anyone","count":%d,"opens_at":0,"closes_at":9000000000000000,"left":1}`, state, shares)
}
