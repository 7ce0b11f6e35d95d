package libtf

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// prefix writes lib and include of some version below dir of the site.
func (s site) prefix(t *testing.T, lib, include, name, header string) {
	t.Helper()
	s.write(t, filepath.Join(lib, name), []byte("code"))
	if include != "" {
		s.write(t, filepath.Join(include, "tensorflow/c/c_api.h"), nil)
		s.write(t, filepath.Join(include, "tensorflow/core/public/version.h"), []byte(header))
	}
}

func TestFindNothingListsAllPlaces(t *testing.T) {
	s := newSite(t, nil)
	_, err := Find(t.Context(), s.options())
	var missing *NotFoundError
	if !errors.As(err, &missing) {
		t.Fatalf("err = %v", err)
	}
	var origins []Origin
	for _, p := range missing.Places {
		origins = append(origins, p.Origin)
	}
	if !slices.Equal(origins, []Origin{FromEnv, FromSystem, FromPython, FromCache}) {
		t.Errorf("places = %v", origins)
	}
	if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, "make libtensorflow") || !strings.Contains(text, "nasnet doctor --fix") {
		t.Errorf("sentence: %q", text)
	}
	if _, err := os.Stat(s.path("cache")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Find wrote into the cache: %v", err)
	}
}

func TestFindTakesTheDirectoryThatIsNamed(t *testing.T) {
	s := newSite(t, nil)
	s.prefix(t, "tarball/lib", "tarball/include", "libtensorflow.so", versionHeader(2, 18, 0))
	s.prefix(t, "package", "package/include", "libtensorflow_cc.so.2", versionHeader(2, 18, 1))
	s.prefix(t, "old/lib", "old/include", "libtensorflow.so", versionHeader(2, 15, 0))
	s.prefix(t, "mute/lib", "", "libtensorflow.so", "")
	s.prefix(t, "named/lib", "", "libtensorflow.so.2.18.3", "")
	if err := os.Symlink("libtensorflow.so.2.18.3", s.path("named/lib/libtensorflow.so")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, version, failure string }{
		{"tarball", "2.18.0", ""},
		{"package", "2.18.1", ""},
		{"named", "2.18.3", ""},
		{"old", "", "is TensorFlow 2.15.0, 2.18 is needed"},
		{"mute", "", "does not say which TensorFlow it is"},
		{"absent", "", "holds no libtensorflow.so"},
	} {
		o := s.options()
		o.Getenv = func(name string) string { return map[string]string{"LIBTENSORFLOW_DIR": s.path(c.dir)}[name] }
		l, err := Find(t.Context(), o)
		if c.failure == "" && (err != nil || l.Version != c.version || l.Origin != FromEnv) {
			t.Errorf("%s: %+v, %v", c.dir, l, err)
		}
		var missing *NotFoundError
		if c.failure != "" && (err == nil || !strings.Contains(err.Error(), c.failure) || errors.As(err, &missing)) {
			t.Errorf("%s: %v", c.dir, err)
		}
	}
}

func TestFindInTheSystem(t *testing.T) {
	s := newSite(t, nil)
	s.prefix(t, "usr/lib/x86_64-linux-gnu", "usr/include", "libtensorflow.so.2", versionHeader(2, 18, 0))
	s.prefix(t, "bare/lib", "", "libtensorflow.so", "")
	o := s.options()
	o.System = []string{s.path("nothing"), s.path("bare/lib"), s.path("usr/lib/x86_64-linux-gnu")}
	l, err := Find(t.Context(), o)
	if err != nil || l.Origin != FromSystem || l.Include != s.path("usr/include") {
		t.Fatalf("%+v, %v", l, err)
	}
	o.Build = true // needs the name libtensorflow.so, which this copy lacks
	l, err = Find(t.Context(), o)
	if err != nil || !isFile(filepath.Join(l.Lib, "libtensorflow.so")) || !isFile(header(l.Include)) || !strings.HasPrefix(l.Lib, o.Cache) {
		t.Errorf("links: %+v, %v", l, err)
	}
	if !slices.Contains(l.LoaderDirs, s.path("usr/lib/x86_64-linux-gnu")) {
		t.Errorf("loader dirs = %v", l.LoaderDirs)
	}
	o.System = o.System[:2]
	if _, err := Find(t.Context(), o); err == nil || !strings.Contains(err.Error(), "comes without headers") {
		t.Errorf("refusal is not told: %v", err)
	}
}

// fakePython is an interpreter that answers, and has the package or not.
func (s site) fakePython(t *testing.T, answer string) string {
	t.Helper()
	s.write(t, "bin/python3", []byte("#!/bin/sh\necho '"+answer+"'\n"))
	if err := os.Chmod(s.path("bin/python3"), 0o755); err != nil {
		t.Fatal(err)
	}
	return s.path("bin/python3")
}

