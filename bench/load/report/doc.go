// Package report shows a run: live on the terminal, as text when it ends, and as one HTML page.
//
// The page is made from a Result alone, so `sluice bench report RESULT.json` makes it again later,
// and from merged results.
package report
