package sets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// VerifyOptions says how hard to look. Zero means the default.
type VerifyOptions struct {
	SkipLimit int   // faults to go on after; 0: end at the first
	Decode    bool  // decode every image, instead of its structure only: about 10 ms an image and core
	Classes   int   // how many classes there may be where no manifest says it; 0: any label from 0
	MaxPixels int64 // that an image may declare; default 50 million
	Workers   int   // files read at once; default one a core
	Progress  func(Progress)
}

// Report is what a directory of record files holds.
type Report struct {
	Manifest bool              `json:"manifest"` // whether it was made by a converter of ours, and compared with its manifest
	Splits   []SplitReport     `json:"splits"`
	Faults   []*tfrecord.Fault `json:"-"`        // broken records, stepped over
	Problems []string          `json:"problems"` // all else that is wrong: missing files, wrong hashes, wrong counts
}

// SplitReport is what the files of one split hold.
type SplitReport struct {
	Name     string           `json:"name"`
	Files    int              `json:"files"`
	Examples int64            `json:"examples"`
	Objects  int64            `json:"objects,omitempty"` // of a detection set
	Labels   map[int64]int64  `json:"labels"`            // examples, in a detection set objects, of each label as stored
	Formats  map[string]int64 `json:"formats"`           // by what the bytes are
}

// OK tells whether nothing is wrong.
func (r Report) OK() bool { return len(r.Faults) == 0 && len(r.Problems) == 0 }

var shardName = regexp.MustCompile(`^(.+)-(\d{5})-of-(\d{5})$`)

// Verify reads every record of a directory, whoever wrote it: checksums, keys
// (slim's, those of TensorFlow Datasets or of the Object Detection API), labels
// in their range, boxes within their image, images whole and of a sane size. Where there is a manifest, hashes and counts must be its
// own. A fault names file, record and byte.
func Verify(ctx context.Context, dir string, o VerifyOptions) (Report, error) {
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	manifest, err := LoadManifest(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Report{}, err
	}
	v := &verifier{VerifyOptions: o, dir: dir, tally: &tfrecord.Tally{Limit: o.SkipLimit}, splits: map[string]*SplitReport{}, least: 0, most: -1}
	if err == nil {
		v.report.Manifest, v.manifest = true, &manifest
		v.least, v.most = manifest.LabelOffset, manifest.LabelOffset+int64(len(manifest.Classes))-1
		v.categories = map[int64]string{}
		for _, c := range manifest.Categories {
			v.categories[c.Label] = c.Name
		}
	} else if o.Classes > 0 {
		v.most = int64(o.Classes) // slim's labels reach it, with 0 for the background
	}
	files, err := v.files()
	if err != nil {
		return Report{}, err
	}
	err = v.scan(ctx, files)
	v.finish(err == nil)
	if err != nil {
		err = fmt.Errorf("sets: verify: %w", err)
	}
	return v.report, err
}

type verifier struct {
	VerifyOptions
	dir         string
	manifest    *Manifest        // nil: none
	least, most int64            // of labels; most -1: no limit
	categories  map[int64]string // names by label, where the manifest is that of a detection set
	tally       *tfrecord.Tally
	report      Report

	known      map[string][]int64 // faults that are passed over
	classified bool               // only records with one label count
	boxed      bool               // only records with boxes do, each with its label

	mu     sync.Mutex // guards splits, the problems, done and calls of Progress
	splits map[string]*SplitReport
	done   int64
}

// files lists the shards that are there, and notes those that are not.
func (v *verifier) files() ([]string, error) {
	entries, err := os.ReadDir(v.dir)
	if err != nil {
		return nil, fmt.Errorf("sets: verify: %w", err)
	}
	var files []string
	missing := map[string]bool{}
	for _, e := range entries {
		m := shardName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		files = append(files, e.Name())
		of, _ := strconv.Atoi(m[3]) // five digits
		for k := range of {
			missing[fmt.Sprintf("%s-%05d-of-%s", m[1], k, m[3])] = true
		}
	}
	if v.manifest != nil {
		for _, s := range v.manifest.Splits {
			for _, shard := range s.Shards {
				missing[shard.File] = true
			}
		}
	}
	if len(missing) == 0 {
		return nil, fmt.Errorf("sets: verify: %s holds no record files (NAME-00000-of-00001): %w", v.dir, ErrMissing)
	}
	for _, f := range files {
		delete(missing, f)
	}
	for f := range missing {
		v.problem("%s is missing", f)
	}
	return files, nil
}

