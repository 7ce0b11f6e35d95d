package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	tensorpb "github.com/wamuir/graft/tensorflow/core/framework/tensor_go_proto"
	shapepb "github.com/wamuir/graft/tensorflow/core/framework/tensor_shape_go_proto"
	typespb "github.com/wamuir/graft/tensorflow/core/framework/types_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"

	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/term"
	"github.com/nasnet-go/nasnet/savedmodel/serving"
)

// serveBench is what is timed.
type serveBench struct {
	model    string // a version's directory
	batch    int
	callers  int // of batches
	clients  int // of single images
	rounds   int
	seconds  float64 // of a measurement
	batching []string
	pause    time.Duration // of a soak's clients, between requests
	images   [][]byte
	shape    []int64 // of one float image
	floats   *servingpb.PredictRequest
}

// serveRow is one way of asking.
type serveRow struct {
	By       string    `json:"by"`
	Batch    int       `json:"batch"`
	Clients  int       `json:"clients"`
	Rate     float64   `json:"images_per_second"` // median of the rounds
	Rates    []float64 `json:"images_per_second_all"`
	Ratio    float64   `json:"ratio,omitempty"`  // over the row it is set against: the bare session, or single images without batching
	CPU      float64   `json:"cpu_ms_per_image"` // of the server's processes or the session's, not of the client; median
	CPUs     []float64 `json:"cpu_ms_per_image_all"`
	CPURatio float64   `json:"cpu_ratio,omitempty"` // of the other row's over this
	P50      float64   `json:"p50_ms,omitempty"`
	P99      float64   `json:"p99_ms,omitempty"`

	against string
	times   []float64
	run     func(ctx context.Context) (servedLoad, error)
}

// servedLoad is one measurement.
type servedLoad struct {
	rate  float64   // images a second
	cpu   float64   // milliseconds an image
	times []float64 // milliseconds of each request
}

func (a *app) benchServeCommand() *cobra.Command {
	b := serveBench{}
	var soak time.Duration
	var images string
	c := &cobra.Command{
		Use: "serve", Short: "Images a second of a server beside the bare session, with and without batching", Args: cobra.NoArgs,
		Long: "Time `nasnet serve` on a SavedModel that `nasnet export` wrote: batches of encoded images over REST and gRPC and of\n" +
			"float32 over gRPC, beside the same runs of a session without a server; and single images from many clients, with and\n" +
			"without batching. By turns; medians of the rounds. --soak sends valid and hostile requests instead, for so long.",
		Example: "  nasnet bench serve --saved-model runs/quickstart/export/1 --json\n  nasnet bench serve --saved-model runs/quickstart/export/1 --soak 30m --json",
	}
	f := c.Flags()
	f.StringVar(&b.model, "saved-model", "", "a version's directory, or the one above it")
	f.IntVar(&b.batch, "batch", 16, "images of a batch")
	f.IntVar(&b.callers, "callers", 2, "that ask for batches at once, of the bare session too")
	f.IntVar(&b.clients, "clients", 16, "that ask for single images at once")
	f.IntVar(&b.rounds, "rounds", 5, "rounds")
	f.Float64Var(&b.seconds, "seconds", 3, "of each measurement")
	f.StringVar(&images, "images", "", "directory of JPEG files to be asked about; without it, drawn ones")
	f.StringArrayVar(&b.batching, "batching", nil, "further flag of the server that batches, such as --batching=--batching_parameters_file=FILE")
	f.DurationVar(&soak, "soak", 0, "how long to send valid and hostile requests")
	f.DurationVar(&b.pause, "pause", 0, "of a soak's clients between two requests; 0: as fast as they are answered")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if b.model == "" || b.batch < 1 || b.callers < 1 || b.clients < 1 || b.rounds < 1 || b.seconds <= 0 {
			return usagef("bench serve: give --saved-model, and numbers above 0")
		}
		if err := b.prepare(images); err != nil {
			return err
		}
		if soak > 0 {
			return a.soakServe(c.Context(), b, soak)
		}
		return a.benchServe(c.Context(), b)
	}
	return c
}

