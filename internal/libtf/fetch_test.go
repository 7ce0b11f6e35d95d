package libtf

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// With the directory of a site in this variable the test binary is a process
// that fetches, and that can be killed.
const fetchEnv = "NASNET_TEST_FETCH"

func TestMain(m *testing.M) {
	if dir := os.Getenv(fetchEnv); dir != "" {
		s := site{dir: dir}
		_, err := Fetch(context.Background(), s.options(), nil)
		fmt.Println(err)
		return
	}
	goleak.VerifyTestMain(m)
}

// site is a machine without TensorFlow, with a pip that copies a tiny wheel.
type site struct{ dir string }

func newSite(t *testing.T, wheel []byte) site {
	t.Helper()
	s := site{t.TempDir()}
	// pip is told --dest; it leaves a mark for each call.
	s.write(t, "pip.sh", []byte(`dest=; for a in "$@"; do case "$a" in --dest=*) dest="${a#--dest=}";; esac; done
echo call >> `+s.path("calls")+`
[ ! -e `+s.path("hang")+` ] || { : > "$dest/half.whl"; echo $$ > `+s.path("pid")+`; exec sleep 1000; }
[ ! -e `+s.path("fail")+` ] || { echo "WARNING: retrying" >&2; echo "ERROR: No matching distribution found" >&2; exit 1; }
cp `+s.path("the.whl")+` "$dest/tensorflow_test-1-any.whl"
`))
	s.write(t, "the.whl", wheel)
	sum := sha256.Sum256(wheel)
	s.write(t, "sum", []byte(hex.EncodeToString(sum[:])))
	return s
}

func (s site) path(name string) string { return filepath.Join(s.dir, name) }

func (s site) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s site) options() Options {
	sum, err := os.ReadFile(s.path("sum"))
	if err != nil {
		panic(err)
	}
	return Options{
		Cache:  s.path("cache"),
		Getenv: func(string) string { return "" },
		Python: s.path("no-python"),
		System: []string{},
		pip:    []string{"sh", s.path("pip.sh")},
		wheel:  &wheel{Package: "tensorflow-test", Platform: "any", SHA256: string(sum), Bytes: 1000},
	}
}

func (s site) calls() int {
	text, _ := os.ReadFile(s.path("calls")) // absent: never called
	return bytes.Count(text, []byte("\n"))
}

