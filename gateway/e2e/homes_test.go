package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"sluice/cachesync"
	"sluice/internal/town"
)

// admin is an operator at a region's gateway.
func (w *three) admin(region string) *client {
	return newClient(w.Region(region).Admin, town.AdminToken)
}

// user is what a region's memcached has of a user; nothing, or a request to fill, is no record.
func user(cached *memcache.Client, uid string) (r cachesync.Record, ok bool) {
	item, err := cached.Get(cachesync.UserKey(uid))
	if err != nil {
		return r, false
	}
	r, err = cachesync.Parse(item.Value)
	return r, err == nil && !r.Refill()
}

// What a region has lost comes from the home that knows it, whichever that is: never an older
// state of a user, never "no such room".
func TestRegionsFillFromTheHomeThatKnows(t *testing.T) {
	w := startThree(t)
	for _, p := range []struct{ home, path, body string }{
		{"bj1", "/admin/rooms/gala", `{"title":"Gala"}`}, {"month1", "/admin/rooms/fair", `{"title":"Fair"}`},
		{"bj1", "/admin/users/zed", `{"blocked":true}`}, {"month1", "/admin/users/mia", `{"blocked":true}`},
	} {
		if a := w.admin(p.home).do(t, "PUT", p.path, p.body); a.Status != 200 {
			t.Fatalf("%s: %d %s", p.path, a.Status, a.Body)
		}
	}
	rooms, uids := []string{"gala", "fair"}, []string{"zed", "mia"}
	caches := map[string]*memcache.Client{}
	for _, r := range w.Regions {
		cached := memcache.New(r.Memcached)
		defer cached.Close()
		caches[r.Name] = cached
		for i, uid := range uids {
			eventually(t, 30*time.Second, func() error {
				if _, ok := user(cached, uid); !ok {
					return fmt.Errorf("%s does not come to %s", uid, r.Name)
				}
				_, err := cached.Get(cachesync.RoomKey(rooms[i]))
				return err
			})
		}
	}
	// enter lets both users into both rooms of a region until they are in and the region knows them.
	enter := func(region, how string) {
		t.Helper()
		for i, uid := range uids {
			for _, room := range rooms {
				eventually(t, 30*time.Second, func() error {
					a, err := w.as(region, uid).try("POST", "/v1/rooms/"+room+"/enter"+how, "")
					if err != nil {
						return err
					}
					if a.Status != 200 && !a.later() {
						t.Errorf("%s enters %s in %s: %d %s", uid, room, region, a.Status, a.Body)
					}
					r, ok := user(caches[region], uid)
					if ok && string(r.Payload) != `{"blocked":true}` {
						t.Errorf("%s has %s of version %s for %s", region, r.Payload, r.Version, uids[i])
					}
					if a.Status != 200 || !ok {
						return fmt.Errorf("%s in %s: %d %s", uid, region, a.Status, a.Body)
					}
					return nil
				})
			}
		}
	}
	time.Sleep(4 * time.Second) // appliers repeat what is younger, which is not what this is about
	for _, r := range w.Regions {
		caches[r.Name].FlushAll()
		enter(r.Name, "?sync=force")
	}
	for _, r := range w.Regions {
		eventually(t, 30*time.Second, func() error {
			if !strings.Contains(r.Sync.Output(), "lost its data") {
				return errors.New("the log of " + r.Name + " does not say that memcached was emptied")
			}
			return nil
		})
		if out := mustSluice(t, "sync", "verify", "bj1", "-c", r.File); !strings.Contains(out, " 0 different") {
			t.Error(out)
		}
	}
	if out, code := sluice(t, "sync", "verify", "nowhere", "-c", w.Region("bj1").File); code != 2 {
		t.Errorf("exit %d: %s", code, out)
	}
	id := fund(t, w.as("bj1", "sender"), `{"amount":100,"count":1}`)
	for _, r := range w.Regions {
		for _, uid := range uids {
			if a := w.draw(r.Name, uid, id); a.Status != 403 {
				t.Errorf("%s, who is blocked, draws in %s: %d %s", uid, r.Name, a.Status, a.Body)
			}
		}
	}
	// A home that does not answer may know more: "later".
	w.Cut("burst1", "month1")
	caches["burst1"].FlushAll()
	for range 20 {
		a, err := w.as("burst1", "mia").try("POST", "/v1/rooms/fair/enter?sync=force", "")
		if err != nil || !a.later() {
			t.Errorf("a room of a home that does not answer: %d %s %v", a.Status, a.Body, err)
		}
		if r, ok := user(caches["burst1"], "mia"); ok {
			t.Errorf("%s of version %s is taken for the state of a user of a home that does not answer", r.Payload, r.Version)
		}
	}
	w.Mend("burst1", "month1")
	enter("burst1", "") // without waiting for the user
}
