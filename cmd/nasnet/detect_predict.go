package main

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/contactsheet"
	"github.com/nasnet-go/nasnet/internal/durable"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

// objectsIn is what detect predict found in an image.
type objectsIn struct {
	api.FoundIn
	Picture string `json:"picture,omitempty"` // with the boxes
}

func (a *app) detectPredictCommand() *cobra.Command {
	var saved, out, sheet, annotations string
	var least float64
	c := &cobra.Command{
		Use: "predict --run DIR|--saved-model DIR IMAGE...", Short: "Find objects in image files, and draw them", Args: cobra.MinimumNArgs(1),
		Long: "Find objects in image files (JPEG, PNG, GIF, BMP), and write each with boxes and names as OUT/NAME.png, or\n" +
			"all of them into one picture.",
		Example: "  nasnet detect predict --run runs/shapes --out found photo.jpg\n  nasnet detect predict --saved-model runs/shapes/export/1 --out found photo.jpg",
	}
	a.dataFlags(c, &annotations)
	c.Flags().Lookup("annotations").Hidden = true
	c.Flags().StringVar(&saved, "saved-model", "", "a SavedModel version's directory, instead of --run")
	c.Flags().StringVar(&out, "out", "", "directory for the pictures; without, none is drawn")
	c.Flags().StringVar(&sheet, "sheet", "", "one PNG of all pictures, side by side")
	c.Flags().Float64Var(&least, "score", 0.5, "least score of an object that is told and drawn")
	weights := a.weightsChoice(c)
	weights.dataless = true
	c.RunE = func(c *cobra.Command, files []string) error {
		if (saved == "") == (a.run == "" && weights.weights == "") {
			return usagef("detect predict: give either --saved-model, or --run, or --config and --weights")
		}
		if least < 0 || least > 1 {
			return usagef("--score: want 0 to 1, got %g", least)
		}
		r := api.DetectPredictRequest{Files: files, DetectorSource: api.DetectorSource{SavedModel: saved}}
		var names []string
		if saved == "" {
			d, checkpoint, err := a.trainedDetection(c, weights)
			if err != nil {
				return err
			}
			defer d.dir.Close()
			r.DetectorSource, names = d.source(checkpoint), d.names
		}
		l, err := a.launcher(c.Context(), configs.Engine{})
		if err != nil {
			return err
		}
		var found api.DetectPredictResult
		if err := call(c.Context(), l, engine.Job{Command: api.DetectPredict, Request: r}, &found); err != nil {
			return err
		}
		list := namedAbove(found, names, least)
		if err := drawFound(list, out, sheet); err != nil {
			return err
		}
		return a.sayFound(list)
	}
	return c
}

// namedAbove keeps what scores enough, and names it where the detector did not.
func namedAbove(found api.DetectPredictResult, names []string, least float64) []objectsIn {
	list := []objectsIn{}
	for _, in := range found.Files {
		kept := []api.Found{}
		for _, f := range in.Found {
			if f.Score < least {
				continue
			}
			switch {
			case f.Name != "":
			case f.Label >= 1 && f.Label <= len(names):
				f.Name = names[f.Label-1]
			default:
				f.Name = fmt.Sprintf("class %d", f.Label)
			}
			kept = append(kept, f)
		}
		in.Found = kept
		list = append(list, objectsIn{FoundIn: in})
	}
	return list
}

// drawFound writes each picture with its boxes into a directory, and all of them
// into one; neither if they have no name.
func drawFound(list []objectsIn, out, sheet string) error {
	var tiles []contactsheet.Tile
	taken := map[string]bool{}
	for i, p := range list {
		if out == "" && sheet == "" {
			return nil
		}
		tile, err := p.tile()
		if err != nil {
			return fmt.Errorf("detect predict: %s: %w", p.File, err)
		}
		tiles = append(tiles, tile)
		if out == "" {
			continue
		}
		list[i].Picture = filepath.Join(out, pictureName(p.File, taken))
		if err := writePicture(list[i].Picture, tile); err != nil {
			return err
		}
	}
	if sheet == "" {
		return nil
	}
	return contactsheet.Write(sheet, tiles, contactsheet.Layout{Columns: min(8, len(tiles)), Side: 192})
}

// pictureName is the file's name as a PNG; of files of one name the later ones get
// a number.
func pictureName(file string, taken map[string]bool) string {
	base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	name := base + ".png"
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d.png", base, n)
	}
	taken[name] = true
	return name
}

// tile is the picture with its boxes.
func (p objectsIn) tile() (contactsheet.Tile, error) {
	f, err := os.Open(p.File)
	if err != nil {
		return contactsheet.Tile{}, err
	}
	defer f.Close() // opened for reading
	from, _, err := image.Decode(f)
	if err != nil {
		return contactsheet.Tile{}, err
	}
	t := contactsheet.Tile{Image: from, Caption: filepath.Base(p.File)}
	for _, o := range p.Found {
		label := fmt.Sprintf("%s %.0f%%", o.Name, 100*o.Score)
		t.Boxes = append(t.Boxes, contactsheet.Box{X: o.Box[0], Y: o.Box[1], W: o.Box[2], H: o.Box[3], Label: label, Class: o.Label})
	}
	return t, nil
}

// writePicture draws a tile's boxes on its picture at full size.
func writePicture(path string, t contactsheet.Tile) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("detect predict: %w", err)
	}
	from := t.Image.Bounds()
	picture := image.NewRGBA(image.Rect(0, 0, from.Dx(), from.Dy()))
	draw.Draw(picture, picture.Rect, t.Image, from.Min, draw.Src)
	contactsheet.Boxes(picture, t.Boxes)
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, picture); err != nil {
		return fmt.Errorf("detect predict: %s: %w", path, err)
	}
	return durable.WriteFile(path, encoded.Bytes(), 0o644)
}

func (a *app) sayFound(list []objectsIn) error {
	if a.json {
		return a.document(list)
	}
	for _, p := range list {
		a.say("%s", p.File)
		for _, f := range p.Found {
			a.say("  %5.1f %%  %-12s left %.0f, top %.0f, %.0f x %.0f", 100*f.Score, f.Name, f.Box[0], f.Box[1], f.Box[2], f.Box[3])
		}
	}
	return nil
}
