package report

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"strings"
)

// Document is what is written.
type Document struct {
	Title string
	Lead  string // the sentence under the title
	Parts []Part
}

// Part is a section.
type Part struct {
	Title string
	Items []Item
}

// Item is one of Text, Facts, Table, Figure, Code.
type Item interface{ item() }

// Text is a paragraph.
type Text string

// Facts are names and their values.
type Facts [][2]string

// Table has a row of column names.
type Table struct {
	Caption string
	Header  []string
	Rows    [][]string
	Folded  bool // shown when it is opened: the numbers behind a figure
}

// Figure is a drawing; HTML takes the SVG where there is one, Markdown the PNG.
type Figure struct {
	Name    string // of its file, without suffix
	Caption string
	SVG     string // an element
	Apart   bool   // the SVG has a style of its own and is shown as a picture
	PNG     []byte
}

// Code is text as it stands in a file.
type Code struct{ Caption, Text string }

func (Text) item()   {}
func (Facts) item()  {}
func (Table) item()  {}
func (Figure) item() {}
func (Code) item()   {}

//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"kind": func(i Item) string { return strings.TrimPrefix(fmt.Sprintf("%T", i), "report.") },
	"anchor": func(title string) string {
		return strings.ReplaceAll(strings.ToLower(title), " ", "-")
	},
	"numeric": func(t Table, column int) bool { return t.numeric(column) },
	// inline and data are what our own packages drew.
	"inline": func(f Figure) template.HTML { return template.HTML(f.SVG) },
	"data": func(f Figure) template.URL {
		if f.SVG != "" {
			return template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(f.SVG)))
		}
		return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(f.PNG))
	},
}).Parse(page))

// HTML writes a document as one file.
func HTML(w io.Writer, d Document) error {
	if err := pageTemplate.Execute(w, d); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// number is a number, or two of an interval.
var number = regexp.MustCompile(`^[-+−]?[0-9][0-9.,]*(e[-+]?[0-9]+)?( to [-+−]?[0-9][0-9.,]*)?$`)

// numeric tells whether a column reads as numbers, to be aligned to the right.
func (t Table) numeric(column int) bool {
	some := false
	for _, row := range t.Rows {
		if column >= len(row) || row[column] == "" {
			continue
		}
		if some = number.MatchString(row[column]); !some {
			return false
		}
	}
	return some
}
