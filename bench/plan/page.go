package plan

import (
	"fmt"
	"io"

	"sluice/bench/report"
)

// Text writes the answer in a few lines.
func (p *Plan) Text(w io.Writer) {
	fmt.Fprintf(w, "one machine   %.0f requests/s measured (%.0f..%.0f): %s\n", p.Measured, p.MeasuredLow, p.MeasuredHigh, p.Source)
	fmt.Fprintf(w, "of the night  %.0f requests/s each, scaled by %g, %.0f %% kept free\n", p.Machine, p.Night.Scale, p.Night.Headroom*100)
	fmt.Fprintf(w, "demand        %.0f requests in the worst second; %.0f/s must be served for nobody to wait above %s\n", p.Peak, p.Need, p.Night.Wait)
	fmt.Fprintf(w, "machines      %d (error bar %d..%d)\n", p.Machines, p.Fewest, p.Careful)
	fmt.Fprintf(w, "buy           %d\n", p.Careful)
}

// Page makes the page to show.
func (p *Plan) Page() report.Page {
	n := p.Night
	var demand, service report.Line
	demand.Name, service.Name, service.Dashed = "demand", fmt.Sprintf("what %d machines serve", p.Machines), true
	step := 10 // half a second
	for i := 0; i+step < len(p.curve); i += step {
		t := (grid * 10).Seconds()
		demand.Points = append(demand.Points, [2]float64{float64(i) * grid.Seconds(), (p.curve[i+step] - p.curve[i]) / t})
		service.Points = append(service.Points, [2]float64{float64(i) * grid.Seconds(), p.Machine * float64(p.Machines)})
	}
	var bars []report.Bar
	what := &report.Table{Head: []string{"if", "machines", "error bar"}}
	for _, v := range []struct {
		name  string
		night func(*Night)
	}{{"as expected", func(*Night) {}}, {"half the users", func(n *Night) { n.Users /= 2 }}, {"twice the users", func(n *Night) { n.Users *= 2 }},
		{"twice the rush of the first second", func(n *Night) { n.FirstSecond = min(2*n.FirstSecond, n.FirstMinute) }},
		{"answers may wait a second", func(n *Night) { n.Wait = 1e9 }}, {"nothing kept free", func(n *Night) { n.Headroom = 0 }}} {
		other := n
		v.night(&other)
		q := &Plan{Night: other, Measured: p.Measured, MeasuredLow: p.MeasuredLow, MeasuredHigh: p.MeasuredHigh}
		q.settle()
		bars = append(bars, report.Bar{Name: v.name, Value: float64(q.Machines), Low: float64(q.Fewest), High: float64(q.Careful)})
		what.Rows = append(what.Rows, []string{v.name, fmt.Sprint(q.Machines), fmt.Sprintf("%d..%d", q.Fewest, q.Careful)})
	}
	return report.Page{
		Title: fmt.Sprintf("%d machines for this night", p.Careful),
		Lead: fmt.Sprintf("%s users, %.3g %% of them in the first second and %.3g %% in the first minute, %d request(s) each.",
			report.Number(n.Users), n.FirstSecond*100, n.FirstMinute*100, n.Requests),
		Facts: [][2]string{{"expected", fmt.Sprint(p.Machines)}, {"error bar", fmt.Sprintf("%d..%d", p.Fewest, p.Careful)}, {"worst second", report.Number(p.Peak)},
			{"to be served a second", report.Number(p.Need)}, {"one machine a second", report.Number(p.Machine)}},
		Sections: []report.Section{
			{Heading: "The minute", Body: report.Chart{X: "seconds after the hour", Y: "requests a second", Lines: []report.Line{demand, service}}.SVG(),
				Text: fmt.Sprintf("Nobody waits above %s when %s requests a second are served.", n.Wait, report.Number(p.Need))},
			{Heading: "What if", Body: report.Bars("machines", bars), Table: what},
			{Heading: "How it was counted", Text: fmt.Sprintf("One machine held %.0f requests a second (error bar %.0f..%.0f; %s). A machine of the night counts %g times that, of which %.0f %% are kept free. "+
				"Machines = need / machine, rounded up; the careful end takes the low measurement and two deviations of chance more demand. One of %d region(s) may be lost when there are several.",
				p.Measured, p.MeasuredLow, p.MeasuredHigh, p.Source, n.Scale, n.Headroom*100, max(n.Regions, 1))},
		},
	}
}
