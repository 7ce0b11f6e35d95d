package contactsheet

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/image/font/basicfont"
)

func plain(w, h int, c color.Color) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, c)
	}
	return img
}

var (
	blue  = color.RGBA{0, 0, 255, 255}
	white = color.RGBA{255, 255, 255, 255}
)

// dark counts the pixels of a part that are black: those of letters.
func dark(img *image.RGBA, part image.Rectangle) (n int) {
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if img.RGBAAt(x, y) == (color.RGBA{A: 255}) {
				n++
			}
		}
	}
	return n
}

func TestTilesLieInRowsAndColumns(t *testing.T) {
	var tiles []Tile
	for i := range 5 {
		tiles = append(tiles, Tile{Image: plain(10, 10, color.RGBA{uint8(50 * (i + 1)), 0, 0, 255}), Caption: fmt.Sprint("tile ", i)})
	}
	sheet, err := Draw(tiles, Layout{Columns: 3, Side: 40})
	if err != nil {
		t.Fatal(err)
	}
	stepY := 40 + margin + basicfont.Face7x13.Height
	if want := image.Rect(0, 0, margin+3*(40+margin), margin+2*stepY); sheet.Rect != want {
		t.Fatalf("sheet is %v, want %v", sheet.Rect, want)
	}
	for i := range 6 {
		corner := image.Pt(margin+i%3*(40+margin), margin+i/3*stepY)
		want, letters := color.RGBA{uint8(50 * (i + 1)), 0, 0, 255}, true
		if i == 5 {
			want, letters = white, false
		}
		for _, at := range []image.Point{corner, corner.Add(image.Pt(39, 39))} {
			if got := sheet.RGBAAt(at.X, at.Y); got != want {
				t.Errorf("tile %d is %v at %v, want %v", i, got, at, want)
			}
		}
		below := image.Rect(corner.X, corner.Y+40, corner.X+40, corner.Y+40+basicfont.Face7x13.Height)
		if got := dark(sheet, below) > 10; got != letters {
			t.Errorf("tile %d: caption is there: %v, want %v", i, got, letters)
		}
	}
}

// A picture that is twice as wide as high fills half of its square, in the
// middle, and a box on it is scaled and stays where it was.
func TestPicturesAndBoxesKeepTheirProportions(t *testing.T) {
	tile := Tile{Image: plain(200, 100, blue), Boxes: []Box{{X: 100, Y: 20, W: 60, H: 40, Class: 1}}}
	sheet, err := Draw([]Tile{tile}, Layout{Side: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		x, y int
		want color.RGBA
		what string
	}{
		{10, 24, white, "above the picture"},
		{10, 25, blue, "its first row"},
		{99, 74, blue, "its last corner"},
		{10, 75, white, "below it"},
		{50, 35, palette[1], "the box's top left corner"},
		{79, 54, palette[1], "its bottom right corner"},
		{49, 35, blue, "left of it"},
		{80, 54, blue, "right of it"},
		{60, 45, blue, "within it"},
	} {
		if got := sheet.RGBAAt(margin+c.x, margin+c.y); got != c.want {
			t.Errorf("%s is %v, want %v", c.what, got, c.want)
		}
	}
}

// Boxes that leave their picture are cut off there, labels pushed back into it.
func TestBoxesStayOnTheirPicture(t *testing.T) {
	picture := plain(100, 60, blue).(*image.RGBA)
	part := picture.SubImage(image.Rect(20, 10, 90, 50)).(*image.RGBA)
	Boxes(part, []Box{{X: 60, Y: 35, W: 500, H: 500, Label: "a long label", Class: -1}, {X: -10, Y: -10, W: 20, H: 20, Label: "x", Class: 9}})
	for y := range 60 {
		for x := range 100 {
			if got := picture.RGBAAt(x, y); got != blue && !image.Pt(x, y).In(part.Rect) {
				t.Fatalf("%v at (%d, %d), outside of the picture", got, x, y)
			}
		}
	}
	if got, want := picture.RGBAAt(21, 11), palette[1]; got != want {
		t.Errorf("the label of the box at the corner is %v, want %v", got, want)
	}
	if got, want := picture.RGBAAt(20, 44), palette[len(palette)-1]; got != want {
		t.Errorf("the long label is %v, want %v", got, want)
	}
}

func TestCaptionsAreCut(t *testing.T) {
	for _, c := range []struct {
		text string
		to   int
		want string
	}{
		{"tench", 35, "tench"},
		{"goldfish", 35, "go..."},
		{"äöüß", 28, "äöüß"},
		{"äöüßäöüß", 35, "äö..."},
		{"long", 15, ".."},
		{"long", 3, ""},
		{"", 0, ""},
	} {
		if got := cut(c.text, c.to); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.text, c.to, got, c.want)
		}
	}
}

func TestWhatMakesNoSheet(t *testing.T) {
	tile := Tile{Image: plain(4, 4, blue)}
	for name, c := range map[string]struct {
		tiles  []Tile
		layout Layout
	}{
		"no tiles":         {nil, Layout{}},
		"no picture":       {[]Tile{{Caption: "none"}}, Layout{}},
		"empty picture":    {[]Tile{{Image: image.NewRGBA(image.Rectangle{})}}, Layout{}},
		"negative columns": {[]Tile{tile}, Layout{Columns: -1}},
		"too large":        {[]Tile{tile}, Layout{Side: 1 << 40}},
	} {
		if _, err := Draw(c.tiles, c.layout); !errors.Is(err, ErrLayout) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ExampleWrite() {
	dir, err := os.MkdirTemp("", "sheet")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "sheet.png")
	tiles := []Tile{
		{Image: plain(32, 32, blue), Caption: "7 horse"},
		{Image: plain(64, 48, blue), Caption: "000.jpg\n1 object", Boxes: []Box{{X: 8, Y: 8, W: 20, H: 30, Label: "disc"}}},
	}
	if err := Write(path, tiles, Layout{Columns: 2, Side: 128}); err != nil {
		fmt.Println(err)
		return
	}
	f, err := os.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	sheet, err := png.DecodeConfig(f)
	fmt.Println(sheet.Width, sheet.Height, err)
	// Output: 280 170 <nil>
}
