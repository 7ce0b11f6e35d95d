package libtf

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// systemDirs lists the directories the loader knows of a libtensorflow in, and
// the usual ones, each once.
func systemDirs(ctx context.Context, getenv func(string) string) []string {
	dirs := filepath.SplitList(getenv("LD_LIBRARY_PATH"))
	for _, path := range loaderCache(ctx, "libtensorflow") {
		dirs = append(dirs, filepath.Dir(path))
	}
	dirs = append(dirs, "/usr/local/lib", "/usr/local/lib64", "/usr/lib", "/usr/lib64", "/opt/tensorflow/lib", "/opt/libtensorflow/lib")
	seen, out := map[string]bool{"": true}, []string{}
	for _, d := range dirs {
		if d = filepath.Clean(d); !seen[d] && filepath.IsAbs(d) {
			seen[d] = true
			out = append(out, d)
		}
	}
	return out
}

// loaderCache returns the paths of the libraries in the loader's cache whose
// file name begins with prefix; none where there is no ldconfig.
func loaderCache(ctx context.Context, prefix string) []string {
	name := "ldconfig"
	if isFile("/sbin/ldconfig") {
		name = "/sbin/ldconfig" // not on every user's PATH
	}
	out, err := exec.CommandContext(ctx, name, "-p").Output()
	if err != nil {
		return nil
	}
	var paths []string
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		lib, path, ok := strings.Cut(lines.Text(), " => ")
		if ok && strings.HasPrefix(strings.TrimSpace(lib), prefix) {
			paths = append(paths, path)
		}
	}
	return paths
}

// lookSystem tries each directory with the include directory beside it. A
// directory with an unsuitable copy does not end the search, but is reported.
func lookSystem(_ context.Context, o Options) (Library, error) {
	var refused []string
	for _, dir := range o.System {
		l, err := openSystem(o, dir)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, errAbsent) {
			refused = append(refused, err.Error())
		}
	}
	if refused != nil {
		return Library{}, errors.New(strings.Join(refused, "; "))
	}
	return Library{}, fmt.Errorf("no libtensorflow in the system's library directories (%s)", strings.Join(o.System, " "))
}

// openSystem pairs a library directory with the first include directory above
// it: /usr/lib/x86_64-linux-gnu belongs to /usr/include.
func openSystem(o Options, dir string) (Library, error) {
	include := ""
	for up := filepath.Dir(dir); include == "" && up != filepath.Dir(up); up = filepath.Dir(up) {
		if isFile(header(filepath.Join(up, "include"))) {
			include = filepath.Join(up, "include")
		}
	}
	return o.open(Library{Dir: dir, Lib: dir, Include: include, Origin: FromSystem})
}

// Missing returns those of the names (for example "libcudnn.so.9") that the
// loader would not find: neither in dirs nor in its own cache.
func Missing(ctx context.Context, names, dirs []string) []string {
	known := map[string]bool{}
	for _, path := range loaderCache(ctx, "lib") {
		known[filepath.Base(path)] = true
	}
	var missing []string
	for _, name := range names {
		inDir := func(dir string) bool { return isFile(filepath.Join(dir, name)) }
		if !known[name] && !slices.ContainsFunc(dirs, inDir) {
			missing = append(missing, name)
		}
	}
	return missing
}
