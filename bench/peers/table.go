package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	load "sluice/bench/load/report"
	"sluice/bench/report"
)

func printTable(w io.Writer, rows []*row) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := header()
	for _, h := range head {
		fmt.Fprint(t, h, "\t")
	}
	fmt.Fprintln(t)
	for _, r := range rows {
		for _, c := range r.cells() {
			fmt.Fprint(t, c, "\t")
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
}

func header() []string {
	return []string{"case", "connections", "peer", "req per gateway CPU-s", "CPU us/req: gateway", "memcached", "Redis", "sync", "req/s, closed", "open at", "p50", "p99", "p99.9", "errors and laters"}
}

func (r *row) cells() []string {
	c := []string{r.name, fmt.Sprint(r.conns), r.peer.name, fmt.Sprintf("%.0f", r.perCPU)}
	for _, us := range r.micros {
		c = append(c, fmt.Sprintf("%.1f", us))
	}
	c = append(c, fmt.Sprintf("%.0f", r.rate), "-", "-", "-", "-", fmt.Sprint(r.errors))
	if r.openRate > 0 {
		open := c[len(c)-5:]
		open[0], open[1], open[2], open[3] = fmt.Sprintf("%.0f/s", r.openRate), load.Span(r.p50), load.Span(r.p99), load.Span(r.p999)
		if r.invalid != "" {
			open[3] += " (lag)"
		}
	}
	return c
}

func page(o options, rows []*row) report.Page {
	p := report.Page{Title: "sluice beside nginx+Lua and plain Go", Lead: fmt.Sprintf("Same machine, loopback, same answers; %d interleaved rounds of %s. CPU as the kernel counts it. See bench/peers/doc.go for what each side does.", o.rounds, o.run)}
	cpu := map[string]int{}
	for _, conns := range o.conns {
		var speed, cost []report.Bar
		for _, r := range rows {
			if r.conns != conns {
				continue
			}
			if _, ok := cpu[r.peer.key]; !ok {
				cpu[r.peer.key] = len(cpu)
			}
			name := r.name + ": " + r.peer.name
			speed = append(speed, report.Bar{Name: name, Value: r.perCPU, Group: cpu[r.peer.key]})
			cost = append(cost, report.Bar{Name: name, Value: r.three(), Group: cpu[r.peer.key]})
		}
		p.Sections = append(p.Sections, report.Section{Heading: fmt.Sprintf("%d connections: requests per gateway CPU-second (more is better)", conns), Body: report.Bars("", speed)},
			report.Section{Heading: fmt.Sprintf("%d connections: CPU per request over gateway, memcached and Redis (less is better)", conns), Body: report.Bars("us", cost)})
	}
	t := &report.Table{Head: header()}
	for _, r := range rows {
		t.Rows = append(t.Rows, r.cells())
	}
	p.Sections = append(p.Sections, report.Section{Heading: "All figures", Text: "Latencies count from the intended send time, open loop at 60 % of the slowest peer's rate; (lag): the generator itself was late, because it shares the cores.", Table: t})
	return p
}

// lastLine is what the acceptance reads; a ratio that was not measured is "-".
func lastLine(rows []*row) string {
	find := func(peer, name string, conns int) *row {
		for _, r := range rows {
			if r.peer.key == peer && r.name == name && (conns == 0 || r.conns == conns) {
				return r
			}
		}
		return nil
	}
	ratio := func(a, b *row, of func(*row) float64) string {
		if a == nil || b == nil || of(b) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", of(a)/of(b))
	}
	speed := func(r *row) float64 { return r.perCPU }
	return fmt.Sprintf("draw_vs_nginx_64=%s draw_vs_nginx_512=%s cpu_per_draw_vs_nginx=%s losing_vs_hello=%s",
		ratio(find("sluice", "win", 64), find("nginx", "win", 64), speed), ratio(find("sluice", "win", 512), find("nginx", "win", 512), speed),
		ratio(find("sluice", "win", 512), find("nginx", "win", 512), (*row).three), ratio(find("sluice", "lose", 0), find("sluice", "hello", 0), speed))
}
