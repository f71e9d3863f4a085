package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"sluice/gateway/token"
	"sluice/internal/town"
)

// three is the three regions, with tokens.
type three struct {
	*town.Town
	t    *testing.T
	ring *token.Ring
}

func startThree(t *testing.T) *three {
	t.Helper()
	ring, err := token.NewRing([]token.Key{{ID: "k1", Algorithm: "HS256", Secret: town.Secret}}, 0, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	w := &three{t: t, ring: ring, Town: town.Start(t, town.Config{Binary: binary, Scripts: copyScripts(t), Delay: 10 * time.Millisecond})}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, r := range w.Regions {
			text := r.Gateway.Output() + r.Sync.Output() + r.Relay.Output()
			t.Logf("%s:\n%s", r.Name, text[max(0, len(text)-4000):])
		}
	})
	return w
}

// as is a client of a region's gateway.
func (w *three) as(region, uid string) *client {
	w.t.Helper()
	return newClient(w.Region(region).Public, w.mint(uid))
}

func (w *three) mint(uid string) string {
	w.t.Helper()
	text, err := w.ring.Mint(token.Claims{UID: uid, Scope: "fund"}, time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func (w *three) draw(region, uid, id string) answer {
	w.t.Helper()
	return w.as(region, uid).do(w.t, "POST", "/v1/redpackets/"+id+"/draw", "")
}

// once draws without coming back when told "later"; it fails if that takes longer than a
// gateway's own patience with a backend and some more for a busy machine.
func (w *three) once(region, uid, id string) answer {
	w.t.Helper()
	began := time.Now()
	a, err := w.as(region, uid).try("POST", "/v1/redpackets/"+id+"/draw", "")
	if err != nil {
		w.t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		w.t.Errorf("%s in %s was answered after %v", uid, region, took)
	}
	return a
}

// seen waits until a region's cache has a red packet in a state.
func (w *three) seen(region, id, state string) {
	w.t.Helper()
	awaitState(w.t, w.as(region, "looker"), id, state)
}

// clean reconciles a red packet at its home until all is settled.
func (w *three) clean(home, id string) {
	w.t.Helper()
	eventually(w.t, time.Minute, func() error {
		text, code := sluice(w.t, "redpacket", "reconcile", "-c", w.Region(home).File, id)
		if code != 0 || !zero(text, "unsettled") {
			return fmt.Errorf("exit %d:\n%s", code, text)
		}
		return nil
	})
}

// connections is how many the home's Redis has.
func (w *three) connections(home string) int {
	w.t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: w.Region(home).Redis.Addr, PoolSize: 1})
	defer rdb.Close()
	list, err := rdb.ClientList(context.Background()).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Count(list, "\n") - 1
}

func TestRegionsDrawFromEachOthersHomes(t *testing.T) {
	w := startThree(t)
	id := fund(t, w.as("bj1", "sender"), `{"amount":60000,"count":60}`)
	for _, r := range w.Regions {
		w.seen(r.Name, id, "open")
	}
	before := w.connections("bj1")
	var wg sync.WaitGroup
	var results [60]asked
	for u := range results {
		wg.Go(func() {
			c := w.as(w.Regions[u%3].Name, fmt.Sprint("u", u))
			results[u] = drawUntilAnswered(c, id)
			if r := results[u]; r.outcome != "won" && r.outcome != "already" {
				t.Errorf("u%d heard %+v", u, r.heard)
			}
			// Wherever he asks again, it is the same.
			c = w.as(w.Regions[(u+1)%3].Name, fmt.Sprint("u", u))
			if again := drawUntilAnswered(c, id); again.outcome != "already" || again.share != results[u].share || again.amount != results[u].amount {
				t.Errorf("u%d heard %+v, then elsewhere %+v", u, results[u].heard, again.heard)
			}
		})
	}
	wg.Wait()
	if after := w.connections("bj1"); after > before+8 { // the pool of bj1's own gateway may grow
		t.Errorf("home had %d connections, and %d after 120 draws of 60 clients", before, after)
	} else {
		t.Logf("home has %d connections", after)
	}
	if r := drawUntilAnswered(w.as("burst1", "late"), id); r.outcome != "soldout" {
		t.Errorf("late heard %+v", r.heard)
	}
	a := w.as("month1", "looker").do(t, "GET", "/v1/redpackets/"+id+"/winners", "")
	if list, _ := a.JSON["winners"].([]any); a.Status != 200 || len(list) != len(results) {
		t.Errorf("winners from month1: %d %s", a.Status, a.Body)
	}
	w.clean("bj1", id)

	// A region without a home funds at another's; its sender closes it from a third.
	id = fund(t, w.as("burst1", "sender"), `{"amount":500,"count":5}`)
	if r := drawUntilAnswered(w.as("month1", "u1"), id); r.outcome != "won" && r.outcome != "already" {
		t.Errorf("u1 heard %+v", r.heard)
	}
	w.clean("bj1", id)
	if out, code := sluice(t, "redpacket", "close", "-c", w.Region("month1").File, id); code != 2 || !strings.Contains(out, "region 1") {
		t.Errorf("closing elsewhere: exit %d: %s", code, out)
	}
	mustSluice(t, "redpacket", "close", "-c", w.Region("burst1").File, id)
	w.seen("month1", id, "closed")
	eventually(t, 30*time.Second, func() error {
		if a := w.draw("burst1", "u2", id); a.str("outcome") != "closed" {
			return fmt.Errorf("%d %s", a.Status, a.Body)
		}
		return nil
	})
	w.clean("bj1", id)

	// And the monthly region is a home like the first.
	id = fund(t, w.as("month1", "sender"), `{"amount":300,"count":3}`)
	for _, r := range w.Regions {
		if a := drawUntilAnswered(w.as(r.Name, "of-"+r.Name), id); a.outcome != "won" && a.outcome != "already" {
			t.Errorf("%s: %+v", r.Name, a.heard)
		}
	}
	w.clean("month1", id)
}

