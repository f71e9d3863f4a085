package redpacket

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/internal/servers"
)

// BenchmarkDraw draws from one red packet on a real Redis with appendfsync always; run it with
// -cpu and -benchtime to taste. Losers are drawn for too once it is sold out.
func BenchmarkDraw(b *testing.B) {
	server := servers.Redis(b)
	w := newWorld(b, server.Addr, false)
	w.pipelined(server.Addr)
	ctx := context.Background()
	w.must(w.certifier.Step(ctx))
	id := w.fund(fmt.Sprintf(`{"amount":%d,"count":%d}`, 1_000_000*200, 1_000_000))
	st, err := w.desk.Show(ctx, id)
	w.must(err)
	cpu := func() (sum float64) {
		for line := range strings.Lines(w.rdb.Info(ctx, "cpu").Val()) {
			if name, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && (name == "used_cpu_user" || name == "used_cpu_sys") {
				f, _ := strconv.ParseFloat(v, 64)
				sum += f
			}
		}
		return sum
	}
	before := cpu()
	var n atomic.Int64
	b.SetParallelism(64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			seen := Seen{Found: true, State: st, Now: st.OpensAt + 1}
			if _, err := w.desk.Draw(ctx, DrawRequest{ID: id, UID: fmt.Sprint("u", n.Add(1)), Seen: &seen}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric((cpu()-before)*1e6/float64(b.N), "redis-us/draw")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "draws/s")
}

func BenchmarkParseState(b *testing.B) {
	payload := "1;o;18;9100;0;0;c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2;;10000;20;lucky;anyone;none;50;20000;sender;0;1800000000000;0;1;"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseState(ID{}, payload, 1, 2); err != nil {
			b.Fatal(err)
		}
	}
}
