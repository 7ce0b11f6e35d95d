package draw_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/draw"
)

func TestTextNamesEveryBlock(t *testing.T) {
	text := draw.Text(cells.NASNetA())
	for _, want := range []string{
		"normal", "reduction", "block 0   = add( sep5x5 current, sep3x3 previous )",
		"block 4   = add( sep3x3 block 0, max3x3 current )", "concat( block 1, block 2, block 3, block 4 )",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
}

// Well-formed, with a box for every input, operation, combination and concat.
func TestSVGHasEveryPart(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(draw.SVG(cells.NASNetA())))
	boxes := map[string]int{}
	paths := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "rect" {
			for _, a := range e.Attr {
				if a.Name.Local == "class" {
					boxes[a.Value]++
				}
			}
		} else if ok && e.Name.Local == "path" {
			paths++
		}
	}
	// 10 operations a cell, of which 2 and 1 are identities; concats of 6 and 4 states.
	if boxes["in"] != 4 || boxes["op"] != 17 || boxes["id"] != 3 || boxes["co"] != 10 || boxes["out"] != 2 || paths != 2*20+6+4 {
		t.Errorf("boxes %v, %d edges", boxes, paths)
	}
}

func TestDOTHasEveryEdge(t *testing.T) {
	if got := strings.Count(draw.DOT(cells.NASNetA()), "->"); got != 20+10 {
		t.Errorf("%d edges, want 30", got)
	}
}
