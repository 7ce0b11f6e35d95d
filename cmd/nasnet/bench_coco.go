package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/coco"
	"github.com/nasnet-go/nasnet/internal/term"
)

// cocoBench is what is timed.
type cocoBench struct {
	python, scripts            string
	images, detections, rounds int
	dir                        string // of the files
}

// cocoRow is one evaluator.
type cocoRow struct {
	Runner  string    `json:"runner"`
	Seconds float64   `json:"seconds"` // from files to numbers, median of the rounds
	All     []float64 `json:"seconds_all"`
	Memory  int64     `json:"peak_memory_bytes"` // median
	Ratio   float64   `json:"nasnet_ratio"`      // this one's time over nasnet's, median of the rounds' ratios
	Differ  float64   `json:"largest_difference"`
	Error   string    `json:"error,omitempty"`
	run     func(ctx context.Context) (cocoTiming, error)
	memory  []int64
	metrics []float64
}

// cocoTiming is one run's figures, under the names that the peer prints too.
type cocoTiming struct {
	Seconds float64   `json:"seconds"`
	Memory  int64     `json:"peak_memory_bytes"`
	Metrics []float64 `json:"metrics"`
}

func (a *app) benchCOCOCommand() *cobra.Command {
	var b cocoBench
	c := &cobra.Command{
		Use: "coco", Short: "Seconds for COCO's box metrics, beside pycocotools", Args: cobra.NoArgs,
		Long: "Time detect score on a made-up set of the size of COCO's validation: 5,000 images, 80 categories, 100 detections an\n" +
			"image. With --pycocotools-python, a Python that has pycocotools, it runs by turns with ours. Ours is timed as a\n" +
			"whole process, theirs without the imports. Medians of the rounds.",
		Example: "  nasnet bench coco --pycocotools-python PYTHON --json",
	}
	f := c.Flags()
	f.StringVar(&b.python, "pycocotools-python", "", "Python with pycocotools")
	f.StringVar(&b.scripts, "peers", "bench/peers", "directory of the peers' scripts")
	f.IntVar(&b.images, "images", 5000, "images of the set")
	f.IntVar(&b.detections, "detections", 100, "detections an image")
	f.IntVar(&b.rounds, "rounds", 3, "runs of each")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if b.images < 1 || b.detections < 1 || b.rounds < 1 {
			return usagef("bench coco: want 1 or more for --images, --detections and --rounds")
		}
		return a.benchCOCO(c.Context(), b)
	}
	return c
}

func (a *app) benchCOCO(ctx context.Context, b cocoBench) (err error) {
	if b.dir, err = os.MkdirTemp("", "nasnet-bench-coco-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := b.write(); err != nil {
		return err
	}
	rows := []cocoRow{{Runner: "nasnet", run: b.ours}}
	if b.python != "" {
		rows = append(rows, cocoRow{Runner: "pycocotools", run: b.peer})
	}
	errs := a.byTurns("coco", len(rows), b.rounds, func(i int) (string, error) {
		out, err := rows[i].run(ctx)
		if err != nil {
			return "", err
		}
		r := &rows[i]
		r.All, r.memory, r.metrics = append(r.All, out.Seconds), append(r.memory, out.Memory), out.Metrics
		return fmt.Sprintf("%s %.1f s", r.Runner, out.Seconds), nil
	})
	for i, err := range errs {
		if err != nil {
			rows[i].Error = err.Error()
		}
	}
	return a.cocoRows(rows)
}

// cocoRows sums the rounds up. The runners' numbers must be the same.
func (a *app) cocoRows(rows []cocoRow) error {
	var lines [][]string
	for i := range rows {
		r := &rows[i]
		r.Seconds, r.Memory = median(r.All), median(r.memory)
		var ratios []float64
		for k := range min(len(r.All), len(rows[0].All)) {
			ratios = append(ratios, r.All[k]/rows[0].All[k])
		}
		r.Ratio = median(ratios)
		for k := range min(len(r.metrics), len(rows[0].metrics)) {
			r.Differ = max(r.Differ, math.Abs(r.metrics[k]-rows[0].metrics[k]))
		}
		lines = append(lines, []string{r.Runner, fmt.Sprintf("%.2f", r.Seconds), mebibytes(r.Memory), fmt.Sprintf("%.1f", r.Ratio), fmt.Sprintf("%.1e", r.Differ), r.Error})
	}
	if a.json {
		return a.document(rows)
	}
	return term.Table(a.stdout, []string{"by", "seconds", "peak memory", "times nasnet's", "numbers differ by", ""}, lines)
}

