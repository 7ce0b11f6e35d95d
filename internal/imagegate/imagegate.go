package imagegate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	_ "image/gif" // header reader
	_ "image/png" // header reader
	"slices"

	_ "golang.org/x/image/bmp"  // header reader
	_ "golang.org/x/image/webp" // header reader
)

// The ways an image is refused.
var (
	ErrEmpty     = errors.New("no bytes at all")
	ErrFormat    = errors.New("no image of a known format")
	ErrTruncated = errors.New("truncated")
	ErrCorrupt   = errors.New("corrupt")
	ErrTooLarge  = errors.New("declares more pixels than allowed")
)

// DefaultMaxPixels is what an image may declare unless told otherwise.
const DefaultMaxPixels = 50_000_000

// The formats of the allow list, as they stand in image/format of a record.
const (
	JPEG = "JPEG"
	PNG  = "PNG"
	GIF  = "GIF"
	BMP  = "BMP"
	WebP = "WEBP"
)

// Info is what an image's header declares.
type Info struct {
	Format        string // one of the constants
	Width, Height int    // pixels
	Channels      int    // JPEG: 1, 3 or 4 (4 is CMYK or YCCK); PNG: 1 to 4; otherwise 3
}

// Inspect judges an encoded image that may declare up to maxPixels (0:
// DefaultMaxPixels). It takes no memory but that of the answer.
func Inspect(data []byte, maxPixels int64) (Info, error) {
	if maxPixels == 0 {
		maxPixels = DefaultMaxPixels
	}
	if len(data) == 0 {
		return Info{}, ErrEmpty
	}
	info, err := inspect(data)
	if err != nil {
		return Info{}, err
	}
	if info.Width <= 0 || info.Height <= 0 {
		return Info{}, fmt.Errorf("%s of %d x %d pixels: %w", info.Format, info.Width, info.Height, ErrCorrupt)
	}
	if int64(info.Width)*int64(info.Height) > maxPixels {
		return Info{}, fmt.Errorf("%s of %d x %d pixels, allowed are %d: %w", info.Format, info.Width, info.Height, maxPixels, ErrTooLarge)
	}
	return info, nil
}

func inspect(data []byte) (Info, error) {
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xd8, 0xff}):
		return scanJPEG(data)
	case bytes.HasPrefix(data, []byte(pngMagic)):
		return scanPNG(data)
	}
	for magic, format := range map[string]string{"GIF8": GIF, "BM": BMP, "RIFF": WebP} {
		if bytes.HasPrefix(data, []byte(magic)) {
			config, _, err := image.DecodeConfig(bytes.NewReader(data))
			if err != nil {
				return Info{}, fmt.Errorf("%s: %w: %w", format, ErrCorrupt, err)
			}
			return Info{Format: format, Width: config.Width, Height: config.Height, Channels: 3}, nil
		}
	}
	return Info{}, fmt.Errorf("begins with % x: %w", data[:min(4, len(data))], ErrFormat)
}

const pngMagic = "\x89PNG\r\n\x1a\n"

// scanPNG walks the chunks of a PNG to its IEND and checks each one's checksum.
func scanPNG(data []byte) (Info, error) {
	info := Info{Format: PNG}
	for at := len(pngMagic); ; {
		if len(data)-at < 12 {
			return Info{}, fmt.Errorf("PNG without its end: %w", ErrTruncated)
		}
		length := binary.BigEndian.Uint32(data[at:])
		if uint64(length) > uint64(len(data)-at-12) {
			return Info{}, fmt.Errorf("PNG chunk of %d bytes at byte %d: %w", length, at, ErrTruncated)
		}
		chunk := data[at+4 : at+8+int(length)] // kind and content
		if crc32.ChecksumIEEE(chunk) != binary.BigEndian.Uint32(data[at+8+int(length):]) {
			return Info{}, fmt.Errorf("PNG chunk at byte %d: checksum does not match: %w", at, ErrCorrupt)
		}
		switch kind := string(chunk[:4]); {
		case info.Width == 0 && (kind != "IHDR" || length != 13):
			return Info{}, fmt.Errorf("PNG begins with %q: %w", kind, ErrCorrupt)
		case info.Width == 0:
			info.Width = int(binary.BigEndian.Uint32(chunk[4:]))
			info.Height = int(binary.BigEndian.Uint32(chunk[8:]))
			if info.Width == 0 {
				return Info{}, fmt.Errorf("PNG without pixels: %w", ErrCorrupt)
			}
			info.Channels = pngChannels(chunk[13])
		case kind == "IEND":
			return info, nil
		}
		at += 12 + int(length)
	}
}

