package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/draw"
)

// drawing is a form a cell is drawn in, alone or beside another.
type drawing struct {
	one func(cells.Genotype) string
	two func(a, b cells.Genotype) string // nil: not in this form
}

var drawings = map[string]drawing{
	"text": {draw.Text, draw.CompareText}, "svg": {draw.SVG, draw.CompareSVG}, "dot": {one: draw.DOT},
}

func (a *app) drawCommand() *cobra.Command {
	var format, output string
	c := &cobra.Command{
		Use: "draw CELL [CELL]", Short: "Draw a cell as text, DOT or SVG, or two cells and their difference",
		Args: cobra.RangeArgs(1, 2),
		Long: "Draw a cell: a built-in one or a genotype file. Two cells are drawn side by side, as\n" +
			"SVG or text, with what only one of them has.\n\nBuilt in: " + strings.Join(cells.Names(), ", ") + ".",
		Example: "  nasnet draw nasnet-a\n  nasnet draw found.yaml --format svg --output cell.svg\n  nasnet draw nasnet-a found.yaml",
	}
	c.Flags().StringVar(&format, "format", "text", "text | dot | svg")
	c.Flags().StringVar(&output, "output", "", "file to write to instead of standard output")
	c.RunE = func(_ *cobra.Command, args []string) error {
		text, err := drawn(args, format)
		if err != nil {
			return usagef("%v", err)
		}
		if output == "" {
			a.say("%s", text)
			return nil
		}
		if err := os.WriteFile(output, []byte(text+"\n"), 0o644); err != nil {
			return fmt.Errorf("draw: %w", err)
		}
		return nil
	}
	return c
}

func drawn(names []string, format string) (string, error) {
	form, ok := drawings[format]
	if !ok {
		return "", fmt.Errorf("draw: there is no format %q; there are text, dot and svg", format)
	}
	var list []cells.Genotype
	for _, name := range names {
		g, err := cells.Load(name, "")
		if err != nil {
			return "", err
		}
		list = append(list, g)
	}
	switch {
	case len(list) == 1:
		return form.one(list[0]), nil
	case form.two == nil:
		return "", fmt.Errorf("draw: two cells are drawn as svg or text, not as %s", format)
	case list[0].States() != list[1].States():
		return "", fmt.Errorf("draw: the cells take %d and %d inputs and cannot be compared", list[0].States(), list[1].States())
	}
	return form.two(list[0], list[1]), nil
}