func TestLineDownMeansLaterForRealDrawsOnly(t *testing.T) {
	w := startThree(t)
	open := fund(t, w.as("bj1", "sender"), `{"amount":10000,"count":100}`)
	gone := fund(t, w.as("bj1", "sender"), `{"amount":100,"count":1}`)
	soon := fund2(t, w.as("bj1", "sender"), fmt.Sprintf(`{"amount":100,"count":1,"opens_at":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339)))
	if a := w.draw("month1", "lucky", gone); a.str("outcome") != "won" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	first := w.draw("burst1", "winner", open)
	if first.str("outcome") != "won" {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	// All that burst1 is to know without its home has come, the filter of winners too.
	w.seen("burst1", soon, "scheduled")
	cached := memcache.New(w.Region("burst1").Memcached)
	defer cached.Close()
	eventually(t, time.Minute, func() error {
		_, err := cached.Get("wf:" + gone + ":0")
		return err
	})
	known := func() error {
		for _, one := range []struct{ uid, id, outcome string }{
			{"winner", open, "already"}, {"loser", gone, "soldout"}, {"early", soon, "notopen"},
		} {
			a := w.once("burst1", one.uid, one.id)
			if a.Status != 200 || a.str("outcome") != one.outcome {
				return fmt.Errorf("%s: %d %s, want %s", one.uid, a.Status, a.Body, one.outcome)
			}
		}
		return nil
	}
	eventually(t, 30*time.Second, known)
	uid := 0
	for _, fault := range []struct {
		name string
		make func(from, to string)
	}{{"cut", w.Cut}, {"hang", w.Hang}} {
		fault.make("burst1", "bj1")
		for range 10 {
			uid++
			a := w.once("burst1", fmt.Sprint("n", uid), open)
			if a.Status != 503 || a.str("error", "code") != "later" || a.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %v %s, want 503 with Retry-After", fault.name, a.Status, a.Header, a.Body)
			}
		}
		for range 5 {
			eventually(t, 30*time.Second, known)
		}
		if a := w.draw("month1", fmt.Sprint("m", uid), open); a.str("outcome") != "won" {
			t.Errorf("%s: month1 heard %d %s", fault.name, a.Status, a.Body)
		}
		w.Mend("burst1", "bj1")
		eventually(t, 30*time.Second, func() error {
			if a := w.once("burst1", fmt.Sprint("n", uid), open); a.Status != 200 || a.str("outcome") != "won" && a.str("outcome") != "already" {
				return fmt.Errorf("%d %s", a.Status, a.Body)
			}
			return nil
		})
	}
	w.clean("bj1", open)
}

// fund2 is fund for a red packet that does not open yet.
func fund2(t *testing.T, c *client, body string) string {
	t.Helper()
	a := c.do(t, "POST", "/v1/redpackets", body)
	if a.Status != 202 {
		t.Fatalf("fund: %d %s", a.Status, a.Body)
	}
	awaitState(t, c, a.str("id"), "scheduled")
	return a.str("id")
}

// Relays are killed and paused in the middle of draws, both of a region at once too.
func TestRelaysKilledAndPausedLoseNothing(t *testing.T) {
	const users, shares, amount, clients = 6000, 5000, 5_000_000, 32
	w := startThree(t)
	id := fund(t, w.as("bj1", "sender"), fmt.Sprintf(`{"amount":%d,"count":%d}`, amount, shares))
	var results [users]asked
	var next, finished atomic.Int64
	var wg sync.WaitGroup
	for k := range clients {
		wg.Go(func() {
			c := newClient(w.Region([]string{"burst1", "month1"}[k%2]).Public, "")
			for {
				u := int(next.Add(1) - 1)
				if u >= users {
					return
				}
				c.token = w.mint(fmt.Sprint("u", u))
				results[u] = drawUntilAnswered(c, id)
				finished.Add(1)
			}
		})
	}
	burst, month := w.Region("burst1"), w.Region("month1")
	const pause = 700 * time.Millisecond // longer than any call waits
	faults := []func(){
		func() { burst.Relay.Kill(); burst.Relay.Start() },
		func() { burst.Sync.Pause(); time.Sleep(pause); burst.Sync.Resume() },
		func() {
			burst.Relay.Pause()
			burst.Sync.Pause()
			time.Sleep(pause)
			burst.Relay.Resume()
			burst.Sync.Resume()
		},
		func() { month.Sync.Kill(); month.Relay.Kill(); month.Sync.Start(); month.Relay.Start() },
		func() { month.Relay.Pause(); time.Sleep(pause); month.Relay.Kill(); month.Relay.Start() },
	}
	for i, f := range faults {
		for want := int64(users * (i + 1) / (len(faults) + 2)); finished.Load() < want; {
			time.Sleep(time.Millisecond)
		}
		f()
	}
	wg.Wait()
	check(t, &house{t: t, ring: w.ring, file: w.Region("bj1").File, addr: w.Region("bj1").Public}, id, amount, shares, userNames(users), results[:])
	// Whoever asks again, wherever, hears the same.
	for range 200 {
		u := rand.IntN(users)
		a := w.draw(w.Regions[u%3].Name, fmt.Sprint("u", u), id)
		want := results[u].heard
		if want.outcome == "won" {
			want.outcome = "already"
		}
		if got := (heard{a.str("outcome"), a.num("share"), a.num("amount")}); got != want {
			t.Errorf("u%d heard %+v, now %+v", u, want, got)
		}
	}
}
