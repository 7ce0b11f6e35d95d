package weights

import (
	"strings"

	"github.com/nasnet-go/nasnet/cells/model"
)

// Slim maps a checkpoint of slim's NASNet, or one of ours, which has the same
// names. A model with an auxiliary head takes its variables from the source if
// it has any, and goes without the head if not; where the model has none, the
// source's is left out.
func Slim(p *model.Plan, entries []Entry, o Options) (Mapping, error) {
	p, err := withoutAbsentHead(p, entries)
	if err != nil {
		return Mapping{}, err
	}
	m := newMatcher(p, entries, o)
	averaged := m.averaged()
	for _, v := range p.Variables() {
		name := v.Name
		// Moving statistics have averages of their own only where training kept
		// them (slim does, others do not).
		if _, ok := m.entries[name+AverageSuffix]; averaged && (ok || v.Trainable) {
			name += AverageSuffix
			m.mapping.Averages++
			m.used[v.Name] = true
		}
		m.take(v, name)
		m.used[v.Name+AverageSuffix] = true
	}
	return m.result(func(name string) bool { return trainingState(name, p, m.entries) })
}

// averaged tells whether moving averages are to be taken.
func (m *matcher) averaged() bool {
	if m.o.Averages != AveragesAuto && m.o.Averages != "" {
		return m.o.Averages == AveragesYes
	}
	for name := range m.entries {
		if strings.HasSuffix(name, AverageSuffix) {
			return true
		}
	}
	return false
}

// withoutAbsentHead plans the network anew without its auxiliary head if the
// source has no variable of one.
func withoutAbsentHead(p *model.Plan, entries []Entry) (*model.Plan, error) {
	if p.AuxLogits < 0 {
		return p, nil
	}
	for _, e := range entries {
		if auxiliary(e.Name) {
			return p, nil
		}
	}
	m := p.Model
	m.AuxHead = false
	return model.Build(m)
}

func auxiliary(name string) bool { return strings.HasPrefix(name, "aux_") }

// slots are the endings under which TensorFlow's optimizers keep their state
// beside a variable.
var slots = []string{"/Momentum", "/RMSProp", "/RMSProp_1", "/Adam", "/Adam_1", "/Adagrad", "/LAMB", "/LAMB_1"}

// trainingState tells what a training keeps in its checkpoints beside weights.
func trainingState(name string, p *model.Plan, entries map[string]Entry) bool {
	switch {
	case name == "global_step", name == "beta1_power", name == "beta2_power":
		return true
	case auxiliary(name) && p.AuxLogits < 0:
		return true
	}
	for _, slot := range slots {
		variable, is := strings.CutSuffix(name, slot)
		if _, beside := entries[variable]; is && beside {
			return true
		}
	}
	return false
}
