package serving

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	configpb "github.com/wamuir/graft/tensorflow/serving/config_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// managerOptions configures a manager.
type managerOptions struct {
	Open    opener
	Retries int           // of a load, after the first failure
	Wait    time.Duration // between them
	Poll    time.Duration // between looks at the base paths; 0: one look
	Loads   int           // at once; at least 1
	// UnavailableLabels lets a label name a version that is not there yet.
	UnavailableLabels bool
	Observe           func(model string, took time.Duration) // a prediction
	Log               zerolog.Logger
}

// manager keeps loaded what the configuration wants: it looks for versions,
// loads a new one before it lets an old one go, and ends a version when no
// request holds it any longer.
type manager struct {
	o      managerOptions
	life   context.Context
	end    context.CancelFunc
	work   sync.WaitGroup // goroutines
	loads  chan struct{}  // one token a load
	reload sync.Mutex     // one at a time

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, with every change of a state
	models  map[string]*model
}

// model is one entry of the configuration.
type model struct {
	name, base string
	policy     *policy
	labels     map[string]int64
	wanted     map[int64]string // number to directory, at the last look
	versions   map[int64]*version
	ended      []*servingpb.ModelVersionStatus // the last ones that were unloaded
	remarks    string                          // of the last look
	gone       bool                            // no longer configured
	unread     bool                            // the last look could not read its base path
}

// keptEnded bounds how many unloaded versions a model remembers.
const keptEnded = 32

func newManager(ctx context.Context, o managerOptions) *manager {
	if o.Observe == nil {
		o.Observe = func(string, time.Duration) {}
	}
	m := &manager{o: o, loads: make(chan struct{}, max(1, o.Loads)), changed: make(chan struct{}), models: map[string]*model{}}
	m.life, m.end = context.WithCancel(context.WithoutCancel(ctx))
	if o.Poll > 0 {
		m.work.Go(m.poll)
	}
	return m
}

// close unloads everything, at once even where requests hold it.
func (m *manager) close() {
	m.end()
	m.work.Wait()
}

// Find implements Models.
func (m *manager) Find(spec *servingpb.ModelSpec) (Held, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	number, err := m.number(spec)
	if err != nil {
		return nil, err
	}
	mod := m.models[spec.GetName()]
	if mod == nil {
		return nil, notFound(spec, number)
	}
	if number != nil {
		if v := mod.versions[*number]; v != nil && v.state == stateAvailable {
			return v.hold(m), nil
		}
		return nil, notFound(spec, number)
	}
	if v := mod.newest(); v != nil {
		return v.hold(m), nil
	}
	return nil, notFound(spec, nil)
}

// newest is the available version with the highest number, or nil.
func (mod *model) newest() *version {
	for _, n := range newestFirst(mod.versions) {
		if v := mod.versions[n]; v.state == stateAvailable {
			return v
		}
	}
	return nil
}

// number is the version that spec asks for, or nil where it asks for the newest.
func (m *manager) number(spec *servingpb.ModelSpec) (*int64, error) {
	if spec.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "ModelSpec has no name specified.")
	}
	switch choice := spec.GetVersionChoice().(type) {
	case *servingpb.ModelSpec_Version:
		n := choice.Version.GetValue()
		return &n, nil
	case *servingpb.ModelSpec_VersionLabel:
		if mod := m.models[spec.GetName()]; mod != nil {
			if n, ok := mod.labels[choice.VersionLabel]; ok {
				return &n, nil
			}
		}
		return nil, status.Errorf(codes.InvalidArgument, "Unrecognized servable version label: %s", choice.VersionLabel)
	}
	return nil, nil
}

// Status implements Models.
func (m *manager) Status(spec *servingpb.ModelSpec) ([]*servingpb.ModelVersionStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	number, err := m.number(spec)
	if err != nil {
		return nil, err
	}
	var all []*servingpb.ModelVersionStatus
	if mod := m.models[spec.GetName()]; mod != nil {
		all = mod.statuses()
	}
	if number != nil {
		all = slices.DeleteFunc(all, func(s *servingpb.ModelVersionStatus) bool { return s.GetVersion() != *number })
		if len(all) == 0 {
			return nil, status.Errorf(codes.NotFound, "Could not find version %d of model %s", *number, spec.GetName())
		}
	}
	if len(all) == 0 {
		return nil, status.Errorf(codes.NotFound, "Could not find any versions of model %s", spec.GetName())
	}
	return all, nil
}

