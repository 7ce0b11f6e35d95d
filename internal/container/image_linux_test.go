package container

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/nasnet-go/nasnet/internal/libtf"
	"github.com/nasnet-go/nasnet/savedmodel/serving"
)

// uid is the image's user; TestTheImageIsNotRunByRoot compares it with the Dockerfile.
const uid = 65532

// image is what the Dockerfile has made, with volumes for one test.
type image struct {
	*built
	data, runs, cache string
}

// wholeImage executes the Dockerfile, or says why it cannot here.
func wholeImage(t *testing.T) *image {
	t.Helper()
	if os.Getenv("NASNET_CONTAINER_TEST") == "" {
		t.Skip("builds and runs the image, ten minutes the first time: make test-container (NASNET_CONTAINER_TEST=1)")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root: namespaces, overlays and chroot")
	}
	for _, program := range []string{"debootstrap", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s", program)
		}
	}
	cache, err := libtf.CacheDir(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "container-test")
	b := builder{
		dir: t.TempDir(), log: t.Logf, args: map[string]string{"VERSION": "container-test"},
		roots:  map[string]string{"golang": goImage(t), "tensorflow/tensorflow": baseImage(t, cache)},
		caches: map[string]string{"/root/go/pkg/mod": goEnv(t, "GOMODCACHE"), "/root/.cache/go-build": goEnv(t, "GOCACHE")},
	}
	if os.Getenv("NASNET_CONTAINER_TEST") == "cold" { // nothing is taken from earlier builds
		for target := range b.caches {
			b.caches[target] = t.TempDir()
			t.Cleanup(func() { makeWritable(b.caches[target]) })
		}
	}
	begun := time.Now()
	made := &image{built: b.build(t, parsed(t))}
	t.Logf("the image: %.1f s, adds %d MB to its base", time.Since(begun).Seconds(), megabytes(t, made.upper))
	for dir, at := range map[string]*string{"data": &made.data, "runs": &made.runs, "cache": &made.cache} {
		*at = filepath.Join(b.dir, "volume-"+dir)
		if err := errors.Join(os.MkdirAll(*at, 0o755), os.Chown(*at, uid, uid)); err != nil { // a new named volume is like the folder it covers
			t.Fatal(err)
		}
	}
	return made
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// goImage stands for golang's: the toolchain of this machine at its place.
func goImage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := copyTree(goEnv(t, "GOROOT"), filepath.Join(dir, "usr/local/go"), nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// baseImage makes, once, what stands for TensorFlow's image.
func baseImage(t *testing.T, cache string) string {
	t.Helper()
	script, err := os.ReadFile("testdata/base.sh")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(script)
	dir := filepath.Join(cache, "base-"+hex.EncodeToString(sum[:6]))
	if isThere(dir) {
		return dir
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	making, err := os.MkdirTemp(cache, "making-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(making)
	begun := time.Now()
	if out, err := exec.Command("testdata/base.sh", making).CombinedOutput(); err != nil {
		t.Fatalf("base.sh: %v\n%s", err, out)
	}
	if err := errors.Join(os.Chmod(making, 0o755), os.Rename(making, dir)); err != nil {
		t.Fatal(err)
	}
	t.Logf("the base: %.1f s, %d MB", time.Since(begun).Seconds(), megabytes(t, dir))
	return dir
}

func makeWritable(dir string) { // Go's module cache is read-only
	_ = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return os.Chmod(name, 0o755)
		}
		return err
	})
}

func megabytes(t *testing.T, dir string) int64 {
	t.Helper()
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum >> 20
}

// room is `docker run --read-only --cap-drop ALL --tmpfs /tmp -v …` of the image
// with an entry point and arguments.
func (i *image) room(args ...string) room {
	return room{
		Layers: i.layers(), Dir: i.workdir, Env: i.env, Args: args, User: uid, Offline: true,
		Binds: append(networkFiles(i.base), bind{i.data, "/nasnet/data"}, bind{i.runs, "/nasnet/runs"}, bind{i.cache, "/nasnet/cache"}),
	}
}

// nasnet runs the image with arguments and returns what it printed.
func (i *image) nasnet(t *testing.T, args ...string) []byte {
	t.Helper()
	begun := time.Now()
	out, errs, code := start(t, i.room(append(i.entrypoint(t), args...)...)).wait()
	if code != 0 {
		t.Fatalf("docker run nasnet %v: exit code %d\n%s%s", args, code, out, errs)
	}
	t.Logf("nasnet %s: %.1f s", args[0], time.Since(begun).Seconds())
	return out
}

