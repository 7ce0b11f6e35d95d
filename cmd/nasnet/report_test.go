package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"image"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/controller"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/internal/rundir"
	"github.com/nasnet-go/nasnet/pipeline/data/sets/indl"
)

// drawnReward rewards a cell by its seed.
type drawnReward struct{}

func (drawnReward) Evaluate(_ context.Context, t search.Task, _ func(int, float64) bool) (search.Result, error) {
	r := rand.New(rand.NewPCG(uint64(t.Seed), 0))
	return search.Result{Reward: 0.3 + 0.3*r.Float64(), Metrics: map[string]float64{"params": 1234, "macs": 56789}}, nil
}

// reportedRun makes a run directory: a search whose children are drawn lots, the
// metrics of a training, and an evaluation of random logits.
func reportedRun(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), `a "run" <b>&`)
	d, err := rundir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := search.Spec{
		Seed: 5, Trials: 12, RandomTrials: 8, Child: []byte(`{}`), Space: cells.Space{Name: "test", Ops: []cells.Op{cells.Identity, cells.Sep3x3, cells.Max3x3}, Blocks: 3},
		Policy: controller.Config{Policy: controller.PPO, Batch: 4, Units: 8, LearningRate: 0.02},
	}
	e, err := search.Open(t.Context(), search.Options{Dir: dir, Spec: s, Log: zerolog.Nop()})
	if err == nil {
		_, err = e.Run(t.Context(), drawnReward{}, 2, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for step := 10; step <= 100; step += 10 {
		fmt.Fprintf(&lines, `{"step":%d,"epoch":%g,"loss":%g,"accuracy":%g,"learning_rate":%g,"images_per_second":321`, step, float64(step)/50, 2.3-float64(step)/70, float64(step)/200, 0.1/float64(step))
		if step%50 == 0 {
			fmt.Fprintf(&lines, `,"eval_top1":%g,"eval_loss":1.5`, float64(step)/250)
		}
		lines.WriteString("}\n")
	}
	lines.WriteString(`{"step":110,"lo`) // cut off, as a killed process leaves it
	train := api.TrainResult{Steps: 100, Epochs: 2, Loss: 0.8765, Params: 3346538, Checkpoint: "checkpoints/step-00000100", ImagesPerSecond: 321.4}
	if _, err := d.WriteJSON("train.json", train); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"metrics.jsonl": lines.String(), rundir.ConfigFile: "seed: 5\n# <script>alert(1)</script>\n"} {
		if err := d.WriteFile(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	d.Manifest.Seed, d.Manifest.Versions["nasnet"] = 5, "test"
	if _, _, err := rundir.Do(d, "eval", nil, func() (scored, error) { return evaluated(t, d), nil }); err != nil {
		t.Fatal(err)
	}
	return dir
}

// evaluated scores random logits of illusions into the run.
func evaluated(t *testing.T, d *rundir.Dir) scored {
	t.Helper()
	const n, k = 200, 10
	r := rand.New(rand.NewPCG(3, 3))
	p := predicted{
		logits: d.Join("logits.npy"), preset: "nasnet-a-cifar", set: "cifar10", perSecond: 1000,
		picture: func(i int) (image.Image, error) { return indl.One(2, 1, i).Image, nil },
	}
	var logits []float32
	for i := range n {
		label := r.IntN(k)
		for class := range k {
			x := float32(r.NormFloat64())
			if class == label {
				x += 2
			}
			logits = append(logits, x)
		}
		p.images, p.labels = append(p.images, fmt.Sprintf("test/%05d", i)), append(p.labels, label)
	}
	for class := range k {
		p.classes = append(p.classes, fmt.Sprintf("class <%d>", class))
	}
	if err := npy.Write(p.logits, logits, n, k); err != nil {
		t.Fatal(err)
	}
	out, err := (&scoring{reference: true}).score(d, p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var rowOfTable = regexp.MustCompile(`<tr>(<td.*?)</tr>`)

// rowsIn are the rows of all tables of a page, as texts.
func rowsIn(page string) [][]string {
	var rows [][]string
	cell := regexp.MustCompile(`<td[^>]*>(.*?)</td>`)
	for _, row := range rowOfTable.FindAllStringSubmatch(page, -1) {
		var texts []string
		for _, c := range cell.FindAllStringSubmatch(row[1], -1) {
			texts = append(texts, html.UnescapeString(c[1]))
		}
		rows = append(rows, texts)
	}
	return rows
}

// expect looks for rows made of the run's own files.
func expect(t *testing.T, dir, page string) {
	t.Helper()
	rows := rowsIn(page)
	want := func(cells ...string) {
		t.Helper()
		if !slices.ContainsFunc(rows, func(row []string) bool { return len(row) >= len(cells) && slices.Equal(row[:len(cells)], cells) }) {
			t.Errorf("no row %q in the report", cells)
		}
	}
	st, err := search.ReadStatus(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range st.Arms {
		want(a.Arm, fmt.Sprint(a.Trials.Done), fmt.Sprint(a.Unique), fmt.Sprintf("%.4f", a.Mean))
	}
	trials, err := search.ReadTrials(dir)
	if err != nil || len(trials) != 20 {
		t.Fatal(len(trials), err)
	}
	for _, trial := range trials {
		want(fmt.Sprint(trial.ID), trial.Arm, "done", fmt.Sprintf("%.4f", trial.Reward))
	}
	metrics, err := readMetrics(filepath.Join(dir, "metrics.jsonl"))
	if err != nil || len(metrics) != 10 {
		t.Fatal(len(metrics), err)
	}
	for _, m := range metrics {
		want(fmt.Sprint(m.Step), fmt.Sprintf("%.3f", m.Epoch), fmt.Sprintf("%.6g", m.Loss), fmt.Sprintf("%.6g", m.Accuracy), fmt.Sprintf("%.6g", m.LearningRate))
	}
	var e scored
	if text, err := os.ReadFile(filepath.Join(dir, evaluationFile)); err != nil || json.Unmarshal(text, &e) != nil {
		t.Fatal(err)
	}
	want("top-1", fmt.Sprintf("%.2f", 100*e.Top1), fmt.Sprintf("%.2f to %.2f", 100*e.Top1CI[0], 100*e.Top1CI[1]))
	for _, c := range e.Recall {
		want(c.Name, fmt.Sprintf("%.2f", 100*c.Recall))
	}
	for _, m := range e.Worst {
		want(m.Image, fmt.Sprintf("class <%d>", m.Label), fmt.Sprintf("class <%d>", m.Predicted))
	}
	want("nasnet-a-cifar", "top1", "97.35")
	for _, text := range []string{st.LedgerDigest, "3,346,538", filepath.Base(dir), "seed: 5", `id="cell"`, `id="confusion"`, `id="reliability"`, `id="loss"`, `id="arms"`, `id="mistakes"`} {
		if !strings.Contains(html.UnescapeString(page), text) {
			t.Errorf("no %q in the report", text)
		}
	}
}

func TestReportTellsWhatTheRunHas(t *testing.T) {
	dir := reportedRun(t)
	if code, _, stderr := nasnet("report", "--run", dir); code != 0 {
		t.Fatal(code, stderr)
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	expect(t, dir, page)
	for _, bad := range []string{"<script", "http://www.w3.org/1999", "ZgotmplZ", "<link rel=\"stylesheet", "@import", "NaN"} {
		if strings.Contains(page, bad) {
			t.Errorf("%q stands in the report", bad)
		}
	}
	if links := regexp.MustCompile(`(src|href|url)\s*[=(]\s*"?(https?:)?//`).FindString(page); links != "" {
		t.Errorf("the report asks for %s", links)
	}
}

func TestReportAsMarkdown(t *testing.T) {
	dir, out := reportedRun(t), filepath.Join(t.TempDir(), "r.md")
	if code, _, stderr := nasnet("report", "--run", dir, "--format", "markdown", "--out", out); code != 0 {
		t.Fatal(code, stderr)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\]\((r-figures/[^)]*)\)`).FindAllStringSubmatch(string(text), -1)
	if len(links) != 9 {
		t.Errorf("%d figures, want 9", len(links))
	}
	for _, l := range links {
		if info, err := os.Stat(filepath.Join(filepath.Dir(out), l[1])); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", l[1], err)
		}
	}
	if !strings.Contains(string(text), "| top-1 |") {
		t.Errorf("no accuracy in\n%s", text)
	}
}

func TestReportRefusesWhatIsNoRun(t *testing.T) {
	for want, args := range map[string][]string{
		"give --run":       {},
		"is no run":        {"--run", t.TempDir()},
		`no format "pdf"`:  {"--run", t.TempDir(), "--format", "pdf"},
		"manifest.json is": {"--run", filepath.Dir(write(t, "manifest.json", "{"))},
	} {
		if code, _, stderr := nasnet(append([]string{"report"}, args...)...); code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit code %d, %s; want %q", args, code, stderr, want)
		}
	}
}

// proxy notes every host that a browser asks for.
type proxy struct {
	mu    sync.Mutex
	hosts map[string]bool
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.hosts[r.Host] = true
	p.mu.Unlock()
	http.Error(w, "nothing is reached from here", http.StatusBadGateway)
}

// browse opens a page in headless Chromium and returns its document, what it
// wrote to the console and the hosts that were asked for, the browser's own
// left out.
func browse(t *testing.T, page string, flags ...string) (dom string, console, hosts []string) {
	t.Helper()
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("no Chromium is here (apt-get install chromium)")
	}
	p := &proxy{hosts: map[string]bool{}}
	server := httptest.NewServer(p)
	defer server.Close()
	cmd := exec.Command(browser, append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
		"--disable-extensions", "--no-first-run", "--user-data-dir=" + t.TempDir(), "--enable-logging=stderr", "--v=0",
		"--proxy-server=" + server.URL, "--proxy-bypass-list=<-loopback>", "--virtual-time-budget=2000", "--dump-dom", "file://" + page,
	}, flags...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	for line := range strings.Lines(stderr.String()) {
		if strings.Contains(line, ":CONSOLE") {
			console = append(console, line)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	own := []string{"clients2.google.com", "update.googleapis.com", "accounts.google.com"} // of the browser, whatever it opens
	for host := range p.hosts {
		if name, _, _ := strings.Cut(host, ":"); !slices.Contains(own, name) {
			hosts = append(hosts, host)
		}
	}
	return string(out), console, hosts
}

// The report in a real browser: nothing on the console, nobody asked for
// anything, and the figures are those of the run's files.
func TestReportInABrowser(t *testing.T) {
	control := write(t, "control.html", `<img src="http://outside.test/x.png"><script>console.error("seen")</script>`)
	if _, console, hosts := browse(t, control); len(console) == 0 || !slices.Contains(hosts, "outside.test") {
		t.Fatalf("a page with both faults passes: console %q, hosts %q", console, hosts)
	}
	dir := reportedRun(t)
	if code, _, stderr := nasnet("report", "--run", dir, "--out", filepath.Join(dir, "r.html")); code != 0 {
		t.Fatal(code, stderr)
	}
	plain := filepath.Join(t.TempDir(), "report.html") // the run's name is no address
	if err := os.Rename(filepath.Join(dir, "r.html"), plain); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{{"--window-size=1200,900"}, {"--window-size=400,900", "--blink-settings=preferredColorScheme=0"}} {
		dom, console, hosts := browse(t, plain, flags...)
		if len(console) > 0 || len(hosts) > 0 {
			t.Errorf("%v: console %q, hosts %q", flags, console, hosts)
		}
		expect(t, dir, dom)
	}
}
