package serving

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	configpb "github.com/wamuir/graft/tensorflow/serving/config_go_proto"
	codepb "github.com/wamuir/graft/tensorflow/tsl/protobuf/for_core_protos_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// The states of a version, as ModelService tells them.
const (
	stateStart     = servingpb.ModelVersionStatus_START
	stateLoading   = servingpb.ModelVersionStatus_LOADING
	stateAvailable = servingpb.ModelVersionStatus_AVAILABLE
	stateUnloading = servingpb.ModelVersionStatus_UNLOADING
	stateEnd       = servingpb.ModelVersionStatus_END
)

// backend computes for one loaded version.
type backend interface {
	predictor
	signatureDefs() map[string]*corepb.SignatureDef
	stop() // ends it, and returns when it is gone
}

// versionID says what is to be loaded.
type versionID struct {
	model  string
	number int64
	dir    string
}

// opener loads a version. Cancelling ctx gives it up.
type opener func(ctx context.Context, id versionID) (backend, error)

// version is one version on its way from START to END. Its fields are guarded
// by the manager's mutex.
type version struct {
	versionID
	state   servingpb.ModelVersionStatus_State
	err     error // why it could not be loaded, or not yet
	backend backend
	held    int
	aspired bool // its model wants it

	cancel  context.CancelFunc // ends loading
	unload  chan struct{}      // closed when it must go
	idle    chan struct{}      // closed when it must go and nobody holds it
	again   chan struct{}      // gets a value when its files have changed since it failed
	tried   string             // what its files were at the last attempt
	seen    string             // and at the last look
	failed  bool               // and it is not tried again by itself
	leaving bool
}

// hold makes v stay loaded. The manager's mutex is held.
func (v *version) hold(m *manager) *heldVersion {
	v.held++
	return &heldVersion{v: v, m: m}
}

// status is v as ModelService tells it.
func (v *version) status() *servingpb.ModelVersionStatus {
	s := &servingpb.ModelVersionStatus{Version: v.number, State: v.state, Status: &servingpb.StatusProto{}}
	if v.state == stateAvailable && !v.backend.ready() {
		s.State = stateLoading // its engine died and is being started again
	}
	if v.err != nil {
		s.Status.ErrorCode, s.Status.ErrorMessage = loadCode(v.err), v.err.Error()
	}
	return s
}

func loadCode(err error) codepb.Code {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return codepb.Code(codes.NotFound)
	case errors.Is(err, context.Canceled):
		return codepb.Code(codes.Canceled)
	}
	return codepb.Code(codes.Internal)
}

// heldVersion is what a request holds.
type heldVersion struct {
	v        *version
	m        *manager
	released bool
}

func (h *heldVersion) Name() string   { return h.v.model }
func (h *heldVersion) Version() int64 { return h.v.number }
func (h *heldVersion) Signatures() map[string]*corepb.SignatureDef {
	return h.v.backend.signatureDefs()
}

func (h *heldVersion) Predict(ctx context.Context, r *servingpb.PredictRequest) (*servingpb.PredictResponse, error) {
	begin := time.Now()
	out, err := h.v.backend.Predict(ctx, r)
	h.m.o.Observe(h.v.model, time.Since(begin))
	return out, err
}

// Release lets go. A second call does nothing.
func (h *heldVersion) Release() {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if h.released {
		return
	}
	h.released = true
	h.v.held--
	h.v.wakeIfIdle()
}

func (v *version) wakeIfIdle() {
	if v.leaving && v.held == 0 {
		close(v.idle)
	}
}

// policy chooses among the versions that are there.
type policy = configpb.FileSystemStoragePathSourceConfig_ServableVersionPolicy

