package bundle

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"
)

// ErrDamaged is in the chain of every error that says that a checkpoint's
// files are cut, changed or do not belong together.
var ErrDamaged = errors.New("the checkpoint is damaged")

// ErrAbsent is in the chain of the error for a name that a checkpoint lacks.
var ErrAbsent = errors.New("no such tensor in the checkpoint")

// maxIndex bounds the size of an index, in bytes: a network of ten thousand
// variables has about one megabyte.
const maxIndex = 256 << 20

// Entry describes a tensor.
type Entry struct {
	Name  string
	DType typespb.DataType
	Shape []int64 // a scalar has none
	Size  int64   // bytes in the data file
	// Sliced entries stand for a variable that was saved in parts: its bytes
	// are those of other entries.
	Sliced bool

	shard  int32
	offset int64
	crc    uint32 // masked
}

// Elements is the product of the shape.
func (e Entry) Elements() int64 {
	n := int64(1)
	for _, d := range e.Shape {
		n *= d
	}
	return n
}

// Bundle is a checkpoint whose index has been read.
type Bundle struct {
	prefix  string
	shards  int32
	entries []Entry
	byName  map[string]int
}

// Open reads the index of the checkpoint PREFIX.index, PREFIX.data-*. Its data
// is not looked at: see [Bundle.Verify].
func Open(prefix string) (*Bundle, error) {
	path := prefix + ".index"
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if info.Size() > maxIndex {
		return nil, fmt.Errorf("bundle: %s has %d bytes, more than an index can have: %w", path, info.Size(), ErrDamaged)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	b, err := parse(file)
	if err != nil {
		return nil, fmt.Errorf("bundle: %s: %w", path, err)
	}
	b.prefix = prefix
	return b, nil
}

// parse reads an index file.
func parse(file []byte) (*Bundle, error) {
	b := &Bundle{byName: map[string]int{}}
	headed := false
	err := readTable(file, func(key, value []byte) error {
		if !headed {
			headed = true
			return b.header(string(key), value)
		}
		return b.entry(string(key), value)
	})
	if err == nil && !headed {
		err = fmt.Errorf("the index is empty: %w", ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (b *Bundle) header(key string, value []byte) error {
	var h corepb.BundleHeaderProto
	if err := proto.Unmarshal(value, &h); err != nil || key != "" {
		return fmt.Errorf("the index does not begin with its header: %w", ErrDamaged)
	}
	if h.NumShards < 1 {
		return fmt.Errorf("%d data files: %w", h.NumShards, ErrDamaged)
	}
	if h.Endianness != corepb.BundleHeaderProto_LITTLE {
		return fmt.Errorf("the data is big-endian, which is not read here")
	}
	b.shards = h.NumShards
	return nil
}

func (b *Bundle) entry(name string, value []byte) error {
	var p corepb.BundleEntryProto
	if err := proto.Unmarshal(value, &p); err != nil {
		return fmt.Errorf("entry %q: %w", name, ErrDamaged)
	}
	e := Entry{Name: name, DType: p.Dtype, Size: p.Size, Sliced: len(p.Slices) > 0, shard: p.ShardId, offset: p.Offset, crc: p.Crc32C}
	for _, d := range p.GetShape().GetDim() {
		e.Shape = append(e.Shape, d.Size)
	}
	if err := e.check(b.shards); err != nil {
		return fmt.Errorf("entry %q: %w", name, err)
	}
	if _, twice := b.byName[name]; twice {
		return fmt.Errorf("entry %q stands there twice: %w", name, ErrDamaged)
	}
	b.byName[name] = len(b.entries)
	b.entries = append(b.entries, e)
	return nil
}

// check holds an entry against itself: shape, size and place must agree.
func (e Entry) check(shards int32) error {
	if e.shard < 0 || e.shard >= shards || e.offset < 0 || e.Size < 0 {
		return fmt.Errorf("data file %d, offset %d, size %d: %w", e.shard, e.offset, e.Size, ErrDamaged)
	}
	width, fixed := widths[e.DType]
	n := max(width, 1)
	for _, d := range e.Shape {
		if d < 0 || d > 0 && n > (1<<62)/d {
			return fmt.Errorf("shape %v: %w", e.Shape, ErrDamaged)
		}
		n *= d
	}
	if fixed && !e.Sliced && n != e.Size {
		return fmt.Errorf("shape %v of %s needs %d bytes and has %d: %w", e.Shape, e.DType, n, e.Size, ErrDamaged)
	}
	return nil
}

// Entries returns all entries, sorted by name.
func (b *Bundle) Entries() []Entry { return b.entries }

// Lookup returns the named entry.
func (b *Bundle) Lookup(name string) (Entry, bool) {
	i, ok := b.byName[name]
	if !ok {
		return Entry{}, false
	}
	return b.entries[i], true
}

// Read returns the named tensor's bytes, little-endian and row-major, its
// checksum checked.
func (b *Bundle) Read(name string) ([]byte, error) {
	e, ok := b.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("bundle: %s: %s: %w", b.prefix, name, ErrAbsent)
	}
	if e.Sliced {
		return nil, fmt.Errorf("bundle: %s: %s was saved in slices, which are not put together here", b.prefix, name)
	}
	d := &dataFiles{b: b}
	defer d.close()
	return d.read(e, nil)
}

// Verify reads every tensor and checks its checksum.
func (b *Bundle) Verify() error {
	return b.Each(func(Entry, []byte) error { return nil })
}

// Each reads every tensor, in the order of names, checks its checksum and
// calls visit. The bytes are valid only during the call.
func (b *Bundle) Each(visit func(e Entry, data []byte) error) error {
	d := &dataFiles{b: b}
	defer d.close()
	var buf []byte
	for _, e := range b.entries {
		if e.Sliced {
			continue
		}
		var err error
		if buf, err = d.read(e, buf); err != nil {
			return err
		}
		if err := visit(e, buf); err != nil {
			return err
		}
	}
	return nil
}

// dataFiles opens a bundle's data files as they are needed.
type dataFiles struct {
	b    *Bundle
	open map[int32]*os.File
}

func (d *dataFiles) close() {
	for _, f := range d.open {
		f.Close() // opened for reading
	}
}

func (d *dataFiles) file(shard int32) (*os.File, error) {
	if f := d.open[shard]; f != nil {
		return f, nil
	}
	f, err := os.Open(fmt.Sprintf("%s.data-%05d-of-%05d", d.b.prefix, shard, d.b.shards))
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if d.open == nil {
		d.open = map[int32]*os.File{}
	}
	d.open[shard] = f
	return f, nil
}

// read fills buf, grown if need be, with an entry's bytes.
func (d *dataFiles) read(e Entry, buf []byte) ([]byte, error) {
	f, err := d.file(e.shard)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if size := info.Size(); e.offset > size || e.Size > size-e.offset {
		return nil, fmt.Errorf("bundle: %s ends at byte %d, before the %d bytes of %s at %d: %w", f.Name(), size, e.Size, e.Name, e.offset, ErrDamaged)
	}
	if int64(cap(buf)) < e.Size {
		buf = make([]byte, e.Size)
	}
	buf = buf[:e.Size]
	if _, err := f.ReadAt(buf, e.offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("bundle: %s: %w", e.Name, err)
	}
	if err := checksum(e, buf); err != nil {
		return nil, fmt.Errorf("bundle: %s: %s: %w", f.Name(), e.Name, err)
	}
	return buf, nil
}

func checksum(e Entry, data []byte) error {
	crc := crc32.Checksum(data, castagnoli)
	if e.DType == typespb.DataType_DT_STRING {
		_, sum, err := splitStrings(data, e.Elements())
		if err != nil {
			return err
		}
		crc = sum
	}
	if mask(crc) != e.crc {
		return fmt.Errorf("the checksum does not match: %w", ErrDamaged)
	}
	return nil
}
