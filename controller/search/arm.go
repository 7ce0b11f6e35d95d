package search

import (
	"fmt"
	"slices"

	"github.com/nasnet-go/nasnet/controller"
	"github.com/nasnet-go/nasnet/controller/search/ledger"
)

// arm is a policy and its trials.
type arm struct {
	namedArm
	policy   controller.Policy
	uniform  controller.Policy // where the policy proposes nothing that the gate lets through
	learns   bool              // has updates
	barrier  bool              // a batch waits for the one before
	ids      []ledger.Segment  // the plan: which numbers the trials have
	starts   []int             // first index of each batch, and at last the number planned
	trials   []*Trial          // sampled so far, by index
	queue    []*Trial          // of these: pending ones, by index
	batch    int               // batches completed, where there are barriers
	open     int               // trials of the current batch that have not ended
	fresh    []*Trial          // without barriers: ended, not yet learned from
	imports  int               // updates that taught imported outcomes
	rungs    []Rung            // for trials of the current batch
	refused  int               // samples that the gate rejected
	imported int               // outcomes of another run that it learned from
}

func (e *Experiment) newArm(n namedArm) (*arm, error) {
	a := &arm{namedArm: n, learns: n.name != controller.Random}
	a.barrier = e.spec.Mode != Async && (a.learns || e.spec.Stopping.on())
	var err error
	if a.policy, err = e.newPolicy(n); err != nil {
		return nil, err
	}
	n.policy, n.seed = controller.Config{Policy: controller.Random}, seedFor(n.seed, "uniform", n.name)
	a.uniform, err = e.newPolicy(n)
	return a, err
}

// newPolicy makes an arm's policy as it was before all updates. The budget is
// that of the beginning, so that an extended search keeps its settings.
func (e *Experiment) newPolicy(n namedArm) (controller.Policy, error) {
	return e.o.policies(n.policy, e.spec.Space.Sizes(), n.trials, n.seed)
}

// extend takes a segment of the plan. Batches do not cross segments, so what
// was sampled stays as it is when more is planned.
func (a *arm) extend(s ledger.Segment) {
	if n := len(a.starts); n > 0 {
		a.starts = a.starts[:n-1]
	}
	for i := s.First; i < s.First+s.Trials; i += a.policy.BatchSize() {
		a.starts = append(a.starts, i)
	}
	a.starts = append(a.starts, s.First+s.Trials)
}

func (a *arm) planned() int { return a.starts[len(a.starts)-1] }

// due is up to which index trials can be sampled now.
func (a *arm) due() int {
	const ahead = 64 // rows of one transaction, where nothing bounds them
	switch {
	case a.barrier && a.batch+1 < len(a.starts):
		return a.starts[a.batch+1]
	case a.barrier:
		return a.planned()
	case a.learns: // asynchronous: as late as possible, to know as much as possible
		return min(len(a.trials)+1, a.planned())
	}
	return min(len(a.trials)+ahead, a.planned())
}

// push puts a pending trial into the queue, at its place.
func (a *arm) push(t *Trial) {
	at, _ := slices.BinarySearchFunc(a.queue, t.Index, func(x *Trial, index int) int { return x.Index - index })
	a.queue = slices.Insert(a.queue, at, t)
}

func (a *arm) pop() *Trial {
	if len(a.queue) == 0 {
		return nil
	}
	t := a.queue[0]
	a.queue[0] = nil
	a.queue = a.queue[1:]
	return t
}

// current are the trials of the batch that is under way.
func (a *arm) current() []*Trial {
	return a.trials[a.starts[a.batch]:min(a.starts[a.batch+1], len(a.trials))]
}

// completed reports whether the current batch is sampled and has ended.
func (a *arm) completed() bool {
	return a.batch+1 < len(a.starts) && len(a.trials) >= a.starts[a.batch+1] && a.open == 0
}

// retries of a rejected sample: first of the policy, then uniform ones, for a
// policy may have settled on what is not allowed.
const (
	policyTries  = 100
	uniformTries = 1000
)

// choose is try number try for a trial: a function of seed, version, index and
// try alone.
func (a *arm) choose(index, try int) []int {
	key := index + try<<40
	if try < policyTries {
		return a.policy.Sample(key)
	}
	return a.uniform.Sample(key)
}

