package redpacket

import (
	"context"
	"errors"
	"testing"
	"time"

	"sluice/gateway/ledger"
)

// emptied takes Redis away and lets the certifier build it again: what nobody knows is held.
func (w *world) emptied() {
	w.t.Helper()
	ctx := context.Background()
	w.must(w.rdb.FlushAll(ctx).Err())
	w.must(w.rdb.ScriptFlush(ctx).Err())
	w.must(w.certifier.Step(ctx))
}

func (w *world) release(id ID, share int, winner string) {
	w.t.Helper()
	ctx := context.Background()
	held, err := w.ledger.Quarantined(ctx, id.String())
	w.must(err)
	for _, h := range held {
		if h.Share == share {
			r := ledger.Release{RedPacket: id.String(), Share: share, Who: "test", Why: "test", At: time.Now()}
			if winner != "" {
				r.Win = &ledger.Win{RedPacket: id.String(), Share: share, UID: winner, N: "1", Amount: h.Amount, At: h.At, Epoch: h.Epoch}
			}
			w.must(w.ledger.Release(ctx, []ledger.Release{r}))
		}
	}
}

// What the ledger released is no longer held in Redis either: its winner hears of it, and the
// others an honest word instead of "later" for ever.
func TestReleasedSharesAreNoLongerHeldInRedis(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(`{"amount":1500,"count":5}`)
		w.draw(id, "a")
		w.settle()
		w.draw(id, "b") // acknowledged, and then forgotten
		w.emptied()
		w.release(id, 1, "b")
		w.must(Unhold(ctx, w.house, w.ledger, id))
		if out := w.insist(id, "b"); out.Kind != Already || out.Share != 1 {
			t.Fatalf("who was given the share heard %+v", out)
		}
		if err := drawErr(w, id, "c"); !errors.Is(err, ErrFrozen) { // others are still held
			t.Fatal(err)
		}
		if st, err := w.desk.Show(ctx, id); err != nil || st.Quarantined != 3 {
			t.Fatalf("%+v, %v", st, err)
		}
		if _, err := w.desk.Close(ctx, id, ""); err != nil {
			t.Fatal(err)
		}
		w.settle()
		for share := 2; share < 5; share++ {
			w.release(id, share, "")
		}
		w.must(w.closer.Step(ctx)) // the closer finds it, though nobody called
		for range 2 {              // and again changes nothing
			if out := w.insist(id, "c"); out.Kind != Closed {
				t.Fatalf("%+v", out)
			}
			w.must(Unhold(ctx, w.house, w.ledger, id))
		}
		if r := w.clean(id); r.Quarantined != 0 || r.Awards != 2 {
			t.Fatalf("%v", r)
		}
		w.emptied() // what was released stays released
		if out := w.insist(id, "c"); out.Kind != Closed {
			t.Fatalf("%+v", out)
		}
		if out := w.insist(id, "b"); out.Kind != Already || out.Share != 1 {
			t.Fatalf("%+v", out)
		}
		w.clean(id)
	})
}

// Where the ledger is waited for, a close is told only when the ledger has it, as a win is.
func TestACloseIsToldWhenTheLedgerHasIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(twenty)
		w.draw(id, "a")
		var asked []Position
		w.desk.Confirm = func(_ context.Context, pos Position) error {
			asked = append(asked, pos)
			return errors.New("the ledger is away")
		}
		var later *LaterError
		if _, err := w.desk.Close(ctx, id, ""); !errors.As(err, &later) || len(asked) != 1 {
			t.Fatalf("%v after %v", err, asked)
		}
		w.desk.Confirm = func(_ context.Context, pos Position) error {
			for range 10 {
				w.must(w.settler.Step(ctx))
			}
			known, err := w.ledger.Positions(ctx, 1)
			if known[pos.Bucket].Position.Seq < pos.Seq {
				t.Errorf("settled to %v, the close stands at %d", known[pos.Bucket].Position, pos.Seq)
			}
			return err
		}
		if st, err := w.desk.Close(ctx, id, ""); err != nil || st.State != StateClosed {
			t.Fatalf("%+v, %v", st, err)
		}
		row, err := w.ledger.RedPacket(ctx, id.String())
		if err != nil || row.State != ledger.Closed {
			t.Fatalf("%+v, %v", row.State, err)
		}
		w.clean(id)
	})
}

