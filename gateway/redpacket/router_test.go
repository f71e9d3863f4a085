package redpacket

import (
	"context"
	"errors"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"sluice/cachesync"
)

func TestLinkToAHomeDownStopsRealDrawsOnly(t *testing.T) {
	far := newWorld(t, miniredis.RunT(t).Addr(), false)
	ctx := context.Background()
	far.must(far.certifier.Step(ctx))
	id := far.fund(twenty)
	won := far.draw(id, "a")
	near := newWorld(t, miniredis.RunT(t).Addr(), false)
	// The region's memcached has what the change log of the far home brought.
	reads := []cachesync.Read{{Key: cachesync.RedPacketKey(id.String())}}
	far.must(far.cache.Read(ctx, reads))
	near.cache.rp[reads[0].Key] = reads[0].Record
	near.cache.wins[cachesync.WinKey(id.String(), "a")] = "0," + text64(won.Amount) + ",1"
	up, err := NewRouter(near.desk, map[uint8]Desk{1: far.desk})
	far.must(err)
	if out, err := up.Draw(ctx, DrawRequest{ID: id, UID: "b"}); err != nil || out.Kind != Won {
		t.Fatalf("%+v, %v", out, err)
	}
	down, err := NewRouter(near.desk, nil)
	far.must(err)
	draw := func(uid string) (Outcome, error) {
		seen, err := lookAt(down, ctx, id, uid)
		far.must(err)
		return down.Draw(ctx, DrawRequest{ID: id, UID: uid, Seen: &seen})
	}
	if out, err := draw("a"); err != nil || out.Kind != Already || out.Amount != won.Amount {
		t.Fatalf("%+v, %v", out, err)
	}
	var later *LaterError
	if out, err := draw("c"); !errors.As(err, &later) {
		t.Fatalf("%+v, %v", out, err)
	}
}