// pngChannels counts the channels of a PNG's colour type; a palette holds RGB.
func pngChannels(colorType byte) int {
	switch colorType {
	case 0:
		return 1
	case 4:
		return 2
	case 6:
		return 4
	}
	return 3
}

// Markers of a JPEG stream (ITU-T T.81, table B.1).
const (
	markerSOF0  = 0xc0
	markerSOF2  = 0xc2
	markerSOF9  = 0xc9 // arithmetic coding, sequential
	markerSOF10 = 0xca // and progressive
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerEOI   = 0xd9
	markerSOS   = 0xda
)

// scanJPEG walks the segments of a JPEG to its end-of-image marker.
func scanJPEG(data []byte) (Info, error) {
	info := Info{Format: JPEG}
	scans := 0
	for at := 2; ; {
		i := bytes.IndexByte(data[at:], 0xff) // decoders skip stray bytes between segments, so do we
		if i < 0 || at+i+1 >= len(data) {
			return Info{}, fmt.Errorf("JPEG without its end: %w", ErrTruncated)
		}
		at += i + 1
		marker := data[at]
		switch {
		case marker == markerEOI:
			return info, complete(info, scans)
		case marker == 0xff: // fill byte: the next one may be the marker
			continue
		case marker == 0 || marker == 1 || (marker >= markerRST0 && marker <= markerRST7):
			at++ // stuffed data or a restart: no segment
			continue
		}
		segment, err := segmentAt(data, at+1)
		if err != nil {
			return Info{}, err
		}
		at += 1 + 2 + len(segment)
		if marker == markerSOS {
			scans++
		}
		if err := frame(&info, marker, segment); err != nil {
			return Info{}, err
		}
	}
}

func complete(info Info, scans int) error {
	if info.Width == 0 || scans == 0 {
		return fmt.Errorf("JPEG ends without a picture: %w", ErrCorrupt)
	}
	return nil
}

// segmentAt returns the content of the segment whose length stands at byte at.
func segmentAt(data []byte, at int) ([]byte, error) {
	if at+2 > len(data) {
		return nil, fmt.Errorf("JPEG: %w", ErrTruncated)
	}
	length := int(binary.BigEndian.Uint16(data[at:]))
	if length < 2 {
		return nil, fmt.Errorf("JPEG: segment of length %d at byte %d: %w", length, at, ErrCorrupt)
	}
	if at+length > len(data) {
		return nil, fmt.Errorf("JPEG: segment of length %d at byte %d: %w", length, at, ErrTruncated)
	}
	return data[at+2 : at+length], nil
}

// frame takes size and channels from a start-of-frame segment.
func frame(info *Info, marker byte, segment []byte) error {
	notFrames := []byte{0xc4, 0xc8, 0xcc} // Huffman tables, reserved, arithmetic conditioning
	if marker < markerSOF0 || marker > 0xcf || slices.Contains(notFrames, marker) {
		return nil
	}
	if marker > markerSOF2 && marker != markerSOF9 && marker != markerSOF10 {
		return fmt.Errorf("JPEG of an unusual kind (SOF%d: lossless or hierarchical): %w", marker-markerSOF0, ErrFormat)
	}
	if info.Width != 0 || len(segment) < 6 {
		return fmt.Errorf("JPEG with a second or too short frame header: %w", ErrCorrupt)
	}
	info.Height = int(binary.BigEndian.Uint16(segment[1:]))
	info.Width = int(binary.BigEndian.Uint16(segment[3:]))
	info.Channels = int(segment[5])
	if info.Width == 0 || info.Height == 0 || !slices.Contains([]int{1, 3, 4}, info.Channels) {
		return fmt.Errorf("JPEG of %d x %d pixels, %d channels: %w", info.Width, info.Height, info.Channels, ErrCorrupt)
	}
	return nil
}
