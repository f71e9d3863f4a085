// Package report draws charts as inline SVG and puts them, with tables, on one self-contained HTML page:
// no script, no font, no style sheet, no address is fetched, so a page can be mailed and kept.
//
//	page := report.Page{Title: "A night", Sections: []report.Section{
//		{Heading: "Latency", Body: report.Chart{X: "s", Y: "ms", LogY: true, Lines: lines}.SVG()},
//	}}
//	err := page.Write(w)
//
// All text is escaped; a Chart's zero values mean sensible sizes and linear axes.
package report
