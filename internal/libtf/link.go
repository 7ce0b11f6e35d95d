package libtf

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// link makes a directory of links in the cache, shaped like a prefix, for a
// copy that lacks the name the linker asks for (the Python package does).
func (o Options) link(l Library) (Library, error) {
	sum := sha256.Sum256([]byte(l.Lib + "\x00" + l.Include))
	dir := filepath.Join(o.Cache, "libtensorflow", "links-"+hex.EncodeToString(sum[:6]))
	if !isFile(filepath.Join(dir, "lib", libraryNames[0])) || !isFile(header(filepath.Join(dir, "include"))) {
		if err := makeLinks(dir, l); err != nil {
			return l, fmt.Errorf("link %s into the cache: %w", l.Lib, err)
		}
	}
	l.Lib, l.Include = filepath.Join(dir, "lib"), filepath.Join(dir, "include")
	l.LoaderDirs = append([]string{l.Lib}, l.LoaderDirs...)
	return l, nil
}

// makeLinks builds the directory aside and renames it. Losing the race for the
// name is fine: the winner has made the same links.
func makeLinks(dir string, l Library) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), tempPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(tmp, "lib"), 0o755); err != nil {
		return err
	}
	object := sharedObject(l.Lib)
	links := map[string]string{"include": l.Include, "lib/" + libraryNames[0]: object, "lib/" + filepath.Base(object): object}
	for _, name := range []string{"libtensorflow_framework.so.2", "libtensorflow_framework.so"} {
		if target := filepath.Join(l.Lib, "libtensorflow_framework.so.2"); isFile(target) {
			links["lib/"+name] = target
		}
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(tmp, name)); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil { // links to a package that has moved away
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !isFile(filepath.Join(dir, "lib", libraryNames[0])) {
		return err
	}
	return nil
}
