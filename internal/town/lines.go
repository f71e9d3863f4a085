package town

import (
	"fmt"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"sluice/internal/servers"
)

// lines are the private lines between regions; each carries what one region asks of another's home.
type lines struct {
	tb     servers.TB
	server *toxiproxy.ApiServer
	delay  time.Duration
	byPair map[[2]string][]*toxiproxy.Proxy
}

func newLines(tb servers.TB, delay time.Duration) *lines {
	return &lines{tb: tb, server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), delay: delay,
		byPair: map[[2]string][]*toxiproxy.Proxy{}}
}

// lay makes a way from a region to a server of another.
func (l *lines) lay(from, to, what, addr string) string {
	l.tb.Helper()
	proxy := toxiproxy.NewProxy(l.server, from+"-"+to+"-"+what, "127.0.0.1:0", addr)
	if err := proxy.Start(); err != nil {
		l.tb.Fatalf("town: line %s: %v", proxy.Name, err)
	}
	l.tb.Cleanup(proxy.Stop)
	if l.delay > 0 {
		l.both(proxy, "delay", fmt.Sprintf(`"type":"latency","attributes":{"latency":%d,"jitter":%d}`, l.delay.Milliseconds(), l.delay.Milliseconds()/10))
	}
	l.byPair[[2]string{from, to}] = append(l.byPair[[2]string{from, to}], proxy)
	return proxy.Listen
}

func (l *lines) both(proxy *toxiproxy.Proxy, name, toxic string) {
	for _, direction := range []string{"upstream", "downstream"} {
		_, err := proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"name":"%s-%s","stream":"%s",%s}`, name, direction, direction, toxic)))
		if err != nil {
			l.tb.Fatalf("town: %s of line %s: %v", name, proxy.Name, err)
		}
	}
}

func (l *lines) of(from, to string) []*toxiproxy.Proxy {
	all := l.byPair[[2]string{from, to}]
	if len(all) == 0 {
		l.tb.Fatalf("town: there is no line from %s to %s", from, to)
	}
	return all
}

// Cut ends all connections of a line; new ones are refused.
func (t *Town) Cut(from, to string) {
	for _, p := range t.lines.of(from, to) {
		p.Stop()
	}
}

// Hang lets nothing through any more, and says nothing either.
func (t *Town) Hang(from, to string) {
	for _, p := range t.lines.of(from, to) {
		t.lines.both(p, "hang", `"type":"timeout","attributes":{"timeout":0}`)
	}
}

// Mend brings a line back that was cut or hangs.
func (t *Town) Mend(from, to string) {
	for _, p := range t.lines.of(from, to) {
		for _, direction := range []string{"upstream", "downstream"} {
			if p.Toxics.GetToxic("hang-"+direction) != nil {
				p.Toxics.RemoveToxic(t.ctx, "hang-"+direction)
			}
		}
		if !p.Enabled {
			if err := p.Start(); err != nil {
				t.tb.Fatalf("town: line %s comes not back: %v", p.Name, err)
			}
		}
	}
}

// Lines are the pairs of regions that have a line, as from and to.
func (t *Town) Lines() (all [][2]string) {
	for _, from := range t.Regions {
		for _, to := range t.Regions {
			if t.lines.byPair[[2]string{from.Name, to.Name}] != nil {
				all = append(all, [2]string{from.Name, to.Name})
			}
		}
	}
	return all
}
