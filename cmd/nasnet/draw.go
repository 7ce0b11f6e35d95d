package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/draw"
)

// drawings are the forms a cell is drawn in.
var drawings = map[string]func(cells.Genotype) string{"text": draw.Text, "dot": draw.DOT, "svg": draw.SVG}

func (a *app) drawCommand() *cobra.Command {
	var format, output string
	c := &cobra.Command{
		Use: "draw CELL", Short: "Draw a cell as text, DOT or SVG", Args: cobra.ExactArgs(1),
		Long:    "Draw a cell: a built-in one or a genotype file.",
		Example: "  nasnet draw nasnet-a\n  nasnet draw found.yaml --format svg --output cell.svg",
	}
	c.Flags().StringVar(&format, "format", "text", "text | dot | svg")
	c.Flags().StringVar(&output, "output", "", "file to write to instead of standard output")
	c.RunE = func(_ *cobra.Command, args []string) error {
		g, err := cells.Load(args[0], "")
		if err != nil {
			return usagef("%v", err)
		}
		form, ok := drawings[format]
		if !ok {
			return usagef("draw: there is no format %q; there are text, dot and svg", format)
		}
		if output == "" {
			a.say("%s", form(g))
			return nil
		}
		if err := os.WriteFile(output, []byte(form(g)+"\n"), 0o644); err != nil {
			return fmt.Errorf("draw: %w", err)
		}
		return nil
	}
	return c
}
