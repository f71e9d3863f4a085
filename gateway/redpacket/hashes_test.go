package redpacket

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"sluice/gateway/redpacket/script"
	"sluice/internal/servers"
)

// A red packet with many winners' hashes is drawn from, listed, filtered and forgotten as any other, and
// Redis keeps each of the hashes in one piece.
func TestManyWinnersHashes(t *testing.T) {
	f := func(t *testing.T, addr string, packed bool) {
		w := newWorld(t, addr, false)
		ctx := context.Background()
		w.must(w.certifier.Step(ctx))
		const count, winners = 70_000, 500 // more hashes than go in one call, and than are read in one go
		id := w.fund(fmt.Sprintf(`{"amount":%d,"count":%d}`, 1000*count, count))
		st, err := w.desk.Show(ctx, id)
		if err != nil || st.winnerHashes <= dropKeys || hashGroup(st.winnerHashes) < 2 {
			t.Fatalf("%+v, %v", st, err)
		}
		won := map[string]Outcome{}
		for i := range winners {
			won[uidOf(i)] = w.draw(id, uidOf(i))
		}
		listed := 0
		for page := ""; ; {
			p, err := w.desk.Winners(ctx, id, page)
			w.must(err)
			for _, one := range p.Winners {
				if out := won[one.UID]; out.Share != one.Share || out.Amount != one.Amount {
					t.Fatalf("%+v, won %+v", one, out)
				}
				listed++
			}
			if page = p.Next; page == "" {
				break
			}
		}
		if listed != winners {
			t.Fatalf("%d winners are listed", listed)
		}
		if hashes, _, err := w.house.hashedWinners(ctx, id, 0, st.winnerHashes); err != nil || len(hashes) != winners {
			t.Fatalf("%d winners for the filter, %v", len(hashes), err)
		}
		if packed {
			hash := w.house.keys[id.Bucket()].winners(id.String(), uidOf(1), st.winnerHashes)
			if kind, err := w.rdb.ObjectEncoding(ctx, hash).Result(); err != nil || kind != "listpack" && kind != "ziplist" {
				t.Errorf("a winners' hash is a %s, %v", kind, err)
			}
		}
		_, err = w.desk.Close(ctx, id, "")
		w.must(err)
		w.settle()
		w.clean(id)
		// Killed in the middle of forgetting it: the ledger answers from then on, and the rest goes next time.
		time.Sleep(2 * time.Millisecond)
		reply, err := w.house.atPart(ctx, id, 0, script.Drop, func(k *keys, text string) []string { return []string{k.dropped(text), k.sh(text)} }, "1", "1")
		if err != nil || reply != "done" || w.inRedis(id) {
			t.Fatal(reply, err)
		}
		w.house.now = func() time.Time { return time.Now().Add(60 * time.Hour) }
		w.closer.Keep = time.Millisecond
		w.must(w.closer.Step(ctx))
		if left, err := w.rdb.Keys(ctx, "*"+id.String()+"*").Result(); err != nil || len(left) > 0 {
			t.Fatalf("left in Redis: %d keys, %v", len(left), err)
		}
	}
	t.Run("miniredis", func(t *testing.T) { f(t, miniredis.RunT(t).Addr(), false) })
	t.Run("redis", func(t *testing.T) { f(t, servers.Redis(t).Addr, true) })
}

// What an older program funded keeps the hashes it has, and gateways learn their number from it.
func TestTheNumberOfWinnersHashesIsPartOfTheRedPacket(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(twenty)
		won := w.draw(id, "a")
		st, err := w.desk.Show(ctx, id)
		w.must(err)
		st.winnerHashes = 7 // a stale record
		seen := Seen{Found: true, State: st, Now: time.Now().UnixMilli()}
		if out, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: "a", Seen: &seen}); err != nil || out.Kind != Already || out.Share != won.Share {
			t.Fatalf("%+v, %v", out, err)
		}
	})
}