func (b cocoBench) file(name string) string { return filepath.Join(b.dir, name) }

// ours runs detect score as a process of its own.
func (b cocoBench) ours(ctx context.Context) (t cocoTiming, err error) {
	self, err := os.Executable()
	if err != nil {
		return t, err
	}
	cmd := exec.CommandContext(ctx, self, "detect", "score", "--json", "--annotations", b.file("gt.json"), "--results", b.file("dt.json"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begin := time.Now()
	text, err := cmd.Output()
	if err != nil {
		return t, fmt.Errorf("detect score: %w: %s", err, stderr.String())
	}
	t.Seconds, t.Memory = time.Since(begin).Seconds(), peakMemory(cmd.ProcessState)
	var doc detectionScore
	err = json.Unmarshal(text, &doc)
	t.Metrics = doc.Metrics.Numbers()
	return t, err
}

// peakMemory returns the largest resident size of a process that has ended.
func peakMemory(p *os.ProcessState) int64 {
	usage, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" { // bytes there, kilobytes elsewhere
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) * 1024
}

func (b cocoBench) peer(ctx context.Context) (t cocoTiming, err error) {
	text, err := runPeer(ctx, b.python, filepath.Join(b.scripts, "coco.py"), b.file("gt.json"), b.file("dt.json"))
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	return t, err
}

// write makes the set: seven objects an image as COCO has, some of them found
// well, some badly, and wrong detections of low score.
func (b cocoBench) write() error {
	r := rand.New(rand.NewPCG(1, 80))
	categories := make([]coco.Category, 80)
	for i := range categories {
		categories[i] = coco.Category{ID: int64(i + 1), Name: fmt.Sprintf("category %d", i+1)}
	}
	images := make([]coco.Image, b.images)
	var objects []coco.Object
	var found []coco.Detection
	for i := range images {
		images[i] = coco.Image{ID: int64(i + 1), Width: 640, Height: 480, FileName: fmt.Sprintf("%012d.jpg", i+1)}
		first := len(objects)
		for range 1 + r.IntN(13) {
			box := randomBox(r)
			objects = append(objects, coco.Object{
				ID: int64(len(objects) + 1), ImageID: images[i].ID, CategoryID: int64(1 + r.IntN(80)),
				Box: box, Area: 0.7 * box.Area(), Crowd: r.IntN(80) == 0,
			})
		}
		for range b.detections {
			d := coco.Detection{ImageID: images[i].ID, CategoryID: int64(1 + r.IntN(80)), Box: randomBox(r), Score: 0.5 * r.Float64()}
			if o := objects[first+r.IntN(len(objects)-first)]; r.IntN(5) == 0 {
				jitter := 0.1 * r.NormFloat64()
				d.CategoryID, d.Score = o.CategoryID, r.Float64()
				d.Box = coco.Box{X: o.Box.X + jitter*o.Box.W, Y: o.Box.Y + jitter*o.Box.H, W: o.Box.W, H: o.Box.H}
			}
			found = append(found, d)
		}
	}
	set, err := coco.NewDataset(images, categories, objects)
	if err != nil {
		return err
	}
	if err := writeTo(b.file("gt.json"), func(w io.Writer) error { return coco.WriteAnnotations(w, set) }); err != nil {
		return err
	}
	return writeTo(b.file("dt.json"), func(w io.Writer) error { return coco.WriteResults(w, found) })
}

// randomBox is inside 640 x 480 pixels; small ones are more frequent, as in COCO.
func randomBox(r *rand.Rand) coco.Box {
	w, h := 6+300*r.Float64()*r.Float64(), 6+300*r.Float64()*r.Float64()
	return coco.Box{X: (640 - w) * r.Float64(), Y: (480 - h) * r.Float64(), W: w, H: h}
}

func writeTo(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.Close()
}