// cached lists the files of the cache.
func (s site) cached(t *testing.T) []string {
	t.Helper()
	names := []string{}
	err := filepath.WalkDir(s.path("cache"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(s.path("cache"), path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// entries of a wheel that has all that is needed, and something that is not.
func goodEntries() map[string]string {
	return map[string]string{
		"tensorflow/libtensorflow_cc.so.2":                        strings.Repeat("code", 1000),
		"tensorflow/libtensorflow_framework.so.2":                 "framework",
		"tensorflow/include/tensorflow/c/c_api.h":                 "#include <stdint.h>\n#include \"tensorflow/c/tf_status.h\"\n",
		"tensorflow/include/tensorflow/c/tf_status.h":             "  #  include \"tensorflow/c/c_api.h\"\n",
		"tensorflow/include/tensorflow/c/c_api_experimental.h":    "",
		"tensorflow/include/tensorflow/c/eager/c_api.h":           "",
		"tensorflow/include/tensorflow/core/public/version.h":     versionHeader(2, 18, 1),
		"tensorflow/include/tensorflow/core/framework/tensor.h":   "not included by any C header",
		"tensorflow/python/_pywrap_tensorflow_internal.so":        "not needed",
		"tensorflow_cpu-2.18.1.dist-info/METADATA":                "Name: tensorflow",
		"tensorflow/include/external/absl_py/a name with blanks.": "",
	}
}

func versionHeader(major, minor, patch int) string {
	return fmt.Sprintf("#define TF_MAJOR_VERSION %d\n#define TF_MINOR_VERSION %d\n#define TF_PATCH_VERSION %d\n", major, minor, patch)
}

func makeWheel(t testing.TB, entries map[string]string, more ...*zip.FileHeader) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range entries {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range more {
		if _, err := z.CreateHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const entry = "libtensorflow/" + Version + "/"

func TestFetchLeavesOnlyWhatIsNeededAndWorksOnce(t *testing.T) {
	s := newSite(t, makeWheel(t, goodEntries()))
	stages := map[string]int64{}
	l, err := Fetch(t.Context(), s.options(), func(stage string, done, _ int64) { stages[stage] = done })
	if err != nil {
		t.Fatal(err)
	}
	if l.Origin != FromCache || l.Version != "2.18.1" || l.Lib != s.path("cache/"+entry+"lib") {
		t.Errorf("library = %+v", l)
	}
	want := []string{
		entry + "include/tensorflow/c/c_api.h", entry + "include/tensorflow/c/c_api_experimental.h", entry + "include/tensorflow/c/eager/c_api.h",
		entry + "include/tensorflow/c/tf_status.h", entry + "include/tensorflow/core/public/version.h",
		entry + "lib/libtensorflow.so", entry + "lib/libtensorflow_cc.so.2", entry + "lib/libtensorflow_framework.so",
		entry + "lib/libtensorflow_framework.so.2", entry + "manifest.json", "libtensorflow/fetch.lock",
	}
	if got := s.cached(t); !slices.Equal(got, want) {
		t.Errorf("cache holds\n%s", strings.Join(got, "\n"))
	}
	if text, err := os.ReadFile(filepath.Join(l.Lib, "libtensorflow.so")); err != nil || len(text) != 4000 {
		t.Errorf("link leads to %d bytes, %v", len(text), err)
	}
	if stages["unpack"] == 0 || stages["verify"] == 0 {
		t.Errorf("progress = %v", stages)
	}
	if again, err := Fetch(t.Context(), s.options(), nil); err != nil || again.Lib != l.Lib || s.calls() != 1 {
		t.Errorf("again: %+v, %v, %d calls of pip", again, err, s.calls())
	}
}

func TestCorruptedDownloadIsRefusedAndLeavesNothing(t *testing.T) {
	s := newSite(t, makeWheel(t, goodEntries()))
	text, err := os.ReadFile(s.path("the.whl"))
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	s.write(t, "the.whl", text)
	_, err = Fetch(t.Context(), s.options(), nil)
	if !errors.Is(err, ErrHash) || strings.Contains(err.Error(), "\n") {
		t.Errorf("err = %v", err)
	}
	s.wantEmptyCache(t)
}

func (s site) wantEmptyCache(t *testing.T) {
	t.Helper()
	if got := s.cached(t); !slices.Equal(got, []string{"libtensorflow/fetch.lock"}) {
		t.Errorf("left behind: %v", got)
	}
}

func TestUnsafeOrIncompleteArchives(t *testing.T) {
	without := func(name string) map[string]string {
		m := goodEntries()
		delete(m, name)
		return m
	}
	link := &zip.FileHeader{Name: "tensorflow/link"}
	link.SetMode(fs.ModeSymlink | 0o777)
	device := &zip.FileHeader{Name: "tensorflow/dev"}
	device.SetMode(fs.ModeDevice | 0o644)
	for _, c := range []struct {
		name, want string
		wheel      []byte
	}{
		{"climbs out", "would leave the directory", makeWheel(t, goodEntries(), &zip.FileHeader{Name: "tensorflow/../../x"})},
		{"absolute", "would leave the directory", makeWheel(t, goodEntries(), &zip.FileHeader{Name: "/etc/passwd"})},
		{"link", "is no plain file", makeWheel(t, goodEntries(), link)},
		{"device", "is no plain file", makeWheel(t, goodEntries(), device)},
		{"no library", "has no tensorflow/libtensorflow_cc.so.2", makeWheel(t, without("tensorflow/libtensorflow_cc.so.2"))},
		{"no headers", "has no tensorflow/include/tensorflow/c/c_api.h", makeWheel(t, without("tensorflow/include/tensorflow/c/c_api.h"))},
		{"no zip", "not a valid zip file", []byte("<html>sign in to the network</html>")},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.wheel)
			if _, err := Fetch(t.Context(), s.options(), nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v", err)
			}
			s.wantEmptyCache(t)
		})
	}
}

func TestNoNetworkSaysWhatIsMissingAndWhatGetsIt(t *testing.T) {
	s := newSite(t, nil)
	s.write(t, "fail", nil)
	_, err := Fetch(t.Context(), s.options(), nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"No matching distribution found", "LIBTENSORFLOW_DIR is not set", "nothing in " + s.path("cache"), "make libtensorflow", "nasnet doctor --fix"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %q", want, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	s.wantEmptyCache(t)
}

func TestManyAtOnceDownloadOnce(t *testing.T) {
	s := newSite(t, makeWheel(t, goodEntries()))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := Fetch(t.Context(), s.options(), nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s.calls() != 1 {
		t.Errorf("%d downloads", s.calls())
	}
}

func TestDamagedCacheIsSeenAndRepaired(t *testing.T) {
	s := newSite(t, makeWheel(t, goodEntries()))
	l, err := Fetch(t.Context(), s.options(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []func() error{
		func() error { return os.Truncate(filepath.Join(l.Lib, "libtensorflow_cc.so.2"), 17) },
		func() error { return os.Remove(filepath.Join(l.Lib, "libtensorflow.so")) },
		func() error { return os.Remove(filepath.Join(l.Include, "tensorflow/c/tf_status.h")) },
		func() error { return os.WriteFile(filepath.Join(l.Dir, "manifest.json"), []byte("{"), 0o644) },
		func() error { return os.Remove(filepath.Join(l.Dir, "manifest.json")) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := Find(t.Context(), s.options()); err == nil || !strings.Contains(err.Error(), "incomplete") {
			t.Errorf("damage not seen: %v", err)
		}
		if _, err := Fetch(t.Context(), s.options(), nil); err != nil {
			t.Errorf("not repaired: %v", err)
		}
	}
}

func TestCancelledFetchLeavesNothing(t *testing.T) {
	s := newSite(t, nil)
	s.write(t, "hang", nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for s.calls() == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := Fetch(ctx, s.options(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	s.wantEmptyCache(t)
}

// kill -9 in the middle: the next one gets the lock and clears up.
func TestKilledFetchIsTakenUp(t *testing.T) {
	s := newSite(t, makeWheel(t, goodEntries()))
	s.write(t, "hang", nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fetchEnv+"="+s.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for s.calls() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"
	s.killPip(t)
	if err := os.Remove(s.path("hang")); err != nil {
		t.Fatal(err)
	}
	if _, err := Fetch(t.Context(), s.options(), nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range s.cached(t) {
		if strings.Contains(name, tempPrefix) {
			t.Errorf("left behind: %s", name)
		}
	}
}

// killPip ends the pip that outlived its fetcher.
func (s site) killPip(t *testing.T) {
	t.Helper()
	for {
		text, _ := os.ReadFile(s.path("pid")) // not yet written
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Whatever is in an archive, nothing is written beside the new directory.
func FuzzUnpackWheel(f *testing.F) {
	f.Add(makeWheel(f, goodEntries()))
	f.Add(makeWheel(f, goodEntries(), &zip.FileHeader{Name: "../x"}))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		file := filepath.Join(dir, "a.whl")
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		err := unpackWheel(t.Context(), file, filepath.Join(dir, "tree"), func(string, int64, int64) {})
		entries, listErr := os.ReadDir(dir)
		if listErr != nil || len(entries) > 2 {
			t.Errorf("wrote beside its directory: %v, %v", entries, listErr)
		}
		if err == nil && verifyManifest(filepath.Join(dir, "tree")) != nil {
			t.Error("an unpacked tree does not verify")
		}
	})
}