// statuses are those of every version, newest first.
func (mod *model) statuses() []*servingpb.ModelVersionStatus {
	byNumber := map[int64]*servingpb.ModelVersionStatus{}
	for _, s := range mod.ended {
		byNumber[s.GetVersion()] = s
	}
	for n, v := range mod.versions {
		byNumber[n] = v.status()
	}
	var all []*servingpb.ModelVersionStatus
	for _, n := range newestFirst(byNumber) {
		all = append(all, byNumber[n])
	}
	return all
}

// Reload implements Models.
func (m *manager) Reload(ctx context.Context, config *configpb.ModelServerConfig) error {
	m.reload.Lock()
	defer m.reload.Unlock()
	list, err := configured(config)
	if err != nil {
		return err
	}
	for _, mod := range list {
		mod.look(m.o.Log)
	}
	if err := m.labelsExist(list); err != nil {
		return err
	}
	m.mu.Lock()
	m.replace(list)
	m.mu.Unlock()
	failed := m.settled(ctx, list)
	return errors.Join(failed, m.label(list))
}

// replace makes list the models that are served. The mutex is held.
func (m *manager) replace(list map[string]*model) {
	for name, old := range m.models {
		if list[name] == nil {
			old.gone, old.wanted = true, nil
			m.reconcile(old)
		}
	}
	for name, mod := range list {
		old := m.models[name]
		if old == nil {
			m.models[name] = mod
			labels := mod.labels
			mod.labels = nil // they count when their versions are there
			m.reconcile(mod)
			list[name] = &model{name: name, labels: labels}
			continue
		}
		old.gone, old.base, old.policy, old.remarks = false, mod.base, mod.policy, mod.remarks
		if !mod.unread {
			old.wanted = mod.wanted
		}
		m.reconcile(old)
	}
}

// settled waits until each model has a version available, or cannot have one, and
// the same of versions with labels.
func (m *manager) settled(ctx context.Context, list map[string]*model) error {
	for {
		m.mu.Lock()
		changed := m.changed
		waiting, failures := false, []string{}
		for name, mod := range list {
			settled, why := m.models[name].settled()
			waiting = waiting || !settled || m.models[name].awaits(mod.labels)
			failures = append(failures, why...)
		}
		m.mu.Unlock()
		switch {
		case !waiting && len(failures) > 0:
			return status.Errorf(codes.Unknown, "%d version(s) did not become available: %s", len(failures), strings.Join(failures, "; "))
		case !waiting:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-m.life.Done():
			return status.Error(codes.Canceled, "the server is shutting down")
		}
	}
}

// settled reports whether nothing more is to be waited for, and why a model
// that wants versions has none.
func (mod *model) settled() (bool, []string) {
	if mod == nil || mod.newest() != nil || len(mod.wanted) == 0 {
		return true, nil
	}
	var why []string
	for n := range mod.wanted {
		v := mod.versions[n]
		if v == nil || !v.failed {
			return false, nil
		}
		why = append(why, v.err.Error())
	}
	return true, why
}

// awaits reports whether a version with a label is still to be loaded.
func (mod *model) awaits(labels map[string]int64) bool {
	for _, n := range labels {
		v := mod.versions[n]
		if _, wanted := mod.wanted[n]; wanted && (v == nil || v.state != stateAvailable && !v.failed) {
			return true
		}
	}
	return false
}

// labelsExist refuses labels of versions that are not, and will not be, there.
func (m *manager) labelsExist(list map[string]*model) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, mod := range list {
		for label, n := range mod.labels {
			_, coming := mod.wanted[n]
			if old := m.models[name]; old != nil && old.versions[n] != nil && old.versions[n].state == stateAvailable && coming {
				continue
			}
			if !coming && !m.o.UnavailableLabels {
				return status.Errorf(codes.FailedPrecondition, "Request to assign label to version %d of model %s, which is not currently available for inference (label %q)", n, name, label)
			}
		}
	}
	return nil
}

