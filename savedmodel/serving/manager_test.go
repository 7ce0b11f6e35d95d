package serving

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	configpb "github.com/wamuir/graft/tensorflow/serving/config_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// fakeEngine answers with its version and remembers whether it was stopped while
// it was asked.
type fakeEngine struct {
	id      versionID
	stopped atomic.Bool
	block   chan struct{} // Predict waits for it, where it is set
	badly   *atomic.Int64 // answers after the end
}

func (f *fakeEngine) ready() bool                                    { return !f.stopped.Load() }
func (f *fakeEngine) signatureDefs() map[string]*corepb.SignatureDef { return nil }
func (f *fakeEngine) stop()                                          { f.stopped.Store(true) }

func (f *fakeEngine) Predict(context.Context, *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	if f.block != nil {
		<-f.block
	}
	if f.stopped.Load() {
		f.badly.Add(1)
		return nil, status.Error(codes.Unavailable, "stopped")
	}
	return &servingpb.PredictResponse{ModelSpec: &servingpb.ModelSpec{Name: f.id.model, VersionChoice: &servingpb.ModelSpec_Version{Version: wrapperspb.Int64(f.id.number)}}}, nil
}

// fakeLoader opens directories: one that holds the file "bad" fails.
type fakeLoader struct {
	mu     sync.Mutex
	opened []string
	badly  atomic.Int64
	block  chan struct{}
}

func (l *fakeLoader) open(_ context.Context, id versionID) (backend, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = append(l.opened, fmt.Sprintf("%s/%d", id.model, id.number))
	if _, err := os.Stat(filepath.Join(id.dir, "bad")); err == nil {
		return nil, errors.New("half of it is missing")
	}
	return &fakeEngine{id: id, badly: &l.badly, block: l.block}, nil
}

func (l *fakeLoader) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, o := range l.opened {
		if o == what {
			n++
		}
	}
	return n
}

func managed(t *testing.T, l *fakeLoader, o managerOptions) *manager {
	t.Helper()
	o.Open = l.open
	if o.Poll == 0 {
		o.Poll = time.Millisecond
	}
	m := newManager(t.Context(), o)
	t.Cleanup(m.close)
	return m
}

