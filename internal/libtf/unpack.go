package libtf

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/nasnet-go/nasnet/internal/durable"
)

// What is taken out of a wheel: two shared objects, and the headers a C
// program includes with everything those include.
const (
	wheelRoot     = "tensorflow/"
	wheelInclude  = "tensorflow/include/"
	maxEntryBytes = 2 << 30 // libtensorflow_cc.so.2 has 0.7 GB
)

var (
	wheelLibraries = []string{"libtensorflow_cc.so.2", "libtensorflow_framework.so.2"}
	wheelHeaders   = []string{
		"tensorflow/c/c_api.h", "tensorflow/c/c_api_experimental.h", "tensorflow/c/eager/c_api.h",
		"tensorflow/core/public/version.h",
	}
	libraryLinks = map[string]string{"libtensorflow.so": "libtensorflow_cc.so.2", "libtensorflow_framework.so": "libtensorflow_framework.so.2"}
)

// manifest is the record beside an unpacked library.
type manifest struct {
	Version string           `json:"version"`
	Wheel   string           `json:"wheel"` // file name it came from
	Files   map[string]int64 `json:"files"` // path below the directory -> bytes
}

// unpackWheel writes what is needed of the wheel at file to the new directory
// dir, synced to the disk, with its manifest last.
func unpackWheel(ctx context.Context, file, dir string, progress Progress) error {
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer z.Close()
	entries, err := plainEntries(z.File)
	if err != nil {
		return err
	}
	plan, err := planUnpack(entries)
	if err != nil {
		return err
	}
	u := &unpacker{ctx: ctx, dir: dir, progress: progress, manifest: manifest{Version: Version, Wheel: filepath.Base(file), Files: map[string]int64{}}}
	for _, e := range plan {
		u.total += int64(e.UncompressedSize64)
	}
	for to, e := range plan {
		if err := u.write(to, e); err != nil {
			return err
		}
	}
	return u.finish()
}

// plainEntries indexes the archive by name and refuses one with an entry that
// points out of it or is no plain file.
func plainEntries(files []*zip.File) (map[string]*zip.File, error) {
	entries := make(map[string]*zip.File, len(files))
	for _, f := range files {
		if f.FileInfo().IsDir() {
			continue
		}
		switch {
		case !filepath.IsLocal(f.Name):
			return nil, fmt.Errorf("entry %q would leave the directory it is unpacked to", f.Name)
		case !f.Mode().IsRegular():
			return nil, fmt.Errorf("entry %q is no plain file", f.Name)
		case f.UncompressedSize64 > maxEntryBytes:
			return nil, fmt.Errorf("entry %q declares %d bytes, at most %d are allowed", f.Name, f.UncompressedSize64, int64(maxEntryBytes))
		}
		entries[f.Name] = f
	}
	return entries, nil
}

// planUnpack maps the path below the new directory to the entry it comes from.
func planUnpack(entries map[string]*zip.File) (map[string]*zip.File, error) {
	plan := map[string]*zip.File{}
	for _, name := range wheelLibraries {
		e := entries[wheelRoot+name]
		if e == nil {
			return nil, fmt.Errorf("the archive has no %s", wheelRoot+name)
		}
		plan[path.Join("lib", name)] = e
	}
	for queue := slices.Clone(wheelHeaders); len(queue) > 0; queue = queue[1:] {
		to := path.Join("include", queue[0])
		if plan[to] != nil {
			continue
		}
		e := entries[wheelInclude+queue[0]]
		if e == nil {
			return nil, fmt.Errorf("the archive has no %s", wheelInclude+queue[0])
		}
		plan[to] = e
		included, err := includes(e)
		if err != nil {
			return nil, err
		}
		for _, name := range included {
			if entries[wheelInclude+name] != nil { // others are the C library's own
				queue = append(queue, name)
			}
		}
	}
	return plan, nil
}

var includeLine = regexp.MustCompile(`(?m)^\s*#\s*include\s+["<]([^">]+)[">]`)

func includes(e *zip.File) ([]string, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, 4<<20))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	var names []string
	for _, m := range includeLine.FindAllSubmatch(text, -1) {
		names = append(names, string(m[1]))
	}
	return names, nil
}

type unpacker struct {
	ctx         context.Context
	dir         string
	done, total int64
	progress    Progress
	manifest    manifest
}

// write unpacks one entry; the zip reader checks its CRC and its size.
func (u *unpacker) write(to string, e *zip.File) error {
	target := filepath.Join(u.dir, filepath.FromSlash(to))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	c := &counter{ctx: u.ctx, r: io.LimitReader(r, maxEntryBytes), done: u.done, total: u.total, stage: "unpack", progress: u.progress}
	n, err := io.Copy(f, c)
	u.done += n
	u.manifest.Files[to] = n
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	return nil
}

// finish adds the links and the manifest and syncs every directory.
func (u *unpacker) finish() error {
	for name, target := range libraryLinks {
		if err := os.Symlink(target, filepath.Join(u.dir, "lib", name)); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(u.manifest, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(u.dir, "manifest.json"), text, 0o644); err != nil {
		return err
	}
	return filepath.WalkDir(u.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = durable.SyncDir(path)
		}
		return err
	})
}

// verifyManifest checks an unpacked library cheaply: each file there, each of
// its size. errAbsent where there is none, errDamaged where it is not whole.
func verifyManifest(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if errors.Is(err, fs.ErrNotExist) {
		if isDir(dir) {
			return fmt.Errorf("%w: it has no manifest.json", errDamaged)
		}
		return errAbsent
	}
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil || m.Version != Version || len(m.Files) < len(wheelLibraries)+len(wheelHeaders) {
		return fmt.Errorf("%w: its manifest.json is not that of %s", errDamaged, Version)
	}
	for name, size := range m.Files {
		if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil || info.Size() != size {
			return fmt.Errorf("%w: %s is not as it was unpacked", errDamaged, name)
		}
	}
	for name := range libraryLinks {
		if !isFile(filepath.Join(dir, "lib", name)) {
			return fmt.Errorf("%w: lib/%s is not there", errDamaged, name)
		}
	}
	return nil
}