// prepare finds the model and makes what is asked about.
func (b *serveBench) prepare(images string) error {
	if _, err := os.Stat(filepath.Join(b.model, "saved_model.pb")); errors.Is(err, os.ErrNotExist) {
		_, dir, err := serving.Newest(b.model)
		if err != nil {
			return usagef("bench serve: %v", err)
		}
		b.model = dir
	}
	sigs, err := serving.ReadSignatures(b.model)
	if err != nil {
		return usagef("bench serve: %v", err)
	}
	for _, name := range []string{"serving_default", "serving_bytes"} {
		if len(sigs[name].GetInputs()) != 1 {
			return usagef("bench serve: %s has no signature %s with one input", b.model, name)
		}
	}
	for name, info := range sigs["serving_default"].GetInputs() {
		for _, d := range info.GetTensorShape().GetDim()[1:] {
			b.shape = append(b.shape, d.GetSize())
		}
		b.floats = b.floatRequest(name)
	}
	b.images, err = benchImages(images, b.shape)
	return err
}

// floatRequest asks about a batch of random pixels.
func (b *serveBench) floatRequest(input string) *servingpb.PredictRequest {
	t := &tensorpb.TensorProto{Dtype: typespb.DataType_DT_FLOAT, TensorShape: &shapepb.TensorShapeProto{Dim: []*shapepb.TensorShapeProto_Dim{{Size: int64(b.batch)}}}}
	n := b.batch
	for _, d := range b.shape {
		t.TensorShape.Dim = append(t.TensorShape.Dim, &shapepb.TensorShapeProto_Dim{Size: d})
		n *= int(d)
	}
	random := rand.New(rand.NewPCG(1, 1))
	t.TensorContent = make([]byte, 0, 4*n)
	for range n {
		t.TensorContent = binary.LittleEndian.AppendUint32(t.TensorContent, math.Float32bits(2*random.Float32()-1))
	}
	return &servingpb.PredictRequest{ModelSpec: &servingpb.ModelSpec{Name: "default"}, Inputs: map[string]*tensorpb.TensorProto{input: t}}
}

// benchImages reads JPEG files, or draws some of the network's size.
func benchImages(dir string, shape []int64) ([][]byte, error) {
	var list [][]byte
	if dir != "" {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if len(list) == 64 || e.IsDir() || !slices.Contains([]string{".jpg", ".jpeg", ".JPEG", ".JPG"}, filepath.Ext(e.Name())) {
				continue
			}
			raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			list = append(list, raw)
		}
		if len(list) == 0 {
			return nil, usagef("bench serve: %s has no JPEG file", dir)
		}
		return list, nil
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 16 {
		m := image.NewRGBA(image.Rect(0, 0, int(shape[1]), int(shape[0])))
		from, step := random.IntN(256), 1+random.IntN(7)
		for y := range int(shape[0]) {
			for x := range int(shape[1]) {
				m.Set(x, y, color.RGBA{uint8(from + step*x), uint8(from + step*y), uint8(x * y / 4), 255})
			}
		}
		var out bytes.Buffer
		if err := jpeg.Encode(&out, m, nil); err != nil {
			return nil, err
		}
		list = append(list, out.Bytes())
	}
	return list, nil
}

// encoded are n images, from the i-th on.
func (b *serveBench) encoded(i, n int) [][]byte {
	list := make([][]byte, n)
	for j := range list {
		list[j] = b.images[(i+j)%len(b.images)]
	}
	return list
}

// bytesRequest asks about encoded images.
func bytesRequest(list [][]byte) *servingpb.PredictRequest {
	t := &tensorpb.TensorProto{
		Dtype: typespb.DataType_DT_STRING, StringVal: list,
		TensorShape: &shapepb.TensorShapeProto{Dim: []*shapepb.TensorShapeProto_Dim{{Size: int64(len(list))}}},
	}
	return &servingpb.PredictRequest{ModelSpec: &servingpb.ModelSpec{Name: "default", SignatureName: "serving_bytes"}, Inputs: map[string]*tensorpb.TensorProto{"image_bytes": t}}
}

