package train

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/nasnet-go/nasnet/tfgraph"
)

// ErrDiverged is in the chain of a [DivergedError].
var ErrDiverged = errors.New("the loss or its gradient is not finite")

// DivergedError says that a loss or a gradient is no longer a finite number.
type DivergedError struct {
	Step       int64 // that failed, counted from 0
	Loss       float64
	Rate       float64    // learning rate
	Largest    []Gradient // of the last step whose gradients were finite; none before the first
	NotFinite  []string   // variables whose gradients are not, at most five
	Checkpoint string     // the last one, which is finite; "" if there is none
}

// Gradient is a variable's, by the root of its sum of squares, before clipping.
type Gradient struct {
	Variable string
	Norm     float64
}

func (e *DivergedError) Unwrap() error { return ErrDiverged }

func (e *DivergedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "train: step %d: %v (loss %g) at learning rate %g; a smaller rate, a warm-up or a gradient clip may help", e.Step, ErrDiverged, e.Loss, e.Rate)
	if len(e.NotFinite) > 0 {
		fmt.Fprintf(&b, "; not finite: the gradients of %s", strings.Join(e.NotFinite, ", "))
	}
	if len(e.Largest) > 0 {
		b.WriteString("; largest gradients one step before:")
		for i, g := range e.Largest {
			fmt.Fprintf(&b, "%s %s %.3g", map[bool]string{true: ","}[i > 0], g.Variable, g.Norm)
		}
	}
	if e.Checkpoint != "" {
		fmt.Fprintf(&b, "; the last checkpoint, %s, is finite", e.Checkpoint)
	} else {
		b.WriteString("; there is no checkpoint before it")
	}
	return b.String()
}

// finite returns a DivergedError if step n's loss or gradients are not finite.
func (t *Trainer) finite(n int64, m outcome) error {
	if !bad(m.loss()) && !bad(m.norm()) {
		t.norms = m.norms
		return nil
	}
	e := &DivergedError{Step: n, Loss: m.loss(), Rate: t.o.Rate(n), Largest: largest(t.step.vars, t.norms), Checkpoint: t.result.Checkpoint}
	for i, v := range t.step.vars {
		if len(e.NotFinite) < 5 && bad(float64(m.norms[i])) {
			e.NotFinite = append(e.NotFinite, v.Name)
		}
	}
	return e
}

// largest are the five largest gradients.
func largest(vars []*tfgraph.Variable, norms []float32) []Gradient {
	var list []Gradient
	for i, n := range norms {
		list = append(list, Gradient{vars[i].Name, math.Sqrt(2 * float64(n))})
	}
	slices.SortStableFunc(list, func(a, b Gradient) int { return cmp.Compare(b.Norm, a.Norm) })
	return list[:min(5, len(list))]
}

func bad(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }
