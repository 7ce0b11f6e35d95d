package tfevents

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	summarypb "github.com/wamuir/graft/tensorflow/core/framework/summary_go_proto"
	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	eventpb "github.com/wamuir/graft/tensorflow/core/util/event_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/tfrecord"
)

// Options configures a Writer; the zero value is the default.
type Options struct {
	SyncEvery time.Duration    // at most so long until written events are on the disk; default 2 min
	Now       func() time.Time // the wall clock of events and file name; default time.Now
}

// Writer appends events to one file. It may be used by several goroutines.
type Writer struct {
	mu     sync.Mutex
	file   *os.File
	out    *tfrecord.Writer
	synced time.Time
	o      Options
}

// Create begins a new event file in dir, which is created where it is missing.
func Create(dir string, o Options) (*Writer, error) {
	if o.SyncEvery == 0 {
		o.SyncEvery = 2 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("tfevents: %w", err)
	}
	f, err := createNew(dir, o.Now())
	if err != nil {
		return nil, fmt.Errorf("tfevents: %w", err)
	}
	w := &Writer{file: f, out: tfrecord.NewWriter(f), synced: o.Now(), o: o}
	if err := w.write(&eventpb.Event{What: &eventpb.Event_FileVersion{FileVersion: "brain.Event:2"}}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return w, nil
}

// createNew takes the first free name, so that two writers of one process and
// second do not share a file.
func createNew(dir string, now time.Time) (*os.File, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	for n := 0; ; n++ {
		name := fmt.Sprintf("events.out.tfevents.%010d.%s.%d.%d", now.Unix(), host, os.Getpid(), n)
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if !errors.Is(err, os.ErrExist) {
			return f, err
		}
	}
}

// Path returns the event file's path.
func (w *Writer) Path() string { return w.file.Name() }

// Scalars writes one number under each tag. NaN and infinities are written too:
// TensorBoard marks them.
func (w *Writer) Scalars(step int64, values map[string]float64) error {
	s := &summarypb.Summary{}
	for _, tag := range slices.Sorted(maps.Keys(values)) {
		s.Value = append(s.Value, &summarypb.Summary_Value{
			Tag: tag, Value: &summarypb.Summary_Value_SimpleValue{SimpleValue: float32(values[tag])},
		})
	}
	return w.summary(step, s.Value...)
}

// Image writes a picture, as PNG.
func (w *Writer) Image(step int64, tag string, img image.Image) error {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return fmt.Errorf("tfevents: image %s: %w", tag, err)
	}
	size := img.Bounds().Size()
	return w.summary(step, &summarypb.Summary_Value{Tag: tag, Value: &summarypb.Summary_Value_Image{Image: &summarypb.Summary_Image{
		Height: int32(size.Y), Width: int32(size.X), Colorspace: 4, EncodedImageString: b.Bytes(), // 4: RGBA
	}}})
}

// Text writes a text, which TensorBoard shows as Markdown.
func (w *Writer) Text(step int64, tag, markdown string) error {
	return w.summary(step, &summarypb.Summary_Value{
		Tag:      tag,
		Metadata: &summarypb.SummaryMetadata{PluginData: &summarypb.SummaryMetadata_PluginData{PluginName: "text"}},
		Value: &summarypb.Summary_Value_Tensor{Tensor: &tensorpb.TensorProto{
			Dtype: typespb.DataType_DT_STRING, TensorShape: &shapepb.TensorShapeProto{}, StringVal: [][]byte{[]byte(markdown)},
		}},
	})
}

// Histogram writes the distribution of values. NaN and infinities have no place
// in a histogram and are left out of it; where nothing is left, nothing is
// written.
func (w *Writer) Histogram(step int64, tag string, values []float64) error {
	h := histogram(values)
	if h == nil {
		return nil
	}
	return w.summary(step, &summarypb.Summary_Value{Tag: tag, Value: &summarypb.Summary_Value_Histo{Histo: h}})
}

func (w *Writer) summary(step int64, values ...*summarypb.Summary_Value) error {
	return w.write(&eventpb.Event{Step: step, What: &eventpb.Event_Summary{Summary: &summarypb.Summary{Value: values}}})
}

func (w *Writer) write(e *eventpb.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.o.Now()
	e.WallTime = float64(now.UnixNano()) / 1e9
	b, err := proto.Marshal(e)
	if err == nil {
		err = w.out.Write(b)
	}
	if err == nil && now.Sub(w.synced) >= w.o.SyncEvery {
		w.synced, err = now, w.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("tfevents: %s: %w", w.file.Name(), err)
	}
	return nil
}

// Close flushes the file to the disk and closes it.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := errors.Join(w.file.Sync(), w.file.Close()); err != nil {
		return fmt.Errorf("tfevents: %w", err)
	}
	return nil
}