func (a *app) benchServe(ctx context.Context, b serveBench) error {
	l, err := a.launcher(ctx, configs.Engine{})
	if err != nil {
		return err
	}
	base, clean, err := linked(b.model)
	if err != nil {
		return err
	}
	defer clean()
	plain, err := startServed(ctx, a.stderr, base)
	if err != nil {
		return err
	}
	batched, err := startServed(ctx, a.stderr, base, append([]string{"--enable_batching"}, b.batching...)...)
	if err != nil {
		return errors.Join(err, plain.stop())
	}
	rows, err := b.rows(l, plain, batched)
	if err != nil {
		return errors.Join(err, plain.stop(), batched.stop())
	}
	errs := a.byTurns("serve", len(rows), b.rounds, func(i int) (string, error) {
		m, err := rows[i].run(ctx)
		rows[i].Rates, rows[i].CPUs = append(rows[i].Rates, m.rate), append(rows[i].CPUs, m.cpu)
		rows[i].times = append(rows[i].times, m.times...)
		return fmt.Sprintf("%s %.0f images/s", rows[i].By, m.rate), err
	})
	if err := errors.Join(append(errs, plain.stop(), batched.stop())...); err != nil {
		return err
	}
	return a.serveTable(finishServe(rows))
}

// linked makes a base path with the one version dir.
func linked(dir string) (base string, clean func(), err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", nil, err
	}
	if base, err = os.MkdirTemp("", "nasnet-bench-"); err != nil {
		return "", nil, err
	}
	return base, func() { _ = os.RemoveAll(base) }, os.Symlink(dir, filepath.Join(base, "1"))
}

// rows are the ways of asking, what they are set against first.
func (b *serveBench) rows(l *engine.Launcher, plain, batched *servedProcess) ([]serveRow, error) {
	bare := func(signature string, floats bool) func(context.Context) (servedLoad, error) {
		return func(ctx context.Context) (servedLoad, error) {
			r := api.SessionRateRequest{
				ModelDir: b.model, Signature: signature, Batch: b.batch, Floats: floats, Callers: b.callers, Seconds: b.seconds,
				Threads: api.Threads{InterOp: runtime.NumCPU(), IntraOp: 1},
			}
			if !floats {
				r.Encoded = b.encoded(0, b.batch)
			}
			var out api.SessionRateResult
			err := call(ctx, l, engine.Job{Command: api.SessionRate, Request: r}, &out)
			return servedLoad{rate: out.ImagesPerSecond, cpu: 1000 * out.CPUSeconds / float64(max(1, out.Runs*b.batch))}, err
		}
	}
	ask := func(p *servedProcess, clients, batch int, f func(ctx context.Context, i int) error) func(context.Context) (servedLoad, error) {
		return func(ctx context.Context) (servedLoad, error) { return b.load(ctx, p, clients, batch, f) }
	}
	many, err := b.messages(b.batch)
	if err != nil {
		return nil, err
	}
	single, err := b.messages(1)
	if err != nil {
		return nil, err
	}
	rest := func(p *servedProcess, m messages) func(context.Context, int) error {
		return func(ctx context.Context, i int) error { return p.post(ctx, m.rest[i%len(m.rest)]) }
	}
	rpc := func(p *servedProcess, m messages) func(context.Context, int) error {
		return func(ctx context.Context, i int) error { return p.send(ctx, m.rpc[i%len(m.rpc)]) }
	}
	pixels, err := proto.Marshal(b.floats)
	if err != nil {
		return nil, err
	}
	floats := func(ctx context.Context, _ int) error { return plain.send(ctx, pixels) }
	const bareBytes, bareFloats = "bare session, JPEG", "bare session, float32"
	return []serveRow{
		{By: bareBytes, Batch: b.batch, Clients: b.callers, run: bare("serving_bytes", false)},
		{By: "REST, JPEG", Batch: b.batch, Clients: b.callers, against: bareBytes, run: ask(plain, b.callers, b.batch, rest(plain, many))},
		{By: "gRPC, JPEG", Batch: b.batch, Clients: b.callers, against: bareBytes, run: ask(plain, b.callers, b.batch, rpc(plain, many))},
		{By: bareFloats, Batch: b.batch, Clients: b.callers, run: bare("serving_default", true)},
		{By: "gRPC, float32", Batch: b.batch, Clients: b.callers, against: bareFloats, run: ask(plain, b.callers, b.batch, floats)},
		{By: "REST, one by one", Batch: 1, Clients: b.clients, run: ask(plain, b.clients, 1, rest(plain, single))},
		{By: "REST, batching", Batch: 1, Clients: b.clients, against: "REST, one by one", run: ask(batched, b.clients, 1, rest(batched, single))},
		{By: "gRPC, one by one", Batch: 1, Clients: b.clients, run: ask(plain, b.clients, 1, rpc(plain, single))},
		{By: "gRPC, batching", Batch: 1, Clients: b.clients, against: "gRPC, one by one", run: ask(batched, b.clients, 1, rpc(batched, single))},
		{By: "REST, batching, one client", Batch: 1, Clients: 1, run: ask(batched, 1, 1, rest(batched, single))},
		{By: "REST, one by one, one client", Batch: 1, Clients: 1, run: ask(plain, 1, 1, rest(plain, single))},
	}, nil
}