// publish makes version directories.
func publish(t *testing.T, base string, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := os.MkdirAll(filepath.Join(base, n), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func configOf(t *testing.T, text string, args ...any) *configpb.ModelServerConfig {
	t.Helper()
	c := &configpb.ModelServerConfig{}
	if err := prototext.Unmarshal(fmt.Appendf(nil, text, args...), c); err != nil {
		t.Fatal(err)
	}
	return c
}

func named(name string) *servingpb.ModelSpec { return &servingpb.ModelSpec{Name: name} }

func numbered(name string, n int64) *servingpb.ModelSpec {
	return &servingpb.ModelSpec{Name: name, VersionChoice: &servingpb.ModelSpec_Version{Version: wrapperspb.Int64(n)}}
}

func labelled(name, label string) *servingpb.ModelSpec {
	return &servingpb.ModelSpec{Name: name, VersionChoice: &servingpb.ModelSpec_VersionLabel{VersionLabel: label}}
}

// eventually waits until the states are as wanted: "3 AVAILABLE, 2 END".
func eventually(t *testing.T, m *manager, model, want string) {
	t.Helper()
	for {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		if got := states(m, model); got == want {
			return
		} else if deadline, ok := t.Deadline(); ok && time.Until(deadline) < 5*time.Second {
			t.Fatalf("states are %q, want %q", got, want)
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func states(m *manager, model string) string {
	list, err := m.Status(named(model))
	if err != nil {
		return status.Code(err).String()
	}
	var parts []string
	for _, s := range list {
		parts = append(parts, fmt.Sprintf("%d %s", s.GetVersion(), s.GetState()))
	}
	return strings.Join(parts, ", ")
}

func reload(t *testing.T, m *manager, c *configpb.ModelServerConfig) {
	t.Helper()
	if err := m.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestVersionPolicies(t *testing.T) {
	base := t.TempDir()
	publish(t, base, "1", "2", "3", "007", "7", ".tmp-9", "9x", "+8")
	if err := os.WriteFile(filepath.Join(base, "12"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for policy, want := range map[string]string{
		"":                                    "7 AVAILABLE",
		"latest { num_versions: 2 }":          "7 AVAILABLE, 3 AVAILABLE",
		"all {}":                              "7 AVAILABLE, 3 AVAILABLE, 2 AVAILABLE, 1 AVAILABLE",
		"specific { versions: [1, 3, 5] }":    "3 AVAILABLE, 1 AVAILABLE",
		"specific { versions: 2 }":            "2 AVAILABLE",
		"latest { num_versions: 1000000000 }": "7 AVAILABLE, 3 AVAILABLE, 2 AVAILABLE, 1 AVAILABLE",
	} {
		m := managed(t, &fakeLoader{}, managerOptions{})
		reload(t, m, configOf(t, `model_config_list { config { name: "m" base_path: %q model_platform: "tensorflow" model_version_policy { %s } } }`, base, policy))
		eventually(t, m, "m", want)
	}
	if _, remarks, err := scan(base, nil); err != nil || !strings.Contains(strings.Join(remarks, ";"), "version 7 is there twice: 7 is loaded, 007 is not") {
		t.Errorf("%v %v", remarks, err)
	}
}

func TestANewVersionIsLoadedBeforeTheOldOneGoes(t *testing.T) {
	base, l := t.TempDir(), &fakeLoader{}
	publish(t, base, "1")
	m := managed(t, l, managerOptions{})
	reload(t, m, OneModel("m", base))
	held, err := m.Find(named("m"))
	if err != nil || held.Version() != 1 {
		t.Fatal(held, err)
	}
	publish(t, base, "2")
	eventually(t, m, "m", "2 AVAILABLE, 1 UNLOADING") // somebody holds 1
	if _, err := held.Predict(t.Context(), nil); err != nil {
		t.Errorf("what is held must answer: %v", err)
	}
	if now, err := m.Find(named("m")); err != nil || now.Version() != 2 {
		t.Errorf("%v", err)
	} else {
		now.Release()
	}
	if _, err := m.Find(numbered("m", 1)); status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "Specific(m, 1)") {
		t.Errorf("version 1 is going: %v", err)
	}
	held.Release()
	held.Release() // once too often
	eventually(t, m, "m", "2 AVAILABLE, 1 END")
}

func TestAVersionThatCannotBeLoadedLeavesTheOldOne(t *testing.T) {
	base, l := t.TempDir(), &fakeLoader{}
	publish(t, base, "1")
	m := managed(t, l, managerOptions{Retries: 2, Wait: time.Hour})
	reload(t, m, OneModel("m", base))
	publish(t, base, ".new")
	if err := os.WriteFile(filepath.Join(base, ".new", "bad"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(base, ".new"), filepath.Join(base, "2")); err != nil {
		t.Fatal(err)
	}
	eventually(t, m, "m", "2 LOADING, 1 AVAILABLE")
	for { // it says why
		list, err := m.Status(numbered("m", 2))
		if err == nil && strings.Contains(list[0].GetStatus().GetErrorMessage(), "version 2 of model m cannot be loaded: half of it is missing") {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := os.Remove(filepath.Join(base, "2", "bad")); err != nil { // the rest was copied: it is not waited for an hour
		t.Fatal(err)
	}
	eventually(t, m, "m", "2 AVAILABLE, 1 END")
}

func TestRetriesEnd(t *testing.T) {
	base, l := t.TempDir(), &fakeLoader{}
	publish(t, base, "1/bad")
	m := managed(t, l, managerOptions{Retries: 3, Poll: -1})
	err := m.Reload(t.Context(), OneModel("m", base))
	if status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "half of it is missing") || l.count("m/1") != 4 {
		t.Errorf("%v after %d attempts", err, l.count("m/1"))
	}
	if got := states(m, "m"); got != "1 END" {
		t.Error(got)
	}
}

func TestAnEmptyBasePathIsNoError(t *testing.T) {
	base := t.TempDir()
	m := managed(t, &fakeLoader{}, managerOptions{})
	reload(t, m, OneModel("m", base))
	if _, err := m.Find(named("m")); status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "Servable not found for request: Latest(m)") {
		t.Error(err)
	}
	publish(t, base, "1")
	eventually(t, m, "m", "1 AVAILABLE")
	if err := os.Rename(base, base+".away"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // some looks at what is not there
	eventually(t, m, "m", "1 AVAILABLE")
	if err := os.Rename(base+".away", base); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(base, "1")); err != nil {
		t.Fatal(err)
	}
	eventually(t, m, "m", "1 END")
}

func TestReloadReplacesTheList(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	publish(t, a, "1")
	publish(t, b, "5")
	m := managed(t, &fakeLoader{}, managerOptions{})
	reload(t, m, OneModel("a", a))
	reload(t, m, configOf(t, `model_config_list { config { name: "a" base_path: %q } config { name: "b" base_path: %q } }`, a, b))
	eventually(t, m, "a", "1 AVAILABLE")
	eventually(t, m, "b", "5 AVAILABLE")
	reload(t, m, OneModel("b", b))
	eventually(t, m, "a", "NotFound")
	reload(t, m, OneModel("b", a)) // the same name elsewhere
	eventually(t, m, "b", "5 END, 1 AVAILABLE")
	reload(t, m, OneModel("a", b))
	eventually(t, m, "a", "5 AVAILABLE")
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	m := managed(t, &fakeLoader{}, managerOptions{})
	for text, want := range map[string]string{
		`model_config_list { config { name: "a" base_path: "/x" } config { name: "a" base_path: "/y" } }`:       "multiple times",
		`model_config_list { config { name: "a" base_path: "x" } }`:                                             "absolute path",
		`model_config_list { config { name: "a/b" base_path: "/x" } }`:                                          "no name of a model",
		`model_config_list { config { base_path: "/x" } }`:                                                      "no name of a model",
		`model_config_list { config { name: "a" base_path: "/x" model_platform: "tflite" } }`:                   "model_platform",
		`model_config_list { config { name: "a" base_path: "/x" version_labels { key: "a b" value: 1 } } }`:     "label",
		`custom_model_config { [type.googleapis.com/google.protobuf.Int64Value] { value: 1 } }`:                 "custom_model_config",
		`model_config_list { config { name: "a" base_path: "/nowhere" version_labels { key: "l" value: 1 } } }`: "not currently available",
	} {
		if err := m.Reload(t.Context(), configOf(t, "%s", text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestLabelsMoveWhenTheirVersionIsLoaded(t *testing.T) {
	base := t.TempDir()
	publish(t, base, "1", "2")
	m := managed(t, &fakeLoader{}, managerOptions{})
	with := func(stable int) *configpb.ModelServerConfig {
		return configOf(t, `model_config_list { config { name: "m" base_path: %q model_version_policy { all {} } version_labels { key: "stable" value: %d } } }`, base, stable)
	}
	version := func() int64 {
		held, err := m.Find(labelled("m", "stable"))
		if err != nil {
			t.Fatal(err)
		}
		defer held.Release()
		return held.Version()
	}
	reload(t, m, with(1))
	if v := version(); v != 1 {
		t.Errorf("stable is %d", v)
	}
	reload(t, m, with(2))
	if v := version(); v != 2 {
		t.Errorf("stable is %d", v)
	}
	if err := m.Reload(t.Context(), with(9)); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("version 9 is not there: %v", err)
	}
	if v := version(); v != 2 {
		t.Errorf("a refused configuration moved the label to %d", v)
	}
	if _, err := m.Find(labelled("m", "canary")); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "Unrecognized servable version label: canary") {
		t.Error(err)
	}
	if _, err := m.Find(&servingpb.ModelSpec{}); status.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
}

// Requests never fail while versions come and go, and no engine is ended while
// it is asked.
func TestSwapsUnderLoad(t *testing.T) {
	base, l := t.TempDir(), &fakeLoader{}
	publish(t, base, "1")
	m := managed(t, l, managerOptions{})
	reload(t, m, OneModel("m", base))
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var asked, failed atomic.Int64
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				held, err := m.Find(named("m"))
				if err == nil {
					_, err = held.Predict(ctx, nil)
					held.Release()
				}
				if asked.Add(1); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	for v := 2; v <= 100; v++ {
		publish(t, base, fmt.Sprint(v))
		for {
			held, err := m.Find(named("m"))
			if err != nil {
				t.Fatal(err)
			}
			now := held.Version()
			held.Release()
			if now == int64(v) {
				break
			}
		}
		if err := os.RemoveAll(filepath.Join(base, fmt.Sprint(v-1))); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	clients.Wait()
	if failed.Load() > 0 || l.badly.Load() > 0 || asked.Load() == 0 {
		t.Errorf("%d of %d requests failed, %d reached an engine that had ended", failed.Load(), asked.Load(), l.badly.Load())
	}
}
