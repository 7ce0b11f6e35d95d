package download

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// content is 600 kB of reproducible noise: several blocks of the copy loop.
var content = func() []byte {
	b := make([]byte, 600_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}()

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// serve starts a server and returns options that fetch content from it.
func serve(t *testing.T, h http.HandlerFunc) Options {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return Options{
		URL: s.URL + "/file", Path: filepath.Join(t.TempDir(), "file"),
		SHA256: sum(content), Size: int64(len(content)), Backoff: time.Millisecond,
	}
}

// whole serves content properly, ranges included.
func whole(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "file", time.Time{}, bytes.NewReader(content))
}

// cut serves content but breaks the connection after so many bytes.
func cut(after int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		whole(&cutter{w, after}, r)
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	c.ResponseWriter.Write(p[:c.left])
	c.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func expectContent(t *testing.T, o Options) {
	t.Helper()
	got, err := os.ReadFile(o.Path)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v; want %d", len(got), err, len(content))
	}
	expectNoPart(t, o)
}

func expectNoPart(t *testing.T, o Options) {
	t.Helper()
	if _, err := os.Stat(o.Path + ".part"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a part file is left: %v", err)
	}
}

func TestFileWhole(t *testing.T) {
	o := serve(t, whole)
	var last int64
	o.Progress = func(done, total int64) { last = done }
	if err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	expectContent(t, o)
	if last != o.Size {
		t.Errorf("progress ended at %d of %d", last, o.Size)
	}
}

func TestFileResumesAfterEveryBreak(t *testing.T) {
	var ranges []string
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range"))
		cut(150_000)(w, r)
	})
	o.Retries = 1
	if err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	expectContent(t, o)
	if len(ranges) < 4 || ranges[0] != "" || ranges[1] == "" {
		t.Errorf("requests: %q", ranges)
	}
}

func TestFileResumesAPartFromBefore(t *testing.T) {
	asked := ""
	o := serve(t, func(w http.ResponseWriter, r *http.Request) { asked = r.Header.Get("Range"); whole(w, r) })
	if err := os.WriteFile(o.Path+".part", content[:1234], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	expectContent(t, o)
	if asked != "bytes=1234-" {
		t.Errorf("asked for %q", asked)
	}
}

func TestFileStartsOverOnAStalePart(t *testing.T) {
	for name, part := range map[string][]byte{
		"other bytes": bytes.Repeat([]byte("old"), 1000),
		"too long":    append(bytes.Clone(content), "more"...),
		"complete":    bytes.Repeat([]byte("x"), len(content)),
	} {
		t.Run(name, func(t *testing.T) {
			o := serve(t, whole)
			if err := os.WriteFile(o.Path+".part", part, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := File(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			expectContent(t, o)
		})
	}
}

func TestFileFromAServerWithoutRanges(t *testing.T) {
	first := true
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		if first {
			first = false
			cut(300_000)(w, r)
		}
		whole(w, r)
	})
	if err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	expectContent(t, o)
}

func TestFileRefusesWrongContent(t *testing.T) {
	flipped := bytes.Clone(content)
	flipped[400_000] ^= 1
	for name, body := range map[string][]byte{"one bit flipped": flipped, "short": content[:1000], "long": append(bytes.Clone(content), 'x')} {
		t.Run(name, func(t *testing.T) {
			o := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				w.Write(body)
			})
			if err := File(t.Context(), o); !errors.Is(err, ErrHash) {
				t.Fatalf("got %v", err)
			}
			if _, err := os.Stat(o.Path); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("published: %v", err)
			}
		})
	}
}

func TestFileDoesNotRepeatARefusal(t *testing.T) {
	requests := 0
	o := serve(t, func(w http.ResponseWriter, r *http.Request) { requests++; http.NotFound(w, r) })
	if err := File(t.Context(), o); !errors.Is(err, ErrRefused) {
		t.Fatalf("got %v", err)
	}
	if requests != 1 {
		t.Errorf("%d requests", requests)
	}
	expectNoPart(t, o)
}

func TestFileOutlastsABusyServer(t *testing.T) {
	requests := 0
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests < 4 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		whole(w, r)
	})
	if err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	expectContent(t, o)
}

func TestFileGivesUpOnAServerThatStaysBusy(t *testing.T) {
	requests := 0
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		http.Error(w, "busy", http.StatusServiceUnavailable)
	})
	o.Retries = 2
	if err := File(t.Context(), o); err == nil || !strings.Contains(err.Error(), "503") {
		t.Fatalf("got %v", err)
	}
	if requests != 3 {
		t.Errorf("%d requests", requests)
	}
	expectNoPart(t, o)
}

func TestFileLeavesAServerThatIsNotThereAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{URL: "http://" + l.Addr().String(), Path: filepath.Join(t.TempDir(), "f"), SHA256: sum(nil), Size: 1, Backoff: time.Hour}
	l.Close()
	if err := File(t.Context(), o); err == nil {
		t.Fatal("fetched from a closed port")
	}
	expectNoPart(t, o)
}

func TestFileGivesUpOnASilentServer(t *testing.T) {
	o := serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	o.ConnectTimeout = 20 * time.Millisecond
	o.Backoff = time.Hour // a retry would hang the test
	if err := File(t.Context(), o); err == nil {
		t.Fatal("a server that never answers")
	}
}

func TestFileTakesUpAStalledTransfer(t *testing.T) {
	first := true
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !first {
			whole(w, r)
			return
		}
		first = false
		w.Write(content[:1000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	o.StallTimeout = 20 * time.Millisecond
	if err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	expectContent(t, o)
}

func TestFileKeepsThePartWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := serve(t, whole)
	o.Progress = func(done, total int64) { cancel() }
	if err := File(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(o.Path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("published: %v", err)
	}
	o.Progress = nil
	if err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	expectContent(t, o)
}

func TestFileReportsItsOwnDisk(t *testing.T) {
	requests := 0
	o := serve(t, func(w http.ResponseWriter, r *http.Request) { requests++; whole(w, r) })
	o.Path = filepath.Join(t.TempDir(), "absent", "file")
	if err := File(t.Context(), o); !errors.Is(err, os.ErrNotExist) || requests != 1 {
		t.Fatalf("got %v after %d requests", err, requests)
	}
}

func TestFileWantsAHash(t *testing.T) {
	o := serve(t, whole)
	o.SHA256 = ""
	if err := File(t.Context(), o); err == nil {
		t.Fatal("fetched something it cannot verify")
	}
}
