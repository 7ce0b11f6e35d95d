package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/internal/libtf"
	"github.com/nasnet-go/nasnet/internal/npy"
)

// published makes an archive as slim's: the mobile network with 1001 classes and
// random weights, as a TensorFlow checkpoint in a .tar.gz. It returns the values
// by variable too.
func published(t *testing.T, nasnet string) ([]byte, map[string][]float32) {
	t.Helper()
	dir := t.TempDir()
	m, err := model.Preset("nasnet-a-mobile")
	if err != nil {
		t.Fatal(err)
	}
	m.Classes = 1001
	if err := writeModel(dir, m); err != nil {
		t.Fatal(err)
	}
	plan, err := model.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	values := map[string][]float32{}
	r := rand.New(rand.NewPCG(1, 1))
	arrays := filepath.Join(dir, "weights.npz")
	shapes := map[string][]int64{}
	for _, v := range plan.Variables() {
		names = append(names, v.Name)
		for _, d := range v.Shape {
			shapes[v.Name] = append(shapes[v.Name], int64(d))
		}
		data := make([]float32, v.Size())
		for i := range data {
			data[i] = float32(r.NormFloat64())
		}
		values[v.Name] = data
	}
	err = npy.WriteArchive(arrays, names, func(name string) ([]float32, []int64, error) { return values[name], shapes[name], nil })
	if err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(dir, "weights")
	if out, err := exec.Command(nasnet, "weights", "import", "--from", "npz", "--model", filepath.Join(dir, "model.yaml"), "--source", arrays, "--out", weights).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return tarred(t, weights), values
}

// tarred packs a directory's checkpoint.
func tarred(t *testing.T, dir string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	files, err := filepath.Glob(filepath.Join(dir, "model.ckpt.*"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: "./" + filepath.Base(file), Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg})
		}
		if err == nil {
			_, err = w.Write(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// cleanCache is an environment with a cache of the test's own, and the library
// where it is.
func cleanCache(t *testing.T) []string {
	t.Helper()
	lib, err := libtf.Find(context.Background(), libtf.Options{})
	if err != nil {
		t.Skipf("no TensorFlow library: %v", err)
	}
	return append(os.Environ(), "NASNET_CACHE="+t.TempDir(), "LIBTENSORFLOW_DIR="+lib.Dir)
}

// From a server like the publisher's, and from a local copy: the weights are
// those of the archive, without the background.
func TestWeightsFetch(t *testing.T) {
	nasnet := program(t, "nasnet")
	program(t, "nasnet-engine")
	content, want := published(t, nasnet)
	sum := md5.Sum(content)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Goog-Hash", "md5="+base64.StdEncoding.EncodeToString(sum[:]))
		http.ServeContent(w, r, "m", time.Time{}, bytes.NewReader(content))
	}))
	defer server.Close()
	copied := filepath.Join(t.TempDir(), "copy.tar.gz")
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		t.Fatal(err)
	}
	env := cleanCache(t)
	for _, from := range [][]string{{"--mirror", server.URL}, {"--source", copied}} {
		out := filepath.Join(t.TempDir(), "mobile")
		cmd := exec.Command(nasnet, append([]string{"weights", "fetch", "nasnet-a-mobile", "--out", out, "--json"}, from...)...)
		cmd.Env = env
		text, err := cmd.Output()
		var doc fetched
		if err != nil || json.Unmarshal(text, &doc) != nil || doc.Model.Classes != 1000 || doc.Model.AuxHead != true || doc.Origin.Bytes != int64(len(content)) {
			t.Fatalf("%v: %v, %+v\n%s", from, err, doc, text)
		}
		checkFetched(t, nasnet, out, want)
	}
}

// checkFetched compares weights with those that were published.
func checkFetched(t *testing.T, nasnet, dir string, want map[string][]float32) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, originFile)); err != nil {
		t.Error(err)
	}
	arrays := filepath.Join(t.TempDir(), "w.npz")
	if out, err := exec.Command(nasnet, "weights", "export", "--model", filepath.Join(dir, "model.yaml"), "--weights", dir, "--out", arrays).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a, err := npy.OpenArchive(arrays)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for name, values := range want {
		got, shape, err := a.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if last := shape[len(shape)-1]; last == 1000 {
			var kept []float32
			for i, v := range values {
				if i%1001 != 0 {
					kept = append(kept, v)
				}
			}
			values = kept
		}
		if !slices.Equal(got, values) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestWeightsFetchRefuses(t *testing.T) {
	t.Setenv("NASNET_CACHE", t.TempDir())
	for want, args := range map[string][]string{
		"want nasnet-a-large":           {"nasnet-a-cifar"},
		"64 hex":                        {"nasnet-a-large", "--sha256", "12"},
		"--averages":                    {"nasnet-a-large", "--averages", "maybe"},
		"is there already":              {"nasnet-a-large", "--out", t.TempDir()},
		"accepts 1 arg":                 {},
		"no such file":                  {"nasnet-a-large", "--source", "absent.tar.gz", "--out", "x"},
		"nasnet-a_large_04_10_2017.tar": {"nasnet-a-large", "--mirror", "http://127.0.0.1:1/m", "--out", "x"},
	} {
		if code, _, stderr := nasnet(append([]string{"weights", "fetch"}, args...)...); code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit code %d, %q; want %q", args, code, stderr, want)
		}
	}
}
