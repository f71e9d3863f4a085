package cmd

import (
	"context"
	"log/slog"
	"testing"

	"sluice/cachesync"
	"sluice/cachesync/apply"
	"sluice/cachesync/changelog"
	"sluice/gateway/config"
	"sluice/internal/servers"
)

// What the certifier takes for evidence is what the region's appliers saved: of a cluster each
// bucket's under a name of its own, and under the home's name, which need not be the region's.
func TestEvidenceIsThePositionThatTheAppliersSaved(t *testing.T) {
	f := func(what string, change func(c *config.Config), saved string, want uint64) {
		t.Helper()
		ctx := context.Background()
		cfg := config.Default()
		cfg.Secret = "0123456789abcdef0123456789abcdef"
		cfg.Memcached.Servers = []string{servers.StartMemcached(t).Addr}
		cfg.Redis.Addrs = []string{"127.0.0.1:1"} // not asked
		change(&cfg)
		p, err := openParts(cfg, slog.New(slog.DiscardHandler), "")
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		client, err := p.openMemcached(false)
		if err != nil {
			t.Fatal(err)
		}
		positions := &apply.CachePositions{Store: client}
		if err := positions.Save(ctx, saved, map[int]changelog.ID{7: {Epoch: 1, Seq: 42}}); err != nil {
			t.Fatal(err)
		}
		look := p.evidence(client)
		if look == nil {
			if want != 0 {
				t.Errorf("%s: there is no evidence at all", what)
			}
			return
		}
		for bucket, want := range map[int]uint64{7: want, 8: 0} {
			if seq, err := look(ctx, bucket); err != nil || seq != want {
				t.Errorf("%s: bucket %d: %d, %v; want %d", what, bucket, seq, err, want)
			}
		}
	}
	homes := func(name string, id int, cluster bool) func(c *config.Config) {
		return func(c *config.Config) {
			c.Sync.Homes = []cachesync.Home{{Name: "far", ID: 9}, {Name: name, ID: id, Redis: cachesync.Redis{Cluster: cluster}}}
		}
	}
	f("one Redis", func(*config.Config) {}, "local", 42)
	f("a cluster", func(c *config.Config) { c.Redis.Cluster = true }, "local:07", 42)
	f("a cluster among homes", homes("local", 1, true), "local:07", 42)
	f("a home with another name", homes("beijing", 1, false), "beijing", 42)
	f("a home that is not followed here", homes("other", 2, false), "local", 0)
}
