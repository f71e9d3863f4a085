// Command sync measures how fast the regions become equal: commit to visible beside Redis
// replication of the same writes, the rate of appliers, the clearing of a backlog, and a
// burst region that joins. Everything runs on this machine over loopback, so the network's
// own delay is not in it; the applier has been running for a while when the load begins. It
// takes under a minute; the last line is the result.
package main

import (
	"fmt"
	"sluice/internal/servers"
	"time"
)

func main() {
	h := &servers.Host{Name: "bench"}
	defer h.Close()
	began := time.Now()
	step := func(what string) { fmt.Printf("%5.1fs  %s\n", time.Since(began).Seconds(), what) }

	step("commit to visible at 10,000 records/s, a replica of the same Redis beside it")
	v := visible(h, 10_000, 8*time.Second)
	fmt.Printf("        %d records: region %s; replica %s\n", v.region.n(), &v.region, &v.replica)
	fmt.Printf("        from the script's own clock: fsynced %s; region %s\n", &v.commit, &v.whole)

	step("apply: 500,000 different keys waiting in the logs")
	a := backlog(h, 500_000, 500_000)
	fmt.Printf("        %s\n", a)

	step("backlog: 1,000,000 records on 10,000 keys waiting in the logs")
	b := backlog(h, 1_000_000, 10_000)
	fmt.Printf("        %s\n", b)

	step("join: a burst region copies 1,000,000 keys")
	j := join(h, 1_000_000)
	fmt.Printf("        %s\n", j)

	step("done")
	fmt.Printf("p50_ms=%.2f p99_ms=%.2f p999_ms=%.2f redis_replica_p99_ms=%.2f script_to_visible_p50_ms=%.2f apply_per_s=%.0f collapse_in_per_s=%.0f backlog_s=%.2f backlog_saving=%.0f join_1m_s=%.1f\n",
		ms(v.region.at(50)), ms(v.region.at(99)), ms(v.region.at(99.9)), ms(v.replica.at(99)), ms(v.whole.at(50)),
		a.perSecond(), b.perSecond(), b.took.Seconds(), b.saving(), j.active.Seconds())
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