// usersOf finds n users of each part.
func usersOf(parts, n int) [][]string {
	users := make([][]string, parts)
	for i, full := 0, 0; full < parts; i++ {
		if part := partOf(uidOf(i), int64(parts)); len(users[part]) < n {
			if users[part] = append(users[part], uidOf(i)); len(users[part]) == n {
				full++
			}
		}
	}
	return users
}

// Of a spread red packet each part holds its own shares: each is released where it is held, its
// winner hears of it where that winner draws, and the record tells what all parts hold.
func TestReleasedSharesOfASpreadRedPacketAreNoLongerHeldInItsParts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.fast()
		users := usersOf(4, 4)
		id := w.fund(`{"amount":2000,"count":8,"parts":4}`)
		for part := range users {
			w.draw(id, users[part][0])
		}
		w.settle()
		forgotten := make([]Outcome, 4)
		for part := range users {
			forgotten[part] = w.draw(id, users[part][1]) // acknowledged, and then forgotten
		}
		w.emptied()
		w.must(w.splitter.Step(ctx)) // opens part 0 again
		for part := range users {
			if err := drawErr(w, id, users[part][1]); !errors.Is(err, ErrFrozen) {
				t.Fatalf("part %d: %v", part, err)
			}
		}
		holds := func(want int64) {
			t.Helper()
			w.must(Unhold(ctx, w.house, w.ledger, id))
			emitted, err := w.desk.Show(ctx, id) // what the record says
			if err != nil || emitted.Quarantined != want {
				t.Fatalf("%+v, %v; want %d quarantined", emitted, err, want)
			}
			if home, err := w.desk.read(ctx, id); err != nil || home.Quarantined != want { // what the parts say
				t.Fatalf("%+v, %v; want %d quarantined", home, err, want)
			}
		}
		told := func(uid string, share int64) {
			t.Helper()
			if out := w.draw(id, uid); out.Kind != Already || out.Share != share {
				t.Fatalf("%s heard %+v, and has share %d", uid, out, share)
			}
		}
		holds(4)
		w.release(id, int(forgotten[2].Share), users[2][1])
		holds(3)
		told(users[2][1], forgotten[2].Share)
		w.release(id, int(forgotten[1].Share), users[3][2]) // held by part 1, won by a user of part 3
		holds(2)
		told(users[3][2], forgotten[1].Share)
		for _, uid := range []string{users[1][1], users[2][3]} { // their parts hold nothing, and nothing is left
			if out := w.eventually(id, uid); out.Kind != SoldOut {
				t.Fatalf("%+v", out)
			}
		}
		if err := drawErr(w, id, users[3][3]); !errors.Is(err, ErrFrozen) {
			t.Fatal(err)
		}
		w.closeAllByCommand(id)
		w.release(id, int(forgotten[0].Share), "")
		holds(1)
		w.release(id, int(forgotten[3].Share), "")
		w.closer.unheld = map[ID]int64{} // the closer finds it, though nobody called
		w.closeAll(id)
		holds(0)
		st, err := w.desk.Show(ctx, id)
		if err != nil || st.State != StateClosed || st.filter == 0 || len(st.Seed) != 64 {
			t.Fatalf("%+v, %v", st, err)
		}
		for part := range users {
			if out := w.draw(id, users[part][3]); out.Kind != Closed {
				t.Fatalf("%+v", out)
			}
			told(users[part][0], w.draw(id, users[part][0]).Share)
		}
		told(users[2][1], forgotten[2].Share)
		told(users[3][2], forgotten[1].Share)
		if r := w.clean(id); r.Quarantined != 0 || r.Awards != 6 {
			t.Fatalf("%v", r)
		}
		w.emptied() // what was released stays released
		w.must(w.splitter.Step(ctx))
		holds(0)
		told(users[3][2], forgotten[1].Share)
		if out := w.draw(id, users[0][3]); out.Kind != Closed {
			t.Fatalf("%+v", out)
		}
		w.clean(id)
	})
}
