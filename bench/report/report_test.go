package report

import (
	"encoding/xml"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
)

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
}

func TestChartsAreWellFormedWhateverTheValues(t *testing.T) {
	for _, pts := range [][][2]float64{nil, {{0, 0}}, {{1, 5}, {2, 5}}, {{-1, -5}, {2, 1e9}}, {{1, math.NaN()}, {2, math.Inf(1)}}, {{1e-9, 1e-9}, {1, 1}}} {
		for _, log := range []bool{false, true} {
			svg := string(Chart{X: "a<b", Y: "\"y\"", LogX: log, LogY: log, Lines: []Line{{Name: "<script>", Points: pts}}}.SVG())
			wellFormed(t, svg)
			if strings.Contains(svg, "<script>") {
				t.Error("a name was not escaped")
			}
		}
	}
	wellFormed(t, string(Bars("req/s", []Bar{{Name: "a&b", Value: 3, Low: 2, High: 4}, {Name: "zero"}})))
}

func TestAGoldenChart(t *testing.T) {
	svg := string(Chart{X: "s", Y: "ms", Height: 100, Lines: []Line{{Name: "p99", Points: [][2]float64{{0, 0}, {5, 10}, {10, 5}}}}}.SVG())
	for _, piece := range []string{`<polyline fill="none" stroke-width="1.8" stroke="#0072b2" points="64.0,54.0 454.0,12.0 844.0,33.0 "/>`,
		`<text class="t" x="58.0" y="16.0" text-anchor="end">10</text>`, `>p99</text>`} {
		if !strings.Contains(svg, piece) {
			t.Errorf("no %s in\n%s", piece, svg)
		}
	}
}

func TestThePageFetchesNothing(t *testing.T) {
	var b strings.Builder
	p := Page{Title: "<t>", Lead: "l", Facts: [][2]string{{"rate", "5"}}, Sections: []Section{{Heading: "h", Text: "x", Table: &Table{Head: []string{"a", "b"}, Rows: [][]string{{"<x>", "1"}}}}, {Heading: "bad", Bad: true}}}
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`(?i)(src|href)=|https?:|@import|<script|url\(`).FindString(b.String()); m != "" {
		t.Errorf("the page holds %q", m)
	}
	for _, piece := range []string{"&lt;t&gt;", "<td>&lt;x&gt;</td><td>1</td>", `class="bad"`} {
		if !strings.Contains(b.String(), piece) {
			t.Errorf("no %s", piece)
		}
	}
}

func TestNumbersAreShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1234: "1234", 12345: "12.35k", 5e6: "5M", 0.05: "0.05", 2.5e9: "2.5G"} {
		if got := Number(v); got != want {
			t.Errorf("%g is %s, want %s", v, got, want)
		}
	}
}
