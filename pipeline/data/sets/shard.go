package sets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nasnet-go/nasnet/internal/durable"
	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// shardResult is what the manifest needs to know of a finished shard. It is
// kept beside the conversion until the manifest is written.
type shardResult struct {
	Shard
	Counts    map[int]int64    `json:"counts"` // by class
	Formats   map[string]int64 `json:"formats"`
	Reencoded []Reencoded      `json:"reencoded"`
	Bad       []Bad            `json:"bad"`
}

// shard writes shard k of a split, or takes it over from an interrupted
// conversion. The file gets its name when it is whole, its result is written
// after that: a shard without result is written again.
func (v *converter) shard(ctx context.Context, s splitPlan, k int) (shardResult, error) {
	name := fmt.Sprintf("%s-%05d-of-%05d", s.name, k, s.shards)
	items := s.items[k*len(s.items)/s.shards : (k+1)*len(s.items)/s.shards]
	note := filepath.Join(v.state, name+".json")
	if r, ok := v.finished(note); ok {
		v.advance(int64(len(items)))
		return r, v.recount(r.Bad)
	}
	r := shardResult{Shard: Shard{File: name}, Counts: map[int]int64{}, Formats: map[string]int64{}}
	temp := filepath.Join(v.state, name+".tmp")
	hash := sha256.New()
	err := writeSynced(temp, func(w io.Writer) error {
		return v.fill(ctx, tfrecord.NewWriter(io.MultiWriter(w, hash)), items, &r)
	})
	if err != nil {
		return r, errors.Join(fmt.Errorf("sets: %s: %w", name, err), os.Remove(temp))
	}
	r.SHA256 = hex.EncodeToString(hash.Sum(nil))
	if err := durable.Rename(temp, filepath.Join(v.Out, name)); err != nil {
		return r, err
	}
	return r, writeJSON(note, r)
}

// finished reads the result of a shard that was written before.
func (v *converter) finished(note string) (r shardResult, ok bool) {
	data, err := os.ReadFile(note)
	if err != nil || json.Unmarshal(data, &r) != nil {
		return shardResult{}, false
	}
	info, err := os.Stat(filepath.Join(v.Out, r.File))
	return r, err == nil && info.Size() == r.Bytes
}

// recount puts what was left out before against the limit.
func (v *converter) recount(bad []Bad) error {
	for _, b := range bad {
		if err := v.tally.Take(&tfrecord.Fault{File: b.File, Record: b.Record, Offset: b.Offset, Err: errors.New(b.Reason)}); err != nil {
			return err
		}
	}
	return nil
}

// fill writes the examples of a shard.
func (v *converter) fill(ctx context.Context, w *tfrecord.Writer, items []item, r *shardResult) error {
	for _, it := range items {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e, format, why, err := v.example(it)
		if disk := (*fs.PathError)(nil); errors.As(err, &disk) {
			return err
		}
		if err != nil {
			fault := &tfrecord.Fault{File: it.at.String(), Record: it.number, Offset: it.at.offset, Err: err}
			if err := v.tally.Take(fault); err != nil {
				return err
			}
			r.Bad = append(r.Bad, Bad{fault.File, fault.Record, fault.Offset, err.Error(), it.kindOfFault()})
			v.advance(1)
			continue
		}
		data, err := e.Marshal()
		if err == nil {
			err = w.Write(data)
		}
		if err != nil {
			return err
		}
		if why != "" {
			r.Reencoded = append(r.Reencoded, Reencoded{it.at.String(), why})
		}
		for _, class := range it.classes() {
			r.Counts[class]++
		}
		r.Formats[format]++
		v.advance(1)
	}
	r.Examples, r.Bytes = w.Records(), w.Bytes()
	return nil
}

// marshaler is an Example or a Labelled.
type marshaler interface{ Marshal() ([]byte, error) }

// example makes the example of one image; why says what it was if it had to be
// encoded anew.
func (v *converter) example(it item) (e marshaler, format, why string, err error) {
	data, err := v.read.read(it.at)
	if err != nil {
		return nil, "", "", err
	}
	data, info, why, err := v.recode.recode(data)
	if err != nil {
		return nil, "", "", err
	}
	if it.scene != nil {
		e, err := it.scene.example(v.plan.categories, data, info)
		return e, info.Format, why, err
	}
	class := v.plan.classes[it.class]
	filename := it.name
	if v.plan.kind == kindFolder {
		filename = it.rel
	}
	return Example{
		Encoded: data, Format: info.Format, Height: info.Height, Width: info.Width, Filename: filename,
		Label: int64(it.class) + v.plan.labelOffset, Synset: class.Name, Text: class.Text,
	}, info.Format, why, nil
}
