package imagegate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/image/bmp"

	"github.com/nasnet-go/nasnet/internal/reftest"
)

func encode(t testing.TB, format string, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch format {
	case JPEG:
		err = jpeg.Encode(&b, img, nil)
	case PNG:
		err = png.Encode(&b, img)
	case GIF:
		err = gif.Encode(&b, img, nil)
	case BMP:
		err = bmp.Encode(&b, img)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var (
	rgb  = image.NewNRGBA(image.Rect(0, 0, 7, 5))
	grey = image.NewGray(image.Rect(0, 0, 7, 5))
)

func TestInspectKnowsTheFormats(t *testing.T) {
	for _, c := range []struct {
		format   string
		img      image.Image
		channels int
	}{{JPEG, rgb, 3}, {JPEG, grey, 1}, {PNG, rgb, 4}, {PNG, grey, 1}, {GIF, rgb, 3}, {BMP, rgb, 3}} {
		got, err := Inspect(encode(t, c.format, c.img), 0)
		if want := (Info{c.format, 7, 5, c.channels}); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
}

func TestInspectFindsEveryCut(t *testing.T) {
	for _, format := range []string{JPEG, PNG} {
		whole := encode(t, format, rgb)
		for n := range whole {
			if _, err := Inspect(whole[:n], 0); err == nil {
				t.Errorf("%s cut to %d of %d bytes passes", format, n, len(whole))
			}
		}
	}
	if _, err := Inspect(encode(t, JPEG, rgb)[:300], 0); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut JPEG: %v", err)
	}
	if _, err := Inspect(nil, 0); !errors.Is(err, ErrEmpty) {
		t.Errorf("empty: %v", err)
	}
}

// bomb returns a small PNG or JPEG that declares side x side pixels.
func bomb(t testing.TB, format string, side uint16) []byte {
	b := bytes.Clone(encode(t, format, rgb))
	if format == PNG {
		binary.BigEndian.PutUint32(b[16:], uint32(side))
		binary.BigEndian.PutUint32(b[20:], uint32(side))
		binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
		return b
	}
	sof := bytes.Index(b, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(b[sof+5:], side)
	binary.BigEndian.PutUint16(b[sof+7:], side)
	return b
}

func TestInspectRefusesBombsForNothing(t *testing.T) {
	for _, format := range []string{JPEG, PNG} {
		b := bomb(t, format, 20_000)
		if _, err := Inspect(b, 0); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", format, err)
		}
		if _, err := Inspect(b, 400_000_000); err != nil {
			t.Errorf("%s with leave: %v", format, err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			Inspect(b, 0)
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / 100; each > 4096 {
			t.Errorf("%s: refusing took %d bytes", format, each)
		}
	}
}

func TestInspectRefuses(t *testing.T) {
	good := encode(t, JPEG, rgb)
	sof := bytes.Index(good, []byte{0xff, 0xc0})
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	badPNG := encode(t, PNG, rgb)
	badPNG[len(badPNG)-20] ^= 1
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"text":             {[]byte("<html>not found</html>"), ErrFormat},
		"lossless JPEG":    {change(sof+1, 0xc3), ErrFormat},
		"two channels":     {change(sof+9, 2), ErrCorrupt},
		"no rows":          {change(sof+6, 0), ErrCorrupt},
		"no frame":         {change(sof+1, 0xe9), ErrCorrupt},
		"short segment":    {change(5, 1), ErrCorrupt},
		"PNG checksum":     {badPNG, ErrCorrupt},
		"PNG of one chunk": {append([]byte(pngMagic), badPNG[len(badPNG)-12:]...), ErrCorrupt},
		"torn BMP":         {[]byte("BM"), ErrCorrupt},
	} {
		if _, err := Inspect(c.data, 0); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestInspectPassesStrayBytesAsDecodersDo(t *testing.T) {
	good := encode(t, JPEG, rgb)
	odd := append(bytes.Clone(good[:2]), append([]byte{0xff, 0xff}, good[2:]...)...) // fill bytes
	odd = append(odd, "behind the end"...)
	if _, err := Inspect(odd, 0); err != nil {
		t.Error(err)
	}
}

func TestInspectRealPhotographs(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(reftest.Shared(t, "data", "imagenet", "sample"), "*.JPEG"))
	if err != nil || len(files) != 1000 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	channels := map[int]int{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		info, err := Inspect(data, 0)
		if err != nil {
			t.Errorf("%s: %v", f, err)
		}
		config, _, err := image.DecodeConfig(bytes.NewReader(data))
		if err != nil || config.Width != info.Width || config.Height != info.Height {
			t.Errorf("%s: %+v, image/jpeg says %d x %d, %v", f, info, config.Width, config.Height, err)
		}
		channels[info.Channels]++
	}
	if channels[3] != 977 || channels[1] != 23 {
		t.Errorf("channels: %v; the sample has 977 colour and 23 grey images", channels)
	}
}

// FuzzInspect: no input panics, and what passes has the declared sanity.
func FuzzInspect(f *testing.F) {
	for _, format := range []string{JPEG, PNG, GIF, BMP} {
		f.Add(encode(f, format, rgb))
	}
	f.Add(bomb(f, PNG, 20_000))
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := Inspect(data, 1000)
		if err == nil && (info.Width <= 0 || info.Height <= 0 || info.Width*info.Height > 1000 || info.Format == "") {
			t.Fatalf("passed: %+v", info)
		}
	})
}
