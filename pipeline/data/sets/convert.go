package sets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/gofrs/flock"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// Sentinels of a conversion.
var (
	ErrInUse   = errors.New("in use by another process")
	ErrOther   = errors.New("holds another conversion")
	errTooLong = errors.New("file is longer than allowed")
)

// Conversion says how images become record files. Zero means the default.
type Conversion struct {
	Out              string // directory of the record files; required
	TrainShards      int    // default 1,024 for ImageNet, otherwise one for each 1,000 images
	ValidationShards int    // default 128 for ImageNet, otherwise one for each 1,000 images
	Seed             uint64 // of the order of the examples in the shards; default 12345, as slim's converter
	Workers          int    // shards written at once; default one a core
	SkipLimit        int    // bad images that may be left out (policy "skip"); 0: the first ends the conversion ("fail")
	MaxPixels        int64  // that an image may declare; default 50 million
	MaxFileBytes     int64  // of one image file; default 64 MiB
	Log              zerolog.Logger
	Progress         func(Progress) // images; never called twice at the same time
}

func (c Conversion) orDefault() Conversion {
	if c.Seed == 0 {
		c.Seed = 12345
	}
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.MaxFileBytes == 0 {
		c.MaxFileBytes = 64 << 20
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	return c
}

// item is one image to be converted.
type item struct {
	found
	number int64  // in its source, from 0
	class  int    // index into the plan's classes
	scene  *scene // of a detection set: what is on the image, instead of its class
}

// classes returns what the image counts for.
func (it item) classes() []int {
	if it.scene == nil {
		return []int{it.class}
	}
	return it.scene.classes
}

// plan is all that a conversion has to do, found out before it begins.
type plan struct {
	kind        string
	labelOffset int64
	classes     []Class
	categories  []Category // of a detection set, one for each class
	bad         []Bad      // of a detection set: left out while planning
	splits      []splitPlan
	passedOver  int
	jpegOnly    bool
}

type splitPlan struct {
	name, source string
	items        []item
	shards       int
}

// arrange puts the examples of each split into their final order and fixes the
// number of shards.
func (p *plan) arrange(c Conversion, shards map[string]int) {
	for i := range p.splits {
		s := &p.splits[i]
		r := rand.New(rand.NewPCG(c.Seed, uint64(i)))
		r.Shuffle(len(s.items), func(a, b int) { s.items[a], s.items[b] = s.items[b], s.items[a] })
		s.shards = shards[s.name]
		if s.shards == 0 {
			s.shards = (len(s.items) + 999) / 1000
		}
		s.shards = max(1, min(s.shards, len(s.items)))
	}
}

// digest identifies a plan, so that a conversion is only resumed by its like.
func (p plan) digest(c Conversion) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d %v %d %d %d %v\n", p.kind, p.labelOffset, p.jpegOnly, c.Seed, c.MaxPixels, c.MaxFileBytes, p.classes)
	if len(p.categories) > 0 {
		fmt.Fprintf(h, "categories %v\n", p.categories)
	}
	for _, s := range p.splits {
		fmt.Fprintf(h, "split %s %d\n", s.name, s.shards)
		for _, it := range s.items {
			fmt.Fprintf(h, "%q %q %d %d %d\n", it.dirs, it.rel, it.class, it.at.offset, it.at.size)
			if it.scene != nil {
				fmt.Fprintln(h, *it.scene)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// converter runs one conversion.
type converter struct {
	Conversion
	plan   plan
	state  string // directory of what a resumed conversion needs
	read   *reader
	recode recoder
	tally  *tfrecord.Tally

	mu          sync.Mutex // guards done and calls of Progress
	done, total int64
}

// run writes all shards of the plan, those that an interrupted conversion has
// finished excepted, and then the manifest.
func (c Conversion) run(ctx context.Context, p plan) (Manifest, error) {
	guard, err := c.lock()
	if err != nil {
		return Manifest{}, err
	}
	defer guard.Close()
	return c.locked(ctx, p)
}

// lock keeps other processes out of the directory until it is closed.
func (c Conversion) lock() (io.Closer, error) {
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return nil, fmt.Errorf("sets: %w", err)
	}
	guard := flock.New(filepath.Join(c.Out, ".lock"))
	if got, err := guard.TryLock(); err != nil || !got {
		return nil, errors.Join(fmt.Errorf("sets: %s: %w", c.Out, ErrInUse), err)
	}
	return guard, nil
}

// locked is run for who has the lock.
func (c Conversion) locked(ctx context.Context, p plan) (Manifest, error) {
	digest := p.digest(c)
	if m, err := LoadManifest(c.Out); err == nil || !errors.Is(err, ErrUnfinished) {
		if err == nil && m.Plan != digest {
			err = fmt.Errorf("sets: %s: %w; name another directory, or remove this one", c.Out, ErrOther)
		}
		return m, err // converted before
	}
	v := &converter{
		Conversion: c, plan: p, state: filepath.Join(c.Out, ".convert"),
		read: newReader(c.MaxFileBytes), recode: recoder{p.jpegOnly, c.MaxPixels}, tally: &tfrecord.Tally{Limit: c.SkipLimit},
	}
	defer v.read.close()
	if err := v.recount(p.bad); err != nil {
		return Manifest{}, err
	}
	if err := v.claim(digest); err != nil {
		return Manifest{}, err
	}
	results, err := v.shards(ctx)
	if err != nil {
		return Manifest{}, err
	}
	m := v.manifest(digest, results)
	if err := writeJSON(filepath.Join(c.Out, manifestName), m); err != nil {
		return Manifest{}, err
	}
	return m, os.RemoveAll(v.state)
}

// claim marks the directory as being converted by this plan.
func (v *converter) claim(digest string) error {
	resumed, err := v.mark(filepath.Join(v.state, "plan.json"), digest)
	if resumed {
		v.Log.Info().Str("out", v.Out).Msg("resuming the conversion")
	}
	return err
}

// mark writes a digest into a file, or compares it with what is there.
func (c Conversion) mark(path, digest string) (there bool, err error) {
	var before string
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &before)
	}
	switch {
	case err == nil && before == digest:
		return true, nil
	case err == nil:
		return false, fmt.Errorf("sets: %s: %w; name another directory, or remove this one", c.Out, ErrOther)
	case !errors.Is(err, os.ErrNotExist):
		return false, fmt.Errorf("sets: %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("sets: %w", err)
	}
	return false, writeJSON(path, digest)
}

// shards writes every shard and returns what came of each, by split.
func (v *converter) shards(ctx context.Context) ([][]shardResult, error) {
	results := make([][]shardResult, len(v.plan.splits))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(v.Workers)
	for _, s := range v.plan.splits {
		v.total += int64(len(s.items))
	}
	for i, s := range v.plan.splits {
		results[i] = make([]shardResult, s.shards)
		for k := range s.shards {
			g.Go(func() error {
				r, err := v.shard(ctx, s, k)
				results[i][k] = r
				return err
			})
		}
	}
	return results, g.Wait()
}

// advance counts images that are dealt with.
func (v *converter) advance(n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done += n
	v.Progress(Progress{"convert", v.done, v.total, "images"})
}

// manifest sums the shards up.
func (v *converter) manifest(digest string, results [][]shardResult) Manifest {
	m := Manifest{
		Kind: v.plan.kind, Plan: digest, Seed: v.Seed, LabelOffset: v.plan.labelOffset, Classes: v.plan.classes, Categories: v.plan.categories,
		Reencoded: []Reencoded{}, Bad: append([]Bad{}, v.plan.bad...), PassedOver: v.plan.passedOver,
	}
	for i, s := range v.plan.splits {
		split := Split{Name: s.name, Source: s.source, Counts: make([]int64, len(m.Classes)), Formats: map[string]int64{}}
		for _, r := range results[i] {
			split.Shards = append(split.Shards, r.Shard)
			split.Examples += r.Examples
			for class, n := range r.Counts {
				split.Counts[class] += n
			}
			for format, n := range r.Formats {
				split.Formats[format] += n
			}
			m.Reencoded = append(m.Reencoded, r.Reencoded...)
			m.Bad = append(m.Bad, r.Bad...)
		}
		m.Splits = append(m.Splits, split)
	}
	for _, b := range m.Bad {
		if b.Kind != "" {
			m.Faults = m.Faults.With(coco.Kind(b.Kind))
		}
	}
	return m
}
