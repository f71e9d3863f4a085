package redpacket

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"sluice/cachesync"
)

// Sources fills records of red packets (rp: and wf:) each from the home that its id names. A
// home that there is no way to is "later": what it holds is not known here.
type Sources struct {
	IDs    *IDs
	ByHome map[uint8]cachesync.Source
}

var _ cachesync.Source = Sources{}

// Fill implements cachesync.Source. Homes are asked at the same time.
func (s Sources) Fill(ctx context.Context, keys []string) ([]cachesync.Filled, error) {
	var out []cachesync.Filled
	byHome := map[uint8][]string{}
	for _, key := range keys {
		_, text, _ := strings.Cut(key, ":")
		text, _, _ = strings.Cut(text, ":") // wf:<id>:<chunk>
		id, err := s.IDs.Parse(text)
		if err != nil {
			out = append(out, cachesync.Filled{Key: key, Err: cachesync.ErrNotFound})
			continue
		}
		byHome[id.Home()] = append(byHome[id.Home()], key)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for home, keys := range byHome {
		wg.Go(func() {
			filled := s.ask(ctx, home, keys)
			mu.Lock()
			out = append(out, filled...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return out, nil
}

// ask asks one home; if that fails, all its keys are "later" and the other homes' are not.
func (s Sources) ask(ctx context.Context, home uint8, keys []string) []cachesync.Filled {
	err := fmt.Errorf("this gateway has no way to home %d", home)
	if source := s.ByHome[home]; source != nil {
		var filled []cachesync.Filled
		if filled, err = source.Fill(ctx, keys); err == nil {
			return filled
		}
	}
	filled := make([]cachesync.Filled, len(keys))
	for i, key := range keys {
		filled[i] = cachesync.Filled{Key: key, Err: fmt.Errorf("%w: %v", cachesync.ErrLater, err)}
	}
	return filled
}
