package pretrained_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nasnet-go/nasnet/internal/archive"
	"github.com/nasnet-go/nasnet/internal/pretrained"
)

// packed is an archive of the files, name and content by turns.
func packed(t *testing.T, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sha(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

// store serves content as an object store does. breaks says after how many bytes
// each of the first transfers ends.
type store struct {
	content []byte
	silent  bool // states no hash
	breaks  []int
	ranges  []string // asked for
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if sum := md5.Sum(s.content); !s.silent {
		w.Header().Set("X-Goog-Hash", "crc32c=AAAAAA==,md5="+base64.StdEncoding.EncodeToString(sum[:]))
	}
	if r.Method == http.MethodGet {
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		if len(s.breaks) > 0 {
			n := s.breaks[0]
			s.breaks = s.breaks[1:]
			hijacked, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = hijacked.Write(append([]byte("HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(s.content))+"\r\n\r\n"), s.content[:n]...)) // the connection ends here
			hijacked.Close()
			return
		}
	}
	http.ServeContent(w, r, "file", time.Time{}, bytes.NewReader(s.content))
}

func options(t *testing.T, s *store) pretrained.Options {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return pretrained.Options{Archive: pretrained.Archives[1], Mirror: server.URL + "/m.tar.gz", Cache: t.TempDir()}
}

// A transfer that breaks goes on where it broke; the second time the cache is
// enough.
func TestObtainResumesAndKeeps(t *testing.T) {
	s := &store{content: bytes.Repeat([]byte("weights!"), 10_000), breaks: []int{30_000}}
	o := options(t, s)
	var last int64
	o.Progress = func(done, _ int64) { last = done }
	path, origin, err := pretrained.Obtain(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, s.content) || last != int64(len(got)) || origin.SHA256 != sha(s.content) || origin.Checked != "MD5 stated by the server" {
		t.Errorf("%d bytes, progress to %d, %+v, %v", len(got), last, origin, err)
	}
	if len(s.ranges) != 2 || s.ranges[1] != "bytes=30000-" {
		t.Errorf("asked for %q", s.ranges)
	}
	if filepath.Base(path) != "nasnet-a_mobile_04_10_2017.tar.gz" {
		t.Error(path)
	}
	if _, origin, err = pretrained.Obtain(t.Context(), o); err != nil || len(s.ranges) != 2 || origin.Checked != "SHA-256 of the first fetch" {
		t.Errorf("again: %+v, %v, asked for %q", origin, err, s.ranges)
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err = pretrained.Obtain(t.Context(), o); err != nil || len(s.ranges) != 3 {
		t.Errorf("a damaged cache: %v, asked for %q", err, s.ranges)
	}
}

func TestAnotherContentIsRefused(t *testing.T) {
	s := &store{content: []byte("the first")}
	o := options(t, s)
	path, _, err := pretrained.Obtain(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.content = []byte("another")
	if _, _, err := pretrained.Obtain(t.Context(), o); !errors.Is(err, pretrained.ErrPinned) {
		t.Errorf("fetched anew: %v", err)
	}
	o.Source = filepath.Join(t.TempDir(), "copy.tar.gz")
	if err := os.WriteFile(o.Source, s.content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := pretrained.Obtain(t.Context(), o); !errors.Is(err, pretrained.ErrPinned) {
		t.Errorf("a local copy: %v", err)
	}
	o.SHA256 = sha(s.content)
	if _, origin, err := pretrained.Obtain(t.Context(), o); err != nil || origin.Checked != "SHA-256 given" {
		t.Errorf("with its hash: %+v, %v", origin, err)
	}
}

func TestAHashIsNeeded(t *testing.T) {
	s := &store{content: []byte("x"), silent: true}
	o := options(t, s)
	if _, _, err := pretrained.Obtain(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--sha256") || len(s.ranges) != 0 {
		t.Errorf("%v, asked for %q", err, s.ranges)
	}
	o.SHA256 = strings.Repeat("0", 64)
	if _, _, err := pretrained.Obtain(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not the expected content") {
		t.Errorf("%v", err)
	}
	o.SHA256 = sha(s.content)
	if _, _, err := pretrained.Obtain(t.Context(), o); err != nil {
		t.Error(err)
	}
	o.SHA256 = "abc"
	if _, _, err := pretrained.Obtain(t.Context(), o); err == nil {
		t.Error("a hash of three digits")
	}
}

func TestOfflineNamesAddressAndFile(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	o := pretrained.Options{Archive: pretrained.Archives[0], Mirror: "http://" + l.Addr().String() + "/m", Cache: t.TempDir()}
	_, _, err = pretrained.Obtain(t.Context(), o)
	for _, want := range []string{o.Mirror, "nasnet-a_large_04_10_2017.tar.gz", "--source"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestUnpack(t *testing.T) {
	for name, c := range map[string]struct {
		content []byte
		want    string // in the error
	}{
		"a checkpoint":    {packed(t, "model.ckpt.index", "i", "./model.ckpt.data-00000-of-00001", "d", "README", "r"), ""},
		"none":            {packed(t, "README", "r"), "no TensorFlow checkpoint"},
		"two":             {packed(t, "a.index", "", "b.index", ""), "two checkpoints"},
		"out of the tree": {packed(t, "../model.ckpt.index", "i"), archive.ErrUnsafe.Error()},
		"cut off":         {packed(t, "model.ckpt.index", strings.Repeat("i", 9999))[:60], "corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(t.TempDir(), "a.tar.gz")
			if err := os.WriteFile(file, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			prefix, err := pretrained.Unpack(file, dir)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
					t.Errorf("%v", err)
				}
				return
			}
			entries, _ := os.ReadDir(dir)
			if err != nil || prefix != filepath.Join(dir, "model.ckpt") || len(entries) != 2 {
				t.Errorf("%s, %v, %v", prefix, entries, err)
			}
		})
	}
}