func (i *image) entrypoint(t *testing.T) []string {
	t.Helper()
	e, ok := i.stage.last("ENTRYPOINT")
	words, err := e.list()
	if !ok || err != nil {
		t.Fatalf("ENTRYPOINT: %v", err)
	}
	return words
}

// running is a container.
type running struct {
	cmd       *exec.Cmd
	out, errs lockedBuffer
}

// lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func start(t *testing.T, r room) *running {
	t.Helper()
	c := &running{cmd: r.command(t)}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.errs
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() }) // it may have ended
	return c
}

func (c *running) wait() (out []byte, errs string, code int) {
	_ = c.cmd.Wait() // the exit code says it
	return []byte(c.out.String()), c.errs.String(), c.cmd.ProcessState.ExitCode()
}

// exec is docker exec: a further process in the container.
func (c *running) exec(i *image, args ...string) (string, error) {
	line := append([]string{
		"--target", strconv.Itoa(c.cmd.Process.Pid), "--mount", "--pid", "--net", "--root", "--wd",
		"--setuid", strconv.Itoa(uid), "--setgid", strconv.Itoa(uid), "--",
	}, args...)
	cmd := exec.Command("nsenter", line...)
	cmd.Env = i.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The image from its Dockerfile to a served prediction, as a user without
// rights, on a read-only root, without a network but for the server.
func TestTheImage(t *testing.T) {
	i := wholeImage(t)
	t.Run("holds the programs alone", i.holds)
	t.Run("cannot be written to", i.readOnly)
	t.Run("doctor", i.doctor)
	i.nasnet(t, "data", "indl", "--set", "2", "--images", "60", "--out", "data/lines")
	t.Run("train is stopped and goes on", i.trains)
	i.nasnet(t, "eval", "--run", "runs/small")
	i.nasnet(t, "export", "--run", "runs/small")
	t.Run("TensorFlow Serving can mount the export", i.servable)
	t.Run("search", i.searches)
	t.Run("search with a worker over NATS", i.searchesOverNATS)
	t.Run("serve", i.serves)
	t.Run("all files belong to the user", i.owns)
}

// holds compares what the last stage has added with what it is for.
func (i *image) holds(t *testing.T) {
	may := []string{"usr/local/bin/nasnet", "usr/local/share/nasnet/", "nasnet/", "etc/", "var/log/", "var/cache/ldconfig/"}
	err := filepath.WalkDir(i.upper, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(i.upper, name)
		for _, prefix := range may {
			if strings.HasPrefix(rel, prefix) {
				return err
			}
		}
		t.Errorf("/%s is in the image", rel)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	out, errs, code := start(t, i.room("/bin/sh", "-c", "command -v gcc cc go; test -e /src")).wait()
	if code == 0 || len(out) > 0 {
		t.Errorf("a compiler or the sources are in the image: %s%s", out, errs)
	}
}

func (i *image) readOnly(t *testing.T) {
	out, _, _ := start(t, i.room("/bin/sh", "-c",
		"id -u; for f in /x /usr/local/bin/nasnet /etc/passwd /nasnet/x; do (: >>$f) 2>/dev/null && echo wrote $f; done; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; : >/tmp/x && : >runs/x && echo volumes; rm runs/x")).wait()
	want := "65532\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nvolumes\n"
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func (i *image) doctor(t *testing.T) {
	var report struct {
		Version  string   `json:"tensorflow_version"`
		Origin   string   `json:"library_origin"`
		Devices  []string `json:"devices"`
		Engine   string   `json:"engine_path"`
		Problems []string `json:"problems"`
	}
	if err := json.Unmarshal(i.nasnet(t, "doctor", "--json"), &report); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(report.Version, "2.18.") || report.Origin != "python" || len(report.Devices) == 0 || report.Engine != "/usr/local/bin/nasnet-engine" || len(report.Problems) > 0 {
		t.Errorf("%+v", report)
	}
	gpus := false
	for _, d := range report.Devices {
		gpus = gpus || strings.Contains(d, "GPU")
	}
	_, errs, code := start(t, i.room(append(i.entrypoint(t), "doctor", "--require-gpu")...)).wait()
	if (code == 0) != gpus || code != 0 && !strings.Contains(errs, "sees no GPU") {
		t.Errorf("doctor --require-gpu: exit code %d, %s", code, errs)
	}
}

// tiny are the settings of a training that takes seconds.
func tiny(command, run string, more ...string) []string {
	args := []string{command, "--config", "folder-small", "--run", run, "--json"}
	for _, set := range append([]string{
		"data.dir=data/lines", "model.input=[16,16,3]", "model.normal_cells=3", "model.filters=4", "train.batch=8", "train.report_steps=5", "data.validation=8",
	}, more...) {
		args = append(args, "--set", set)
	}
	return args
}

// trains: docker stop leaves a state that the same command goes on from.
func (i *image) trains(t *testing.T) {
	args := append(i.entrypoint(t), tiny("train", "runs/small", "train.steps=60")...)
	c := start(t, i.room(args...))
	for metrics := filepath.Join(i.runs, "small", "metrics.jsonl"); c.alive(); time.Sleep(20 * time.Millisecond) {
		if text, err := os.ReadFile(metrics); err == nil && len(text) > 0 { // it has trained a step
			break
		}
	}
	if said, err := c.exec(i, i.health(t)...); err != nil || !strings.Contains(said, "nasnet train runs (process 1)") {
		t.Errorf("the health check of a training: %v: %s", err, said)
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := c.wait(); code != 130 {
		t.Fatalf("stopped: exit code %d, want 130\n%s%s", code, out, errs)
	}
	var done struct {
		Steps   int `json:"steps"`
		Resumed int `json:"resumed_at"`
	}
	if err := json.Unmarshal(i.nasnet(t, tiny("train", "runs/small", "train.steps=60")...), &done); err != nil || done.Steps != 60 || done.Resumed == 0 {
		t.Errorf("%+v, %v", done, err)
	}
}

// alive: a process that has ended, but was not waited for, has no namespaces.
func (c *running) alive() bool {
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", c.cmd.Process.Pid))
	return err == nil
}

// health is the image's HEALTHCHECK command.
func (i *image) health(t *testing.T) []string {
	t.Helper()
	h, ok := i.stage.last("HEALTHCHECK")
	_, list, found := strings.Cut(h.rest, "CMD ")
	var words []string
	if err := json.Unmarshal([]byte(list), &words); !ok || !found && !strings.HasPrefix(h.rest, "CMD") || err != nil {
		t.Fatalf("HEALTHCHECK %s: %v", h.rest, err)
	}
	return words
}

// tinySearch is a search of two children.
func tinySearch(run string, more ...string) []string {
	return tiny("search", run, append([]string{
		"search.trials=2", "search.random_trials=0", "search.policy.batch=2", "search.space.blocks=2", "search.child.normal_cells=3",
		"search.child.filters=4", "search.child.images=40", "search.child.validation_images=8", "search.child.batch=8",
	}, more...)...)
}

// searched fails if a search's answer is not that of two children.
func searched(t *testing.T, out []byte) {
	t.Helper()
	var status struct {
		Trials struct {
			Done int `json:"done"`
		} `json:"trials"`
	}
	if err := json.Unmarshal(out, &status); err != nil || status.Trials.Done != 2 {
		t.Errorf("%s, %v", out, err)
	}
}

func (i *image) searches(t *testing.T) {
	searched(t, i.nasnet(t, tinySearch("runs/search", "search.workers=1")...))
}

// searchesOverNATS is what compose.yaml and search.yaml set up: a search that
// trains nothing, a NATS with their configuration, a worker.
func (i *image) searchesOverNATS(t *testing.T) {
	const token = "7e5a"
	t.Setenv("NASNET_QUEUE_TOKEN", token)
	file := filepath.Join(t.TempDir(), "nasnet.conf")
	if err := os.WriteFile(file, []byte(manifests(t)["ConfigMap/nasnet-queue"].Data["nasnet.conf"]), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	queue, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	queue.Start()
	defer queue.Shutdown()
	if !queue.ReadyForConnections(time.Minute) {
		t.Fatal("NATS does not start")
	}
	container := func(args ...string) *running {
		r := i.room(append(i.entrypoint(t), args...)...)
		r.Offline, r.Env = false, append(r.Env, "NASNET_QUEUE_TOKEN="+token)
		return start(t, r)
	}
	main := container(tinySearch("runs/far", "search.workers=0", "search.queue.url="+queue.ClientURL())...)
	worker := container("worker", "--search", queue.ClientURL(), "--slots", "1")
	out, errs, code := main.wait()
	if code != 0 {
		t.Fatalf("the search: exit code %d\n%s%s", code, out, errs)
	}
	searched(t, out)
	if out, errs, code := worker.wait(); code != 0 || !strings.Contains(errs, "the search is finished") {
		t.Errorf("the worker: exit code %d\n%s%s", code, out, errs)
	}
}

// servable looks at the export as TensorFlow Serving does, which runs as
// another user: numbers only, a graph tagged serve, its kinds of signatures.
func (i *image) servable(t *testing.T) {
	base := filepath.Join(i.runs, "small/export")
	versions, err := os.ReadDir(base)
	if err != nil || len(versions) != 1 || versions[0].Name() != "1" || !versions[0].IsDir() {
		t.Fatalf("%v, %v: want one version, 1", versions, err)
	}
	err = filepath.WalkDir(filepath.Join(base, "1"), func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if need := fs.FileMode(0o444); err == nil && info.Mode().Perm()&need != need {
			t.Errorf("%s cannot be read by others: %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(base, "1/saved_model.pb"))
	if err != nil {
		t.Fatal(err)
	}
	var m corepb.SavedModel
	if err := proto.Unmarshal(text, &m); err != nil || m.SavedModelSchemaVersion != 1 || len(m.MetaGraphs) != 1 {
		t.Fatalf("saved_model.pb: version %d, %d graphs, %v", m.SavedModelSchemaVersion, len(m.MetaGraphs), err)
	}
	graph := m.MetaGraphs[0]
	if tags := graph.GetMetaInfoDef().GetTags(); len(tags) != 1 || tags[0] != "serve" {
		t.Errorf("tags %v, want serve", tags)
	}
	for name, method := range map[string]string{"serving_default": "predict", "serving_bytes": "predict", "classify": "classify"} {
		if got := graph.SignatureDef[name].GetMethodName(); got != "tensorflow/serving/"+method {
			t.Errorf("signature %s: method %q", name, got)
		}
	}
	if warm := filepath.Join(base, "1/assets.extra/tf_serving_warmup_requests"); !isThere(warm) {
		t.Errorf("no %s", warm)
	}
}

// serves: the health check is red before the model is there and green after,
// predictions are those of the SavedModel, docker stop ends it in order.
func (i *image) serves(t *testing.T) {
	r := i.room(append(i.entrypoint(t), "serve", "--model_name", "nasnet", "--model_base_path", "runs/small/export", "--host", "0.0.0.0", "--insecure")...)
	begun := time.Now()
	c := start(t, r)
	for {
		said, err := c.exec(i, i.health(t)...)
		if err == nil {
			if !strings.Contains(said, "version 1 is available") {
				t.Errorf("the health check: %s", said)
			}
			break
		}
		if !c.alive() {
			t.Fatalf("the server: %s; %s", said, c.errs.String())
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("healthy after %.1f s", time.Since(begun).Seconds())
	picture := filepath.Join(i.data, "lines/test/equal")
	files, err := os.ReadDir(picture)
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	name := files[0].Name()
	text, err := os.ReadFile(filepath.Join(picture, name))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := serving.Client{URL: "http://127.0.0.1:8501", Model: "nasnet", HTTP: c.network()}.Images(context.Background(), [][]byte{text})
	if err != nil || len(answer) != 1 || len(answer[0].Logits) != 2 {
		t.Fatalf("%+v, %v", answer, err)
	}
	alone := string(i.nasnet(t, "predict", "--saved-model", "runs/small/export/1", "data/lines/test/equal/"+name, "--json"))
	if class := fmt.Sprint(answer[0].Class); !strings.Contains(alone, fmt.Sprintf("%q", class)) {
		t.Errorf("served %s, predicted %s", class, alone)
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := c.wait(); code != 0 {
		t.Errorf("docker stop: exit code %d\n%s%s", code, out, errs)
	}
}

// network is an HTTP client that stands in the container's network.
func (c *running) network() *http.Client {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, its network with it
		file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.cmd.Process.Pid))
		if err != nil {
			return nil, err
		}
		defer file.Close()
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

func (i *image) owns(t *testing.T) {
	for _, dir := range []string{i.data, i.runs, i.cache} {
		err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil && info.Sys().(*syscall.Stat_t).Uid != uid {
				t.Errorf("%s belongs to %d", name, info.Sys().(*syscall.Stat_t).Uid)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