func (v *verifier) problem(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Problems = append(v.report.Problems, fmt.Sprintf(format, args...))
}

func (v *verifier) scan(ctx context.Context, files []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(v.Workers)
	for _, name := range files {
		g.Go(func() error {
			if err := v.file(ctx, name); err != nil {
				return err
			}
			v.mu.Lock()
			defer v.mu.Unlock()
			v.done++
			v.Progress(Progress{"verify", v.done, int64(len(files)), "files"})
			return nil
		})
	}
	return g.Wait()
}

// file checks one shard.
func (v *verifier) file(ctx context.Context, name string) error {
	path := name
	if v.dir != "" {
		path = filepath.Join(v.dir, name)
	}
	if want, ok := v.expected(name); ok {
		sum, err := fileSHA256(path)
		if err != nil {
			return err
		}
		if sum != want.SHA256 {
			v.problem("%s: SHA-256 is %s, the manifest says %s", name, sum, want.SHA256)
		}
	}
	part := SplitReport{Files: 1, Labels: map[int64]int64{}, Formats: map[string]int64{}}
	err := tfrecord.Scan(path, v.tally, func(record, offset int64, data []byte) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if slices.Contains(v.known[path], offset) {
			return nil
		}
		c, format, err := v.example(data)
		if err == nil && v.classified && c.detection {
			err = fmt.Errorf("%s: %w", c.Filename, errNoLabel)
		}
		if err == nil && v.boxed {
			err = v.boxes(c)
		}
		if err != nil {
			return &tfrecord.Fault{File: path, Record: record, Offset: offset, Err: err}
		}
		part.Examples++
		part.Objects += int64(len(c.objects))
		for _, label := range c.labels() {
			part.Labels[label]++
		}
		part.Formats[format]++
		return nil
	})
	if m := shardName.FindStringSubmatch(name); m != nil {
		v.add(m[1], part)
	}
	return err
}

func (v *verifier) expected(name string) (Shard, bool) {
	if v.manifest == nil {
		return Shard{}, false
	}
	for _, s := range v.manifest.Splits {
		if i := slices.IndexFunc(s.Shards, func(shard Shard) bool { return shard.File == name }); i >= 0 {
			return s.Shards[i], true
		}
	}
	v.problem("%s is not in the manifest", name)
	return Shard{}, false
}

func (v *verifier) add(split string, part SplitReport) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.splits[split]
	if s == nil {
		s = &SplitReport{Name: split, Labels: map[int64]int64{}, Formats: map[string]int64{}}
		v.splits[split] = s
	}
	s.Files += part.Files
	s.Examples += part.Examples
	s.Objects += part.Objects
	for label, n := range part.Labels {
		s.Labels[label] += n
	}
	for format, n := range part.Formats {
		s.Formats[format] += n
	}
}

// finish orders the report and, where all was read, compares its counts with
// the manifest's.
func (v *verifier) finish(whole bool) {
	for _, s := range v.splits {
		v.report.Splits = append(v.report.Splits, *s)
	}
	slices.SortFunc(v.report.Splits, func(a, b SplitReport) int { return strings.Compare(a.Name, b.Name) })
	v.report.Faults = v.tally.Faults()
	if v.manifest != nil && whole {
		for _, s := range v.report.Splits {
			v.compare(s)
		}
	}
	slices.Sort(v.report.Problems)
}

func (v *verifier) compare(got SplitReport) {
	want, ok := v.manifest.Split(got.Name)
	if !ok {
		v.problem("the manifest knows no split %s", got.Name)
		return
	}
	var wrong []string
	for class, n := range want.Counts {
		if have := got.Labels[v.manifest.label(class)]; have != n {
			wrong = append(wrong, fmt.Sprintf("%d of %s, the manifest says %d", have, v.manifest.Classes[class].Name, n))
		}
	}
	for _, text := range wrong[:min(listedClasses, len(wrong))] {
		v.problem("%s: %s", got.Name, text)
	}
	if more := len(wrong) - listedClasses; more > 0 {
		v.problem("%s: and %d classes more with other counts than the manifest's", got.Name, more)
	}
}

// listedClasses is of how many classes a wrong count is told: a lost file changes
// that of hundreds.
const listedClasses = 10