// messages are requests as they go over the wire. They are made once, and answers
// are not unpacked, so that a client costs the server's processors little.
type messages struct{ rest, rpc [][]byte }

// messages makes eight requests about n images each.
func (b *serveBench) messages(n int) (m messages, err error) {
	for i := range 8 {
		list := b.encoded(i*n, n)
		text, err := serving.ImagesBody(list)
		if err != nil {
			return m, err
		}
		packed, err := proto.Marshal(bytesRequest(list))
		if err != nil {
			return m, err
		}
		m.rest, m.rpc = append(m.rest, text), append(m.rpc, packed)
	}
	return m, nil
}

// load has clients ask p until the time is over.
func (b *serveBench) load(ctx context.Context, p *servedProcess, clients, batch int, f func(ctx context.Context, i int) error) (servedLoad, error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var all []float64
	var errs []error
	before, err := p.cpu()
	if err != nil {
		return servedLoad{}, err
	}
	begin := time.Now()
	end := begin.Add(time.Duration(b.seconds * float64(time.Second)))
	for client := range clients {
		wg.Go(func() {
			var times []float64
			var err error
			for i := client; err == nil && time.Now().Before(end); i += clients {
				sent := time.Now()
				err = f(ctx, i)
				times = append(times, float64(time.Since(sent).Microseconds())/1000)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times...)
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	images := float64(max(1, len(all)*batch))
	after, err := p.cpu()
	return servedLoad{rate: images / time.Since(begin).Seconds(), cpu: 1000 * (after - before) / images, times: all}, errors.Join(append(errs, err)...)
}

func finishServe(rows []serveRow) []serveRow {
	rate, cpu := map[string]float64{}, map[string]float64{}
	for i := range rows {
		r := &rows[i]
		r.Rate, r.CPU = median(r.Rates), median(r.CPUs)
		rate[r.By], cpu[r.By] = r.Rate, r.CPU
		if slices.Sort(r.times); len(r.times) > 0 {
			r.P50, r.P99 = r.times[len(r.times)/2], r.times[len(r.times)*99/100]
		}
		if other := rate[r.against]; other > 0 {
			r.Ratio, r.CPURatio = r.Rate/other, cpu[r.against]/max(r.CPU, 1e-9)
		}
	}
	return rows
}

func (a *app) serveTable(rows []serveRow) error {
	if a.json {
		return a.document(rows)
	}
	var lines [][]string
	for _, r := range rows {
		ratio := ""
		if r.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f x %s", r.Ratio, r.against)
		}
		lines = append(lines, []string{r.By, strconv.Itoa(r.Batch), strconv.Itoa(r.Clients), fmt.Sprintf("%.0f", r.Rate), ratio, fmt.Sprintf("%.2f", r.CPU), fmt.Sprintf("%.1f", r.P50), fmt.Sprintf("%.1f", r.P99)})
	}
	return term.Table(a.stdout, []string{"by", "images a request", "clients", "images/s", "", "CPU ms/image", "p50 ms", "p99 ms"}, lines)
}