// draw samples a trial that the gate lets through, and the rejections before it.
func (e *Experiment) draw(a *arm, index int) (*Trial, []ledger.Rejection, error) {
	var rejected []ledger.Rejection
	for try := range policyTries + uniformTries {
		choices := a.choose(index, try)
		g, err := e.spec.Space.Decode(choices)
		if err != nil {
			return nil, nil, fmt.Errorf("search: trial %d of %s: %w", index, a.name, err)
		}
		g = g.Canonical() // equal cells are trained as one: their reward must not depend on which is
		g.Name = fmt.Sprintf("%s-%d", a.name, index)
		var costs map[string]float64
		reason := ""
		if e.o.Gate != nil {
			costs, reason = e.o.Gate(g)
		}
		costs = finite(costs)
		if reason == "" {
			return &Trial{
				ID: e.idOf(a, index), Arm: a.name, Index: index, Version: a.policy.Version(), Choices: choices, Genotype: g.String(), Hash: g.Hash(),
				State: Pending, Metrics: costs, Reused: -1,
			}, rejected, nil
		}
		rejected = append(rejected, ledger.Rejection{Arm: a.name, Index: index, Try: try, Choices: choices, Hash: g.Hash(), Costs: costs, Reason: reason})
	}
	last := rejected[len(rejected)-1].Reason
	return nil, nil, fmt.Errorf("search: trial %d of %s: %d samples in a row, the last one for %s: %w; loosen the limits or change the space", index, a.name, len(rejected), last, ErrRejected)
}

// sample records the trials of an arm that are due.
func (e *Experiment) sample(a *arm) error {
	var trials []*Trial
	var rejected []ledger.Rejection
	for i := len(a.trials); i < a.due(); i++ {
		t, r, err := e.draw(a, i)
		if err != nil {
			return err
		}
		trials, rejected = append(trials, t), append(rejected, r...)
	}
	if len(trials) == 0 {
		return nil
	}
	e.crash.point("before-sample")
	if err := e.ledger.Add(trials, rejected); err != nil {
		return err
	}
	e.crash.point("after-sample")
	a.refused += len(rejected)
	for _, t := range trials {
		e.byID[t.ID] = t
		a.trials = append(a.trials, t)
		a.open++
		a.push(t)
	}
	return nil
}

// advance updates a policy with the batches that are complete.
func (e *Experiment) advance(a *arm) error {
	for {
		var lesson []*Trial
		switch {
		case a.barrier && a.completed():
			lesson = a.current()
		case !a.barrier && a.learns && (len(a.fresh) >= a.policy.BatchSize() || len(a.fresh) > 0 && a.open == 0 && len(a.trials) == a.planned()):
			lesson = a.fresh[:min(len(a.fresh), a.policy.BatchSize())]
		default:
			return nil
		}
		if a.learns {
			if err := e.teach(a, lesson); err != nil {
				return err
			}
		}
		if a.barrier {
			a.batch++
		} else {
			a.fresh = a.fresh[len(lesson):]
		}
		a.rungs = e.spec.Stopping.rungs(a.before())
	}
}

// before are the trials whose values may stop others now.
func (a *arm) before() []*Trial {
	if a.barrier {
		return a.trials[:min(len(a.trials), a.starts[a.batch])]
	}
	return a.trials
}

// teach updates the policy and records that. A new arm's first state is
// recorded with a nil lesson.
func (e *Experiment) teach(a *arm, lesson []*Trial) error {
	e.crash.point("before-update")
	if err := e.tell(a, lesson); err != nil {
		return err
	}
	if err := e.recordUpdate(a, lesson); err != nil {
		return err
	}
	e.crash.point("after-update")
	e.emit(Event{Kind: "updated", Arm: a.name})
	return nil
}

// tell updates the policy alone.
func (e *Experiment) tell(a *arm, lesson []*Trial) error {
	outcomes := make([]controller.Outcome, len(lesson))
	for i, t := range lesson {
		outcomes[i] = controller.Outcome{Trial: t.Index, Choices: t.Choices, Reward: t.Reward, Failed: t.State == Failed}
		if outcomes[i].Failed {
			outcomes[i].Reward = e.spec.Floor
		}
	}
	if err := a.policy.Update(outcomes); err != nil {
		return fmt.Errorf("search: update %d of %s: %w", a.policy.Version()+1, a.name, err)
	}
	return nil
}

// snapshotEvery is how many updates a resumed search replays at most.
const snapshotEvery = 25

// snapshotter is a policy whose state can be kept.
type snapshotter interface {
	State() ([]byte, error)
	Restore([]byte) error
}

func (e *Experiment) recordUpdate(a *arm, lesson []*Trial) error {
	u := ledger.Update{Arm: a.name, Version: a.policy.Version(), Digest: a.policy.Digest(), Stats: finite(a.policy.Stats())}
	for _, t := range lesson {
		u.Trials = append(u.Trials, t.ID)
	}
	var state []byte
	if s, ok := a.policy.(snapshotter); ok && u.Version > 0 && u.Version%snapshotEvery == 0 {
		var err error
		if state, err = s.State(); err != nil {
			return fmt.Errorf("search: state of %s: %w", a.name, err)
		}
	}
	return e.ledger.AddUpdate(u, state)
}
