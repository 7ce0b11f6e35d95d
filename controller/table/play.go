package table

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/nasnet-go/nasnet/controller"
)

// Run is what one search came to, judged by the truth.
type Run struct {
	Best    float64 // of the network with the largest reward
	Top25   float64 // mean of the 25 samples with the largest rewards, as reference field.md section 5 has it
	Last100 float64 // mean of the last 100 samples
	Unique  int     // different networks
	// UniqueTop25 counts no network twice: a policy that samples its favourite
	// again and again gains nothing by it.
	UniqueTop25 float64
}

const (
	topNetworks  = 25
	lastNetworks = 100
	// redraws bounds how often a trial is drawn again that the table does not
	// have: a space of which a table holds next to nothing cannot be searched.
	redraws = 10_000
)

// sampled is one trial.
type sampled struct {
	key           string
	reward, truth float64
}

// Play lets a policy search the table for so many trials. Networks that the
// table does not have are drawn again and cost nothing, as cells do that a
// search's static limits reject.
func (t *Table) Play(c controller.Config, trials int, seed uint64) (Run, error) {
	policy, err := controller.New(c, t.Sizes, trials, seed)
	if err != nil {
		return Run{}, err
	}
	luck := rand.New(rand.NewPCG(seed, 0x7461626c65)) // which training of a network this search sees
	known := map[string]float64{}
	var all []sampled
	var batch []controller.Outcome
	for draw := 0; len(all) < trials; draw++ {
		choices := policy.Sample(draw)
		k := key(choices)
		r, ok := t.rows[k]
		if !ok {
			if draw-len(all) > redraws {
				return Run{}, fmt.Errorf("table: %d of %d samples of %s are not in the table; it holds %d networks of its space", draw-len(all), draw, policy.Name(), t.Rows)
			}
			continue
		}
		if _, seen := known[k]; !seen {
			known[k] = r.rewards[luck.IntN(len(r.rewards))]
		}
		all = append(all, sampled{k, known[k], r.truth})
		batch = append(batch, controller.Outcome{Trial: draw, Choices: choices, Reward: known[k]})
		if len(batch) == policy.BatchSize() {
			if err := policy.Update(batch); err != nil {
				return Run{}, err
			}
			batch = nil
		}
	}
	return judge(all), nil
}

func judge(all []sampled) Run {
	best := slices.Clone(all)
	slices.SortStableFunc(best, func(a, b sampled) int { return cmp.Compare(b.reward, a.reward) })
	seen := map[string]bool{}
	unique := slices.DeleteFunc(slices.Clone(best), func(s sampled) bool {
		again := seen[s.key]
		seen[s.key] = true
		return again
	})
	return Run{
		Best: best[0].truth, Top25: truth(best[:min(topNetworks, len(best))]), Last100: truth(all[max(0, len(all)-lastNetworks):]),
		Unique: len(unique), UniqueTop25: truth(unique[:min(topNetworks, len(unique))]),
	}
}

// truth is the mean of the samples' true accuracies.
func truth(list []sampled) float64 {
	sum := 0.0
	for _, s := range list {
		sum += s.truth
	}
	return sum / float64(len(list))
}
