package train

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// Profile takes n more steps, which no metric and no checkpoint knows of, and
// returns what the operations of each type took in all of them.
func (t *Trainer) Profile(n int64) ([]tfgraph.KindTime, error) {
	sums := map[string]*tfgraph.KindTime{}
	for i := range n {
		step := t.state.Step + i
		feeds, err := t.step.feeds(step, step, t.o)
		if err != nil {
			return nil, err
		}
		kinds, err := t.Session.Trace(feeds, t.step.train)
		if err != nil {
			return nil, fmt.Errorf("train: profile: %w", err)
		}
		for _, k := range kinds {
			if sums[k.Kind] == nil {
				sums[k.Kind] = &tfgraph.KindTime{Kind: k.Kind}
			}
			sums[k.Kind].Count += k.Count
			sums[k.Kind].Time += k.Time
		}
	}
	list := make([]tfgraph.KindTime, 0, len(sums))
	for _, k := range sums {
		list = append(list, *k)
	}
	slices.SortFunc(list, func(a, b tfgraph.KindTime) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Kind, b.Kind))
	})
	return list, nil
}
