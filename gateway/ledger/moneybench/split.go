package main

import (
	"crypto/sha256"
	"fmt"

	"sluice/gateway/redpacket/split"
)

// splits measures 10,000 shares of 100,000 yuan (one block), and 200,000
// shares of 2,000,000 yuan (blocks in parallel).
func splits() (nsPerShare, ms200k float64, err error) {
	small := split.Plan{Amount: split.BlockAmount, Count: 10_000, Min: 50, Max: 20_000, Seed: sha256.Sum256([]byte("small"))}
	shares := make([]int64, small.Count)
	d, err := best(20, func() error { return split.Lucky(small, shares, 1) })
	if err != nil {
		return 0, 0, err
	}
	nsPerShare = float64(d.Nanoseconds()) / float64(small.Count)
	big := split.Plan{Amount: 20 * split.BlockAmount, Count: 200_000, Min: 50, Max: 20_000, Seed: sha256.Sum256([]byte("big"))}
	shares = make([]int64, big.Count)
	d, err = best(10, func() error { return split.Lucky(big, shares, 2) })
	if err != nil {
		return 0, 0, err
	}
	ms200k = float64(d.Microseconds()) / 1000
	fmt.Printf("split: 10000 shares %.0f ns each, 200000 shares %.1f ms\n", nsPerShare, ms200k)
	return nsPerShare, ms200k, nil
}