// scan lists the versions below base that p wants: number to directory. Names
// that are no numbers are passed over, as TensorFlow Serving does. remarks are
// sentences for the log.
func scan(base string, p *policy) (wanted map[int64]string, remarks []string, err error) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return nil, nil, fmt.Errorf("serving: model base path: %w", err)
	}
	there := map[int64]string{}
	for _, e := range entries { // in the order of their names: of 007 and 7, the latter stays
		n, ok := versionNumber(e.Name())
		if !ok || !isDirectory(filepath.Join(base, e.Name())) {
			continue
		}
		if other, ok := there[n]; ok {
			remarks = append(remarks, fmt.Sprintf("version %d is there twice: %s is loaded, %s is not", n, e.Name(), filepath.Base(other)))
		}
		there[n] = filepath.Join(base, e.Name())
	}
	wanted, missing := choose(there, p)
	for _, n := range missing {
		remarks = append(remarks, fmt.Sprintf("version %d is asked for by the version policy and is not below %s", n, base))
	}
	if len(there) == 0 {
		remarks = append(remarks, fmt.Sprintf("%s has no version: no directory in it is named by a number; `nasnet export` writes one", base))
	}
	return wanted, remarks, nil
}

// versionNumber reads a directory's name: digits, and nothing else, so that
// "+7" or ".tmp-7" is none.
func versionNumber(name string) (int64, bool) {
	if strings.Trim(name, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(name, 10, 64)
	return n, err == nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path) // follows a link: a mounted model often is one
	return err == nil && info.IsDir()
}

// choose applies a policy; missing are versions that it names and that are not there.
func choose(there map[int64]string, p *policy) (wanted map[int64]string, missing []int64) {
	if p.GetAll() != nil {
		return there, nil
	}
	wanted = map[int64]string{}
	if s := p.GetSpecific(); s != nil {
		for _, n := range s.GetVersions() {
			if dir, ok := there[n]; ok {
				wanted[n] = dir
			} else {
				missing = append(missing, n)
			}
		}
		return wanted, missing
	}
	numbers := newestFirst(there)
	for _, n := range numbers[:min(len(numbers), max(1, int(p.GetLatest().GetNumVersions())))] {
		wanted[n] = there[n]
	}
	return wanted, nil
}

func newestFirst[T any](versions map[int64]T) []int64 {
	var numbers []int64
	for n := range versions {
		numbers = append(numbers, n)
	}
	slices.SortFunc(numbers, func(a, b int64) int { return cmp.Compare(b, a) })
	return numbers
}

// Newest returns the highest numbered version below base, and its directory.
func Newest(base string) (int64, string, error) {
	wanted, remarks, err := scan(base, nil)
	if err != nil {
		return 0, "", err
	}
	for n, dir := range wanted {
		return n, dir, nil
	}
	return 0, "", fmt.Errorf("serving: %s", strings.Join(remarks, "; "))
}

// stampOf tells a version's files apart from what they were before: names, sizes
// and times of at most a few thousand files.
func stampOf(dir string) string {
	var b strings.Builder
	files := 0
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if files++; err != nil || files > 4096 {
			return filepath.SkipAll
		}
		if info, err := e.Info(); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return b.String()
}

// ReadSignatures reads a SavedModel's signatures without TensorFlow.
func ReadSignatures(dir string) (map[string]*corepb.SignatureDef, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "saved_model.pb"))
	if err != nil {
		return nil, fmt.Errorf("serving: %s is not a SavedModel: %w", dir, err)
	}
	var pb corepb.SavedModel
	if err := proto.Unmarshal(raw, &pb); err != nil {
		return nil, fmt.Errorf("serving: %s: saved_model.pb is damaged: %w", dir, err)
	}
	for _, g := range pb.GetMetaGraphs() {
		for _, tag := range g.GetMetaInfoDef().GetTags() {
			if tag == "serve" {
				return g.GetSignatureDef(), nil
			}
		}
	}
	return nil, fmt.Errorf("serving: %s has no graph tagged \"serve\"", dir)
}

// notFound is TensorFlow Serving's answer where no version is available.
func notFound(spec *servingpb.ModelSpec, number *int64) error {
	if number == nil {
		return status.Errorf(codes.NotFound, "Servable not found for request: Latest(%s)", spec.GetName())
	}
	return status.Errorf(codes.NotFound, "Servable not found for request: Specific(%s, %d)", spec.GetName(), *number)
}