func TestFindInPythonWithGPULibraries(t *testing.T) {
	s := newSite(t, nil)
	s.prefix(t, "site/tensorflow", "site/tensorflow/include", "libtensorflow_cc.so.2", versionHeader(2, 18, 1))
	s.write(t, "site/tensorflow/libtensorflow_framework.so.2", nil)
	s.write(t, "site/nvidia/cudnn/lib/libcudnn.so.9", nil)
	s.write(t, "site/nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc", nil)
	o := s.options()
	o.Python = s.fakePython(t, `{"tensorflow": ["`+s.path("site/tensorflow")+`"], "nvidia": ["`+s.path("site/nvidia")+`"]}`)
	o.Build = true
	l, err := Find(t.Context(), o)
	if err != nil || l.Origin != FromPython || l.Version != "2.18.1" {
		t.Fatalf("%+v, %v", l, err)
	}
	for _, name := range []string{"libtensorflow.so", "libtensorflow_cc.so.2", "libtensorflow_framework.so", "libtensorflow_framework.so.2"} {
		if !isFile(filepath.Join(l.Lib, name)) {
			t.Errorf("no link %s", name)
		}
	}
	env := l.runEnv(func(name string) string {
		return map[string]string{"LD_LIBRARY_PATH": "/mine", "XLA_FLAGS": "--a=1"}[name]
	})
	want := []string{
		"LD_LIBRARY_PATH=" + strings.Join([]string{l.Lib, s.path("site/tensorflow"), s.path("site/nvidia/cudnn/lib"), "/mine"}, ":"),
		"TF_CPP_MIN_LOG_LEVEL=1",
		"XLA_FLAGS=--a=1 --xla_gpu_cuda_data_dir=" + s.path("site/nvidia/cuda_nvcc"),
	}
	if !slices.Equal(env, want) {
		t.Errorf("env = %q", env)
	}
	if missing := Missing(t.Context(), []string{"libcudnn.so.9", "libfrobnicate.so.1"}, l.LoaderDirs); !slices.Equal(missing, []string{"libfrobnicate.so.1"}) {
		t.Errorf("missing = %v", missing)
	}
}

func TestPythonThatDoesNotServe(t *testing.T) {
	s := newSite(t, nil)
	s.prefix(t, "site/tensorflow", "site/tensorflow/include", "libtensorflow_cc.so.2", versionHeader(2, 20, 0))
	for _, c := range []struct{ answer, want string }{
		{`{"tensorflow": ["` + s.path("site/tensorflow") + `"]}`, "is TensorFlow 2.20.0, 2.18 is needed"},
		{`{"tensorflow": ["` + s.path("empty") + `"]}`, "has no libtensorflow_cc.so.2"},
		{`{"tensorflow": []}`, "has no tensorflow package"},
		{`Traceback`, "could not be asked"},
	} {
		o := s.options()
		o.Python = s.fakePython(t, c.answer)
		if _, err := Find(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.answer, err)
		}
	}
}

func TestInterpreterIsAskedOnlyWhereAPackageCanBe(t *testing.T) {
	s := newSite(t, nil)
	s.write(t, "pyenv/shims/python3", []byte("#!/bin/sh\n"))
	s.write(t, "pyenv/versions/3.11/bin/python3", []byte("\x7fELF"))
	s.write(t, "bin/wrapper", []byte("#!/bin/sh\n"))
	s.write(t, "venv/bin/python3", []byte("\x7fELF"))
	none := func(string) string { return "" }
	shim, venv := s.path("pyenv/shims/python3"), s.path("venv/bin/python3")
	if mayHaveTensorFlow(shim, none) || mayHaveTensorFlow(venv, none) {
		t.Error("a package is suspected where none is")
	}
	if !mayHaveTensorFlow(s.path("bin/wrapper"), none) {
		t.Error("a script of unknown kind is not asked")
	}
	s.write(t, "pyenv/versions/3.11/lib/python3.11/site-packages/tensorflow/x", nil)
	s.write(t, "venv/lib64/python3.12/site-packages/tensorflow/x", nil)
	s.write(t, "more/tensorflow/x", nil)
	if !mayHaveTensorFlow(shim, none) || !mayHaveTensorFlow(venv, none) {
		t.Error("the package is overlooked")
	}
	path := func(name string) string { return map[string]string{"PYTHONPATH": s.path("more")}[name] }
	if !mayHaveTensorFlow(s.path("bin/none"), path) {
		t.Error("PYTHONPATH is overlooked")
	}
}

func TestBuildEnvQuotesBlanks(t *testing.T) {
	l := Library{Lib: "/a b/lib", Include: "/plain/include"}
	want := []string{`CGO_CFLAGS=-O2 -g -I/plain/include`, `CGO_LDFLAGS="-L/a b/lib" "-Wl,-rpath,/a b/lib"`}
	if got := l.BuildEnv(); !slices.Equal(got, want) {
		t.Errorf("env = %q", got)
	}
}

func TestCacheDir(t *testing.T) {
	dir, err := CacheDir(func(name string) string { return map[string]string{"NASNET_CACHE": "/somewhere"}[name] })
	if err != nil || dir != "/somewhere" {
		t.Errorf("%s, %v", dir, err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if _, err := CacheDir(func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "NASNET_CACHE") {
		t.Errorf("no home: %v", err)
	}
}
