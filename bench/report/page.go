package report

import (
	"fmt"
	"html/template"
	"io"
	"os"
)

// Table is rows of cells; the first column is text, the others are set to the right.
type Table struct {
	Head []string
	Rows [][]string
}

// Section is one part of a page; what is empty is left out.
type Section struct {
	Heading string
	Text    string
	Body    template.HTML
	Table   *Table
	Bad     bool // shown as a warning
}

// Page is a whole report.
type Page struct {
	Title    string
	Lead     string
	Facts    [][2]string // large figures on top
	Sections []Section
}

const layout = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>
<style>
:root{color-scheme:light dark;--fg:#1c2024;--bg:#fff;--dim:#667;--line:#dde;--card:#f5f6f8;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--fg:#e6e8ea;--bg:#14171a;--dim:#9aa;--line:#333a40;--card:#1d2226;--bad:#ff8a80}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:900px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em;margin:0}h2{font-size:1.1em;margin:2em 0 .4em}p{margin:.3em 0}.lead,.t{color:var(--dim)}
.facts{display:flex;flex-wrap:wrap;gap:10px;margin:1.2em 0}.facts div{background:var(--card);border-radius:8px;padding:8px 14px}
.facts b{display:block;font-size:1.3em;font-variant-numeric:tabular-nums}.facts span{color:var(--dim);font-size:.85em}
svg{width:100%;height:auto}svg .t{font:11px system-ui,sans-serif;fill:var(--dim)}svg .g{stroke:var(--line)}svg .a{stroke:var(--dim)}svg .e{stroke:var(--fg);fill:none;stroke-width:1.5}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92em}th,td{border-bottom:1px solid var(--line);padding:4px 8px;text-align:right}
th:first-child,td:first-child{text-align:left}th{color:var(--dim);font-weight:600}.scroll{overflow-x:auto}.bad,.bad h2{color:var(--bad)}
</style></head><body>
<h1>{{.Title}}</h1><p class="lead">{{.Lead}}</p>
{{if .Facts}}<div class="facts">{{range .Facts}}<div><b>{{index . 1}}</b><span>{{index . 0}}</span></div>{{end}}</div>{{end}}
{{range .Sections}}<section{{if .Bad}} class="bad"{{end}}>{{if .Heading}}<h2>{{.Heading}}</h2>{{end}}{{if .Text}}<p>{{.Text}}</p>{{end}}{{.Body}}
{{with .Table}}<div class="scroll"><table><tr>{{range .Head}}<th>{{.}}</th>{{end}}</tr>
{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</table></div>{{end}}</section>
{{end}}</body></html>
`

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	t, err := template.New("page").Parse(layout)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Save writes the page to a file.
func (p Page) Save(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := p.Write(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
