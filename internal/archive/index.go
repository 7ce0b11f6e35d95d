package archive

import (
	"archive/tar"
	"fmt"
	"io"
	"strings"
)

// Region is where one plain file lies in a tar that is not compressed.
type Region struct {
	Entry
	Offset int64 // of the file's first byte, from the begin of the tar
}

// Index lists the plain files of a tar of size bytes without reading them, so
// that they can be read later in any order and by many goroutines at once. The
// same entries are refused as by WalkTar.
func Index(r io.ReaderAt, size int64, l Limits) ([]Region, error) {
	section := io.NewSectionReader(r, 0, size) // seekable: the tar reader skips contents for nothing
	t := tar.NewReader(section)
	gate := gate{limits: l.orDefault()}
	var found []Region
	for {
		h, err := t.Next()
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, corrupt(err)
		}
		if err := gate.admit(h); err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				return nil, fmt.Errorf("archive: %q is stored with holes: %w", h.Name, ErrUnsafe)
			}
		}
		at, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, corrupt(err)
		}
		if at+h.Size > size {
			return nil, fmt.Errorf("archive: %q declares %d bytes, the archive ends after %d: %w", h.Name, h.Size, size-at, ErrCorrupt)
		}
		found = append(found, Region{Entry{h.Name, h.Size}, at})
	}
}
