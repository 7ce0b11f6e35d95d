package term

import (
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Table writes rows under a header, without lines: it reads well and pastes
// well. Columns of numbers are aligned to the right.
func Table(w io.Writer, header []string, rows [][]string) error {
	var b strings.Builder
	table := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Settings: tw.Settings{
				Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off, ShowHeader: tw.Off},
				Lines:      tw.LinesNone,
			},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithPadding(tw.Padding{Left: "", Right: "  ", Overwrite: true}),
		tablewriter.WithAlignment(alignments(header, rows)),
	)
	table.Header(header)
	if err := table.Bulk(rows); err != nil {
		return err
	}
	if err := table.Render(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func alignments(header []string, rows [][]string) tw.Alignment {
	list := make(tw.Alignment, len(header))
	for i := range header {
		list[i] = tw.AlignRight
		for _, row := range rows {
			if i < len(row) && !numeric(row[i]) {
				list[i] = tw.AlignLeft
			}
		}
	}
	return list
}

// numeric tells whether a cell begins like a number.
func numeric(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return s == "" || s[0] >= '0' && s[0] <= '9'
}

// Box writes lines in a frame under a title.
func Box(w io.Writer, title string, lines []string) error {
	width := runewidth.StringWidth(title) + 2
	for _, line := range lines {
		width = max(width, runewidth.StringWidth(line))
	}
	var b strings.Builder
	b.WriteString("┌─ " + title + " " + strings.Repeat("─", width-runewidth.StringWidth(title)-1) + "┐\n")
	for _, line := range lines {
		b.WriteString("│ " + line + strings.Repeat(" ", width-runewidth.StringWidth(line)) + " │\n")
	}
	b.WriteString("└" + strings.Repeat("─", width+2) + "┘\n")
	_, err := io.WriteString(w, b.String())
	return err
}