// label sets the models' labels, now that their versions are loaded.
func (m *manager) label(list map[string]*model) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for name, mod := range list {
		served := m.models[name]
		labels := map[string]int64{}
		for label, n := range mod.labels {
			if v := served.versions[n]; !m.o.UnavailableLabels && (v == nil || v.state != stateAvailable) {
				errs = append(errs, status.Errorf(codes.FailedPrecondition, "label %q of model %s: version %d could not be loaded", label, name, n))
				if old, ok := served.labels[label]; ok {
					labels[label] = old
				}
				continue
			}
			labels[label] = n
		}
		served.labels = labels
	}
	return errors.Join(errs...)
}

// look scans a model's base path. A base path that cannot be read leaves the
// versions as they are: a mount may come back. What is remarkable is logged
// when it changes.
func (mod *model) look(log zerolog.Logger) {
	wanted, remarks, err := scan(mod.base, mod.policy)
	if mod.unread = err != nil; mod.unread {
		remarks = append(remarks, err.Error())
	} else {
		mod.wanted = wanted
	}
	if text := strings.Join(remarks, "; "); text != mod.remarks {
		mod.remarks = text
		if text != "" {
			log.Warn().Str("model", mod.name).Msg(text)
		}
	}
}

// poll looks for new versions until the manager's end.
func (m *manager) poll() {
	tick := time.NewTicker(m.o.Poll)
	defer tick.Stop()
	for {
		select {
		case <-m.life.Done():
			return
		case <-tick.C:
		}
		for _, seen := range m.glance() {
			seen.look(m.o.Log)
			m.mu.Lock()
			if mod := m.models[seen.name]; mod != nil && !mod.gone && mod.base == seen.base && mod.policy == seen.policy {
				mod.wanted, mod.remarks = seen.wanted, seen.remarks
				m.reconcile(mod)
			}
			m.mu.Unlock()
		}
		m.nudge()
	}
}

// glance copies what a look needs, so that no file system is waited for under
// the mutex.
func (m *manager) glance() []*model {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*model
	for _, mod := range m.models {
		if !mod.gone {
			all = append(all, &model{name: mod.name, base: mod.base, policy: mod.policy, wanted: mod.wanted, remarks: mod.remarks})
		}
	}
	return all
}

// nudge has a version that failed tried again at once when its files have
// changed since, and are no longer changing: it was being copied.
func (m *manager) nudge() {
	m.mu.Lock()
	var failed []*version
	for _, mod := range m.models {
		for _, v := range mod.versions {
			if v.err != nil {
				failed = append(failed, v)
			}
		}
	}
	m.mu.Unlock()
	for _, v := range failed {
		now := stampOf(v.dir)
		m.mu.Lock()
		if now == v.seen && now != v.tried {
			select {
			case v.again <- struct{}{}:
			default:
			}
		}
		v.seen = now
		m.mu.Unlock()
	}
}

// reconcile starts what is wanted and lets go what is not, but nothing that is
// available before something wanted is. The mutex is held.
func (m *manager) reconcile(mod *model) {
	ready := len(mod.wanted) == 0
	for n, v := range mod.versions {
		_, v.aspired = mod.wanted[n]
		ready = ready || v.aspired && v.state == stateAvailable
	}
	for _, v := range mod.versions {
		switch {
		case v.aspired:
		case v.state == stateAvailable && ready:
			v.leave()
		case v.state == stateStart || v.state == stateLoading || v.failed:
			v.cancel()
		}
	}
	for n, dir := range mod.wanted {
		if mod.versions[n] == nil && m.life.Err() == nil {
			m.start(mod, versionID{model: mod.name, number: n, dir: dir})
		}
	}
	if mod.gone && len(mod.versions) == 0 && m.models[mod.name] == mod {
		delete(m.models, mod.name)
	}
	m.tell()
}

// leave makes v unavailable; it ends when nobody holds it.
func (v *version) leave() {
	v.state, v.leaving = stateUnloading, true
	close(v.unload)
	v.wakeIfIdle()
}

