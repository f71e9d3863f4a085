package region

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice/cachesync/apply"
	"sluice/cachesync/memcache"
	"sluice/cachesync/record"
)

// Key is one key of a memcached node.
type Key struct {
	Name   string
	Expiry int64 // Unix seconds, 0 = none
}

// Keys lists the records' keys of one memcached node (lru_crawler metadump), in pieces; the
// helpers' own keys (locks, positions, canaries) are left out.
func Keys(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error), addr string, emit func([]Key) error) error {
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("region: list keys of %s: %w", addr, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := conn.Write([]byte("lru_crawler metadump all\r\n")); err != nil {
		return fmt.Errorf("region: list keys of %s: %w", addr, err)
	}
	r := bufio.NewReaderSize(conn, 256<<10)
	piece := make([]Key, 0, 4096)
	for {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		line, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("region: list keys of %s: %w", addr, err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "END" {
			return emit(piece)
		}
		rest, ok := strings.CutPrefix(line, "key=")
		if !ok {
			return fmt.Errorf("region: list keys of %s: %q: memcached >= 1.5 with lru_crawler is needed", addr, line)
		}
		name, rest, _ := strings.Cut(rest, " ")
		exp, _, _ := strings.Cut(strings.TrimPrefix(rest, "exp="), " ")
		key := Key{Name: name}
		if strings.Contains(name, "%") {
			if key.Name, err = url.PathUnescape(name); err != nil {
				continue
			}
		}
		if n, err := strconv.ParseInt(exp, 10, 64); err == nil && n > 0 {
			key.Expiry = n
		}
		if record.Beside(key.Name) {
			continue
		}
		if piece = append(piece, key); len(piece) == cap(piece) {
			if err := emit(piece); err != nil {
				return err
			}
			piece = piece[:0]
		}
	}
}

// Copy copies everything a neighbour's memcached holds into ours, add-if-newer. Values travel
// in batches; two are on their way at once. It returns how many records were read.
func Copy(ctx context.Context, from, to apply.Store, nodes []string,
	dial func(ctx context.Context, network, addr string) (net.Conn, error), seen func(n int, keys []apply.Write)) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pieces := make(chan []Key, 4)
	fetched := make(chan []apply.Write, 4)
	go func() { // list
		defer close(pieces)
		for _, node := range nodes {
			err := Keys(ctx, dial, node, func(list []Key) error {
				for len(list) > 0 {
					n := min(len(list), 1024)
					select {
					case pieces <- append([]Key(nil), list[:n]...):
					case <-ctx.Done():
						return context.Cause(ctx)
					}
					list = list[n:]
				}
				return nil
			})
			if err != nil {
				cancel(err)
				return
			}
		}
	}()
	go func() { // fetch
		defer close(fetched)
		for piece := range pieces {
			writes, err := fetch(ctx, from, piece)
			if err != nil {
				cancel(err)
				return
			}
			select {
			case fetched <- writes:
			case <-ctx.Done():
				return
			}
		}
	}()
	total := 0
	b := apply.Batch{AddFirst: true}
	for writes := range fetched {
		if err := b.Apply(ctx, to, writes, time.Now()); err != nil {
			cancel(err)
			break
		}
		total += len(writes)
		if seen != nil {
			seen(total, writes)
		}
	}
	for range fetched { // let the others end
	}
	if err := context.Cause(ctx); err != nil {
		return total, fmt.Errorf("region: copy from neighbour: %w", err)
	}
	return total, nil
}

// fetch reads values; what is no record, or gone meanwhile, is left out.
func fetch(ctx context.Context, from apply.Store, piece []Key) ([]apply.Write, error) {
	ops := make([]memcache.Op, len(piece))
	for i, k := range piece {
		ops[i] = memcache.Op{Kind: memcache.Get, Key: k.Name}
	}
	from.Do(ctx, ops)
	writes := make([]apply.Write, 0, len(piece))
	for i := range ops {
		if err := ops[i].Err; err != nil {
			if !errors.Is(err, memcache.ErrCacheMiss) {
				return nil, err
			}
			continue
		}
		r, err := record.Parse(ops[i].Value)
		if err != nil {
			continue
		}
		writes = append(writes, apply.Write{Key: piece[i].Name, Record: r, Expiry: piece[i].Expiry})
	}
	return writes, nil
}
