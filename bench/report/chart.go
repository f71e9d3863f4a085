package report

import (
	"fmt"
	"html"
	"html/template"
	"strings"
)

// Line is one curve of a chart.
type Line struct {
	Name   string
	Points [][2]float64
	Dashed bool
}

// Chart is a set of lines over common axes.
type Chart struct {
	X, Y       string // what the axes are, with units
	LogX, LogY bool
	Lines      []Line
	Height     int                // zero value means 260
	XLabel     map[float64]string // labels for given x in place of numbers
}

const width = 860

// Colours that differ for most eyes (Okabe and Ito).
var colours = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999"}

// SVG draws the chart.
func (c Chart) SVG() template.HTML {
	h := float64(c.Height)
	if h <= 0 {
		h = 260
	}
	left, right, top, bottom := 64.0, float64(width)-16, 12.0, h-46
	var xs, ys []float64
	for _, l := range c.Lines {
		for _, p := range l.Points {
			xs, ys = append(xs, p[0]), append(ys, p[1])
		}
	}
	ax, ay := newAxis(xs, c.LogX, left, right), newAxis(ys, c.LogY, bottom, top)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %.0f" role="img" aria-label="%s over %s">`, width, h, html.EscapeString(c.Y), html.EscapeString(c.X))
	for _, v := range ay.ticks() {
		y := ay.at(v)
		fmt.Fprintf(&b, `<line class="g" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><text class="t" x="%.1f" y="%.1f" text-anchor="end">%s</text>`, left, right, y, y, left-6, y+4, Number(v))
	}
	if len(c.XLabel) > 0 {
		for v, text := range c.XLabel {
			fmt.Fprintf(&b, `<text class="t" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, ax.at(v), bottom+16, html.EscapeString(text))
		}
	} else {
		for _, v := range ax.ticks() {
			fmt.Fprintf(&b, `<text class="t" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, ax.at(v), bottom+16, Number(v))
		}
	}
	fmt.Fprintf(&b, `<line class="a" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, left, right, bottom, bottom)
	fmt.Fprintf(&b, `<text class="t" x="%.1f" y="%.1f" text-anchor="end">%s</text>`, right, bottom+32, html.EscapeString(c.X))
	x := left
	for i, l := range c.Lines {
		colour := colours[i%len(colours)]
		dash := ""
		if l.Dashed {
			dash = ` stroke-dasharray="5 4"`
		}
		b.WriteString(`<polyline fill="none" stroke-width="1.8" stroke="` + colour + `"` + dash + ` points="`)
		for _, p := range l.Points {
			if c.LogX && p[0] <= 0 || c.LogY && p[1] <= 0 {
				continue
			}
			fmt.Fprintf(&b, "%.1f,%.1f ", ax.at(p[0]), ay.at(p[1]))
		}
		fmt.Fprintf(&b, `"/><rect x="%.1f" y="%.1f" width="12" height="4" fill="%s"/><text class="t" x="%.1f" y="%.1f">%s</text>`, x, bottom+26, colour, x+16, bottom+32, html.EscapeString(l.Name))
		x += 40 + 6.6*float64(len(l.Name))
	}
	fmt.Fprintf(&b, `<text class="t" x="%.1f" y="%.1f" transform="rotate(-90 12 %.1f)" text-anchor="middle">%s</text></svg>`, 12.0, (top+bottom)/2, (top+bottom)/2, html.EscapeString(c.Y))
	return template.HTML(b.String()) // every text above is escaped
}

// Bar is one horizontal bar, with an error bar when Low or High differ from Value.
type Bar struct {
	Name             string
	Value, Low, High float64
	Group            int // chooses the colour
}

// Bars draws horizontal bars in the given order.
func Bars(unit string, bars []Bar) template.HTML {
	left, right := 270.0, float64(width)-90
	most := 0.0
	for _, r := range bars {
		most = max(most, r.Value, r.High)
	}
	if most == 0 {
		most = 1
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, 22*len(bars)+8, html.EscapeString(unit))
	for i, r := range bars {
		y := float64(22*i) + 4
		w := r.Value / most * (right - left)
		fmt.Fprintf(&b, `<text class="t" x="%.0f" y="%.1f" text-anchor="end">%s</text><rect x="%.0f" y="%.1f" width="%.1f" height="16" fill="%s"/>`,
			left-8, y+12, html.EscapeString(r.Name), left, y, w, colours[r.Group%len(colours)])
		end := left + w
		if r.High > r.Low {
			lo, hi := left+r.Low/most*(right-left), left+r.High/most*(right-left)
			fmt.Fprintf(&b, `<path class="e" d="M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8"/>`, lo, y+8, hi, lo, y+4, hi, y+4)
			end = max(end, hi)
		}
		fmt.Fprintf(&b, `<text class="t" x="%.1f" y="%.1f">%s %s</text>`, end+6, y+12, Number(r.Value), html.EscapeString(unit))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // every text above is escaped
}
