package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// Your own images, converted and verified by the commands alone; a byte of
// damage is found with its place.
func TestDataFolderAndVerify(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	for class, colour := range map[string]color.Color{"red": color.RGBA{200, 0, 0, 255}, "green": color.RGBA{0, 200, 0, 255}} {
		if err := os.Mkdir(filepath.Join(dir, class), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			picture := image.NewRGBA(image.Rect(0, 0, 8, 8))
			picture.Set(i, i, colour)
			var text bytes.Buffer
			if err := png.Encode(&text, picture); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, class, string(rune('a'+i))+".png"), text.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	code, stdout, stderr := nasnet("data", "folder", dir, "--out", out, "--json", "--holdout", "-1")
	var m sets.Manifest
	if err := json.Unmarshal([]byte(stdout), &m); code != 0 || err != nil || len(m.Classes) != 2 || m.Splits[0].Examples != 12 {
		t.Fatalf("%d %v\n%s%s", code, err, stdout, stderr)
	}
	if code, stdout, _ := nasnet("data", "verify", out, "--decode"); code != 0 || !strings.Contains(stdout, "12 images with 2 labels in 1 files: 12 PNG") {
		t.Errorf("%d %s", code, stdout)
	}
	shard := filepath.Join(out, m.Splits[0].Shards[0].File)
	text, err := os.ReadFile(shard)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(shard, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := nasnet("data", "verify", out); code != exitFailed || !strings.Contains(stdout, filepath.Base(shard)) || !strings.Contains(stderr, "faults") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
	if code, _, stderr := nasnet("data", "folder", dir); code != exitUsage || !strings.Contains(stderr, "--out") {
		t.Errorf("%d %s", code, stderr)
	}
}
