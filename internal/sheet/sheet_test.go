package sheet_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/nasnet-go/nasnet/internal/sheet"
)

func filled(w, h int, c color.Color) image.Image {
	im := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		im.Set(i%w, i/w, c)
	}
	return im
}

// Each picture is where it should be, in proportion, its caption under it.
func TestTilesLieInRows(t *testing.T) {
	red, blue := color.NRGBA{200, 0, 0, 255}, color.NRGBA{0, 0, 200, 255}
	text, err := sheet.PNG([]sheet.Tile{
		{Image: filled(4, 4, red), Caption: []string{"a caption far too long for so small a tile"}}, {Image: filled(300, 100, blue)}, {Image: filled(1, 2, red), Caption: []string{"Katze über"}},
	}, sheet.Options{Columns: 2, Side: 60})
	if err != nil {
		t.Fatal(err)
	}
	im, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if im.Bounds() != image.Rect(0, 0, 2*68+8, 2*(60+13+8)+8) {
		t.Errorf("the sheet has %v", im.Bounds())
	}
	for _, c := range []struct {
		x, y int
		want color.NRGBA
	}{
		{10, 10, red}, {66, 66, red}, {106, 38, blue}, {106, 12, color.NRGBA{250, 250, 250, 255}}, // the flat one is in the middle of its square
		{38, 8 + 81 + 30, red}, {12, 8 + 81 + 30, color.NRGBA{250, 250, 250, 255}},
	} {
		if got := color.NRGBAModel.Convert(im.At(c.x, c.y)); got != c.want {
			t.Errorf("at %d, %d: %v, want %v", c.x, c.y, got, c.want)
		}
	}
	dark, beyond := 0, 0
	for x := range im.Bounds().Dx() {
		for y := 68; y < 81; y++ {
			if r, _, _, _ := im.At(x, y).RGBA(); r < 0x8000 {
				dark++
				if x >= 8+60 {
					beyond++
				}
			}
		}
	}
	if dark == 0 || beyond != 0 {
		t.Errorf("the caption has %d dark pixels, %d beyond its tile", dark, beyond)
	}
	if _, err := sheet.PNG(nil, sheet.Options{}); err == nil {
		t.Error("a sheet of nothing")
	}
}
