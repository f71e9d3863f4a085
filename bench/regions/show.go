package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"sluice/internal/servers"
	"sluice/internal/town"
)

// show is the town with something going on in it.
type show struct {
	*town.Town
	h         *servers.Host
	binary    string
	id        string // the red packet to draw from
	committed atomic.Int64
	note      atomic.Pointer[string]
}

func (s *show) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.note.Store(&text)
}

func (s *show) said() string {
	if text := s.note.Load(); text != nil {
		return *text
	}
	return "no fault yet"
}

// fund makes the red packet that is drawn from.
func (s *show) fund(ctx context.Context) {
	out, err := s.Sluice(s.Region("bj1"), "redpacket", "fund", "--uid", "host", "--body", `{"amount":1000000,"count":5000}`)
	if err != nil && ctx.Err() == nil {
		s.h.Fatalf("regions: %v", err)
	}
	s.id = out
}

// load changes users at both homes, as a login queue does.
func (s *show) load(ctx context.Context, rate int) {
	const perSecond = 20
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, r := range s.Regions {
			if r.Redis == nil {
				continue
			}
			users := map[string]any{}
			for range max(1, rate/perSecond) {
				n++
				users[fmt.Sprintf("%s-%d", r.Name, n%20000)] = map[string]int{"seq": n}
			}
			if err := put(ctx, r, users); err != nil {
				continue // a gateway is told so by its own metrics
			}
			s.committed.Add(int64(len(users)))
		}
	}
}

func put(ctx context.Context, r *town.Region, users map[string]any) error {
	body, err := json.Marshal(users)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.Admin+"/admin/users", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+town.AdminToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", res.Status)
	}
	return nil
}

// faults cuts a line now and then, and lets the burst region leave and join.
func (s *show) faults(ctx context.Context) {
	wait := func(d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	lines := s.Lines()
	for n := 1; ctx.Err() == nil; n++ {
		if wait(10 * time.Second); ctx.Err() != nil {
			return
		}
		if burst := s.Region("burst1"); n%3 == 0 {
			s.say("burst1 is being drained: `sluice region drain burst1`")
			if _, err := s.Sluice(burst, "region", "drain", "burst1"); err != nil {
				s.say("%v", err)
				continue
			}
			wait(2 * time.Second)
			burst.Sync.Kill()
			burst.Sync.Start()
			s.say("burst1 joins")
			continue
		}
		l := lines[rand.IntN(len(lines))]
		s.say("line %s - %s is cut", l[0], l[1])
		s.Cut(l[0], l[1])
		wait(2 * time.Second)
		s.Mend(l[0], l[1])
		s.say("line %s - %s is back", l[0], l[1])
	}
}
