package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/cachesync"
	"sluice/cachesync/changelog"
	"sluice/cachesync/record"
	"sluice/gateway/redpacket/script"
	"sluice/gateway/room"
)

// scriptLoader loads the scripts of a bucket that move no money (rooms, users, anti-entropy)
// once the certifier has opened the bucket, which it sees by the draw script:
// a Redis that waits for the certifier stays shut for them too.
type scriptLoader struct {
	rdb   redis.UniversalClient
	log   *slog.Logger
	texts []func(epoch uint64) []string
	book  *script.Book
}

// newScriptLoader knows all the scripts there are besides those of money.
func (p *parts) newScriptLoader() (*scriptLoader, error) {
	book, err := script.NewBook()
	if err != nil {
		return nil, err
	}
	return &scriptLoader{rdb: p.control, log: p.log, texts: []func(uint64) []string{room.Scripts, cachesync.UserScripts, changelog.AgainScripts}, book: book}, nil
}

// Run looks every 100 ms until ctx ends.
func (l *scriptLoader) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := l.step(ctx); err != nil && ctx.Err() == nil {
			l.log.Debug("loading scripts that move no money", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

func (l *scriptLoader) step(ctx context.Context) error {
	epochs, err := l.epochs(ctx)
	if err != nil {
		return err
	}
	for epoch := range epochs {
		open, err := l.exists(ctx, l.book.At(epoch).SHA(script.Draw))
		if err != nil {
			return err
		}
		if !open {
			continue
		}
		for _, texts := range l.texts {
			for _, text := range texts(epoch) {
				if there, err := l.exists(ctx, redis.NewScript(text).Hash()); err != nil || there {
					if err != nil {
						return err
					}
					continue
				}
				if err := l.rdb.ScriptLoad(ctx, text).Err(); err != nil {
					return fmt.Errorf("script load: %w", err)
				}
			}
		}
	}
	return nil
}

// Ready is a readiness check: the certifier has opened the buckets, and all
// scripts are loaded. Buckets that are frozen, or cannot be certified, stand in
// an epoch of their own: as long as most are open, a gateway serves those.
func (l *scriptLoader) Ready(ctx context.Context) error {
	epochs, err := l.epochs(ctx)
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if len(epochs) == 0 {
		return errors.New("the buckets have no epoch yet: is `sluice settle` running?")
	}
	open, all := 0, 0
	for epoch, buckets := range epochs {
		texts := []string{l.book.At(epoch).Text(script.Draw)}
		for _, more := range l.texts {
			texts = append(texts, more(epoch)...)
		}
		there := true
		for i := 0; i < len(texts) && there; i++ {
			if there, err = l.exists(ctx, redis.NewScript(texts[i]).Hash()); err != nil {
				return fmt.Errorf("redis: %w", err)
			}
		}
		if all += buckets; there {
			open += buckets
		}
	}
	if open <= all/2 {
		return fmt.Errorf("%d of %d buckets wait for the certifier: is `sluice settle` running?", all-open, all)
	}
	return nil
}

// epochs counts the buckets of each epoch. It is one, but for buckets that were certified apart.
func (l *scriptLoader) epochs(ctx context.Context) (map[uint64]int, error) {
	pipe := l.rdb.Pipeline()
	cmds := make([]*redis.StringCmd, record.Buckets)
	for b := range cmds {
		cmds[b] = pipe.HGet(ctx, changelog.MetaKey(b), "epoch")
	}
	if _, err := pipe.Exec(ctx); err != nil && err != redis.Nil {
		return nil, err
	}
	epochs := map[uint64]int{}
	for _, c := range cmds {
		if epoch, err := strconv.ParseUint(c.Val(), 10, 64); err == nil {
			epochs[epoch]++
		}
	}
	return epochs, nil
}

func (l *scriptLoader) exists(ctx context.Context, sha string) (bool, error) {
	found, err := l.rdb.ScriptExists(ctx, sha).Result()
	return err == nil && len(found) == 1 && found[0], err
}
