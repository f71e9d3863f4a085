package redpacket

import (
	"context"
	"errors"
	"testing"
)

const twenty = `{"amount":10000,"count":20}`

func TestFundDrawSettleReconcile(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.fund(twenty)
		st, err := w.desk.Show(context.Background(), id)
		if err != nil || st.State != StateOpen || st.Left != 20 || st.LeftAmount != 10000 || len(st.Commit) != 64 || st.Seed != "" {
			t.Fatalf("%+v, %v", st, err)
		}
		seen := map[int64]bool{}
		var sum int64
		for i := range 20 {
			out := w.draw(id, uidOf(i))
			if out.Kind != Won || seen[out.Share] || out.Amount < 50 {
				t.Fatalf("draw %d: %+v", i, out)
			}
			seen[out.Share] = true
			sum += out.Amount
			if again := w.draw(id, uidOf(i)); again.Kind != Already || again.Amount != out.Amount || again.Share != out.Share {
				t.Fatalf("again: %+v, first %+v", again, out)
			}
			if i%7 == 0 {
				w.settle()
				w.clean(id)
			}
		}
		if sum != 10000 {
			t.Fatalf("the shares sum to %d", sum)
		}
		if out := w.draw(id, "late"); out.Kind != SoldOut {
			t.Fatalf("%+v", out)
		}
		if n, err := w.rdb.Exists(context.Background(), w.house.keys[id.Bucket()].sh(id.String())).Result(); n != 0 || err != nil {
			t.Fatalf("the amounts of a red packet that is sold out stay in Redis, %v", err)
		}
		w.must(w.rdb.ScriptFlush(context.Background()).Err()) // as a restart does
		w.must(w.certifier.Step(context.Background()))
		if out := w.draw(id, "late"); out.Kind != SoldOut {
			t.Fatalf("after a restart: %+v", out)
		}
		w.settle()
		r := w.clean(id)
		if r.Payable != 10000 || r.Unsettled != 0 || r.Left != 0 || r.Awards != 20 {
			t.Fatalf("%v", r)
		}
		page, err := w.desk.Winners(context.Background(), id, "")
		if err != nil || len(page.Winners) != 20 || page.Next != "" || page.Winners[3].Share != 3 {
			t.Fatalf("%+v, %v", page, err)
		}
		if rep, err := w.ledger.Audit(context.Background()); err != nil || len(rep.Problems) > 0 {
			t.Fatal(rep, err)
		}
	})
}

func TestCloseGivesWhatIsLeftBackOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		id := w.fund(twenty)
		won := w.draw(id, "a").Amount
		if _, err := w.desk.Close(ctx, id, "somebody"); !errors.Is(err, ErrSender) {
			t.Fatal(err)
		}
		for range 2 {
			st, err := w.desk.Close(ctx, id, "sender")
			if err != nil || st.State != StateClosed || len(st.Seed) != 64 {
				t.Fatalf("%+v, %v", st, err)
			}
		}
		if out := w.draw(id, "b"); out.Kind != Closed {
			t.Fatalf("%+v", out)
		}
		if out := w.draw(id, "a"); out.Kind != Already || out.Amount != won {
			t.Fatalf("%+v", out)
		}
		if r := w.clean(id); r.Unsettled != 10000 {
			t.Fatalf("before settling: %v", r)
		}
		w.settle()
		if r := w.clean(id); r.Refunding != 10000-won || r.Payable != won {
			t.Fatalf("%v", r)
		}
		v, err := Verify(ctx, w.ledger, id)
		if err != nil || v.Checked != 1 {
			t.Fatalf("%+v, %v", v, err)
		}
	})
}

func TestRepeatedFundIsTheSameRedPacket(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		req, _ := ParseFund([]byte(twenty))
		req.Sender, req.Key = "sender", "key 1"
		first, err := w.desk.Fund(ctx, req)
		w.must(err)
		w.must(w.splitter.Step(ctx))
		again, err := w.desk.Fund(ctx, req)
		if err != nil || again.ID != first.ID || !again.Again || again.State != StateOpen {
			t.Fatalf("%+v, %v", again, err)
		}
		req.Amount++
		if _, err := w.desk.Fund(ctx, req); !errors.Is(err, ErrConflict) {
			t.Fatal(err)
		}
	})
}
