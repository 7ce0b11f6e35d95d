package train

import (
	"context"
	"fmt"
)

// due reports whether there is an evaluation after so many steps.
func (e Evaluation) due(done int64, last bool) bool {
	return e.Run != nil && (last || e.Every > 0 && done%e.Every == 0)
}

// evaluate measures the network as it is, adds the figures to the report and
// keeps account of the best.
func (t *Trainer) evaluate(ctx context.Context, p *Progress) error {
	figures, err := t.o.Evaluation.Run(ctx, t)
	if err != nil {
		return fmt.Errorf("train: evaluation after step %d: %w", p.Step, err)
	}
	for name, v := range figures {
		p.add("eval_"+name, v)
	}
	t.state.Evaluated = p.Step
	return t.judge(figures)
}

// judge compares the metric with the best so far.
func (t *Trainer) judge(figures map[string]float64) error {
	e, st := t.o.Evaluation, &t.state
	if e.Metric == "" {
		return nil
	}
	v, ok := figures[e.Metric]
	if !ok {
		return fmt.Errorf("train: the evaluation returned no %q, which is to say what is best", e.Metric)
	}
	if st.Best == nil || e.Lower && v < st.Best.Metric || !e.Lower && v > st.Best.Metric {
		st.Best, st.Stale = &Best{st.Step, v}, 0
		return nil
	}
	st.Stale++
	if e.Patience > 0 && st.Stale >= e.Patience && st.Ended == "" {
		st.Ended = fmt.Sprintf("early stop: %d evaluations without a better %s than %g at step %d", st.Stale, e.Metric, st.Best.Metric, st.Best.Step)
	}
	return nil
}
