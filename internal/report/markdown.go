package report

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes a document as Markdown. Figures become files of their own:
// file is called with the name and content of each, and returns how the text
// refers to it.
func Markdown(w io.Writer, d Document, file func(name string, data []byte) (string, error)) error {
	m := &markdown{file: file}
	m.line("# %s\n\n%s\n", plain(d.Title), plain(d.Lead))
	for _, p := range d.Parts {
		m.line("## %s\n", plain(p.Title))
		for _, i := range p.Items {
			m.item(i)
		}
	}
	if m.err == nil {
		_, m.err = io.WriteString(w, m.b.String())
	}
	if m.err != nil {
		return fmt.Errorf("report: %w", m.err)
	}
	return nil
}

// markdown collects text; the first error sticks.
type markdown struct {
	b    strings.Builder
	file func(string, []byte) (string, error)
	err  error
}

func (m *markdown) line(format string, args ...any) { fmt.Fprintf(&m.b, format+"\n", args...) }

func (m *markdown) item(i Item) {
	switch i := i.(type) {
	case Text:
		m.line("%s\n", plain(string(i)))
	case Facts:
		for _, f := range i {
			m.line("- %s: %s", plain(f[0]), plain(f[1]))
		}
		m.line("")
	case Table:
		m.table(i)
	case Figure:
		m.figure(i)
	case Code:
		m.code(i)
	}
}

func (m *markdown) table(t Table) {
	m.line("%s\n", plain(t.Caption))
	m.line("|%s", cells(t.Header))
	rule := "|"
	for i := range t.Header {
		if t.numeric(i) {
			rule += "---:|"
			continue
		}
		rule += "---|"
	}
	m.line("%s", rule)
	for _, row := range t.Rows {
		m.line("|%s", cells(row))
	}
	m.line("")
}

func cells(row []string) string {
	text := ""
	for _, cell := range row {
		text += " " + plain(cell) + " |"
	}
	return text
}

func (m *markdown) figure(f Figure) {
	name, data := f.Name+".png", f.PNG
	if len(data) == 0 {
		name, data = f.Name+".svg", []byte(f.SVG)
	}
	link, err := m.file(name, data)
	if m.err == nil {
		m.err = err
	}
	m.line("![%s](%s)\n", plain(f.Caption), link)
	m.line("%s\n", plain(f.Caption))
}

// code fences text with more backticks than it has in a row itself.
func (m *markdown) code(c Code) {
	fence := "```"
	for strings.Contains(c.Text, fence) {
		fence += "`"
	}
	if c.Caption != "" {
		m.line("%s\n", plain(c.Caption))
	}
	m.line("%s\n%s\n%s\n", fence, strings.TrimRight(c.Text, "\n"), fence)
}

var escaper = strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", "[", `\[`, "\n", " ")

// plain escapes what Markdown would take for its own.
func plain(text string) string { return escaper.Replace(text) }
