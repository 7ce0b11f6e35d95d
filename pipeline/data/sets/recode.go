package sets

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // decoder
	"image/jpeg"
	"image/png"

	_ "golang.org/x/image/bmp"  // decoder
	_ "golang.org/x/image/webp" // decoder

	"github.com/nasnet-go/nasnet/internal/imagegate"
)

// recoder makes images fit for the records: RGB or grey JPEGs stay as they are,
// byte by byte; what a reader of ImageNet would trip over is encoded anew.
type recoder struct {
	jpegOnly  bool // ImageNet: everything else becomes a JPEG; otherwise PNGs stay and the rest becomes PNG
	maxPixels int64
}

// recode returns the bytes to store, what they are, and, where they are not
// those of the file, why ("PNG", "CMYK", …).
func (r recoder) recode(data []byte) (out []byte, info imagegate.Info, why string, err error) {
	info, err = imagegate.Inspect(data, r.maxPixels)
	if err != nil {
		return nil, info, "", err
	}
	cmyk := info.Format == imagegate.JPEG && info.Channels == 4
	switch {
	case info.Format == imagegate.JPEG && !cmyk, info.Format == imagegate.PNG && !r.jpegOnly:
		return data, info, "", nil
	case cmyk:
		why = "CMYK"
	default:
		why = info.Format
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, info, "", fmt.Errorf("%s: %w: %w", why, imagegate.ErrCorrupt, err)
	}
	out, err = encodeRGB(img, cmyk || r.jpegOnly)
	if cmyk || r.jpegOnly {
		info.Format = imagegate.JPEG
	} else {
		info.Format = imagegate.PNG
	}
	info.Channels = 3
	return out, info, why, err
}

// encodeRGB encodes the colours of an image, without its transparency (as
// slim's converter does), as JPEG of the best quality or as PNG.
func encodeRGB(img image.Image, asJPEG bool) ([]byte, error) {
	b := img.Bounds()
	flat := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			c := color.NRGBAModel.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA)
			flat.SetRGBA(x, y, color.RGBA{c.R, c.G, c.B, 255})
		}
	}
	var out bytes.Buffer
	if asJPEG {
		err := jpeg.Encode(&out, flat, &jpeg.Options{Quality: 100})
		return out.Bytes(), err
	}
	err := png.Encode(&out, flat)
	return out.Bytes(), err
}