// tell wakes whoever waits for a change. The mutex is held.
func (m *manager) tell() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// start makes a version; it lives in a goroutine of its own. The mutex is held.
func (m *manager) start(mod *model, id versionID) {
	ctx, cancel := context.WithCancel(m.life)
	v := &version{
		versionID: id, state: stateStart, aspired: true, cancel: cancel,
		unload: make(chan struct{}), idle: make(chan struct{}), again: make(chan struct{}, 1),
	}
	mod.versions[id.number] = v
	m.work.Go(func() {
		defer cancel()
		m.live(ctx, v)
		m.mu.Lock()
		defer m.mu.Unlock()
		v.state, v.backend = stateEnd, nil
		delete(mod.versions, id.number)
		mod.ended = slices.DeleteFunc(mod.ended, func(s *servingpb.ModelVersionStatus) bool { return s.GetVersion() == id.number })
		mod.ended = append(mod.ended, v.status())
		mod.ended = mod.ended[max(0, len(mod.ended)-keptEnded):]
		m.reconcile(mod)
	})
}

// live is a version's life, from loading to its end.
func (m *manager) live(ctx context.Context, v *version) {
	log := m.o.Log.With().Str("model", v.model).Int64("version", v.number).Logger()
	b, err := m.loadUntil(ctx, v, log)
	if err != nil {
		return
	}
	defer b.stop()
	m.mu.Lock()
	v.backend, v.err, v.state = b, nil, stateAvailable
	m.reconcile(m.modelOf(v))
	m.mu.Unlock()
	log.Info().Msg("available")
	select {
	case <-v.unload:
	case <-m.life.Done():
		return
	}
	log.Info().Msg("unloading")
	select {
	case <-v.idle:
	case <-m.life.Done():
	}
}

// modelOf is the model that v belongs to, even one that is leaving.
func (m *manager) modelOf(v *version) *model { return m.models[v.model] }

// loadUntil loads v, as often as it takes or is allowed. It fails only when
// nobody wants v any more.
func (m *manager) loadUntil(ctx context.Context, v *version, log zerolog.Logger) (backend, error) {
	for left := m.o.Retries; ; left-- {
		b, err := m.load(ctx, v)
		if err == nil {
			return b, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var later <-chan time.Time
		m.mu.Lock()
		v.err, v.failed = err, left <= 0
		if v.failed {
			v.state = stateEnd
		} else {
			later = time.After(m.o.Wait)
		}
		m.tell()
		m.mu.Unlock()
		log.Error().Err(err).Int("retries_left", max(left, 0)).Msg("could not be loaded")
		select {
		case <-later:
		case <-v.again:
			left = m.o.Retries + 1
			log.Info().Msg("its files have changed; loading it again")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// load tries once, when its turn has come.
func (m *manager) load(ctx context.Context, v *version) (backend, error) {
	select {
	case m.loads <- struct{}{}:
		defer func() { <-m.loads }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	stamp := stampOf(v.dir)
	m.mu.Lock()
	v.state, v.failed, v.tried, v.seen = stateLoading, false, stamp, stamp
	m.tell()
	m.mu.Unlock()
	b, err := m.o.Open(ctx, v.versionID)
	if err != nil {
		return nil, fmt.Errorf("version %d of model %s cannot be loaded: %w", v.number, v.model, err)
	}
	return b, nil
}

// serves reports whether a model of that name is configured.
func (m *manager) serves(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.models[name] != nil
}

// counts are the versions of each model by their states, but for those that
// have ended.
func (m *manager) counts() map[string]map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]map[string]int{}
	for name, mod := range m.models {
		all[name] = map[string]int{"AVAILABLE": 0}
		for _, v := range mod.versions {
			all[name][v.status().GetState().String()]++
		}
	}
	return all
}

// newestVersions are the newest available version of each model; 0 where there
// is none.
func (m *manager) newestVersions() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]int64{}
	for name, mod := range m.models {
		all[name] = 0
		if v := mod.newest(); v != nil {
			all[name] = v.number
		}
	}
	return all
}
