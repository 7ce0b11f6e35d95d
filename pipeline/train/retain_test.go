package train

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// saved makes checkpoints of the given steps, one a minute, newest first.
func saved(steps ...int64) []Checkpoint {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var list []Checkpoint
	for i, s := range steps {
		list = append(list, Checkpoint{"", State{Step: s, Saved: begin.Add(time.Duration(i) * time.Minute)}})
	}
	slices.Reverse(list)
	return list
}

func steps(list []Checkpoint) []int64 {
	out := []int64{}
	for _, c := range list {
		out = append(out, c.State.Step)
	}
	return out
}

func TestRetention(t *testing.T) {
	all := saved(10, 20, 30, 40, 50, 60)
	for name, c := range map[string]struct {
		r     retention
		saved State
		want  []int64
	}{
		"the newest":               {retention{newest: 2}, State{Step: 60}, []int64{50, 60}},
		"the best too":             {retention{newest: 1}, State{Step: 60, Best: &Best{Step: 20}}, []int64{20, 60}},
		"one each two minutes":     {retention{newest: 1, every: 2 * time.Minute}, State{Step: 60}, []int64{10, 30, 50, 60}},
		"what was just saved":      {retention{}, State{Step: 60}, []int64{60}},
		"nothing of a lost future": {retention{newest: 2}, State{Step: 40}, []int64{30, 40}},
	} {
		stay, gone := c.r.split(all, c.saved)
		if !slices.Equal(steps(stay), c.want) {
			t.Errorf("%s: %v stay, want %v", name, steps(stay), c.want)
		}
		for _, g := range gone {
			if g.State.Step > c.saved.Step {
				t.Errorf("%s: step %d of a lost future goes", name, g.State.Step)
			}
		}
	}
}

func TestRetentionProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfNDistinct(rapid.Int64Range(1, 99), 1, 20, rapid.ID[int64]).Draw(t, "steps")
		slices.Sort(numbers)
		list := saved(numbers...)
		now := State{Step: rapid.SampledFrom(numbers).Draw(t, "saved")}
		if rapid.Bool().Draw(t, "has best") {
			now.Best = &Best{Step: rapid.SampledFrom(numbers).Draw(t, "best")}
		}
		r := retention{rapid.IntRange(0, 5).Draw(t, "newest"), time.Duration(rapid.IntRange(0, 5).Draw(t, "minutes")) * time.Minute}
		stay, gone := r.split(list, now)
		if !slices.Contains(steps(stay), now.Step) {
			t.Fatalf("%d, just saved, goes; %v stay", now.Step, steps(stay))
		}
		if now.Best != nil && now.Best.Step <= now.Step && !slices.Contains(steps(stay), now.Best.Step) {
			t.Fatalf("%d, the best, goes", now.Best.Step)
		}
		if !slices.IsSorted(steps(stay)) {
			t.Fatalf("not oldest first: %v", steps(stay))
		}
		for _, s := range steps(gone) {
			if slices.Contains(steps(stay), s) {
				t.Fatalf("%d both stays and goes", s)
			}
		}
		again, _ := r.split(append([]Checkpoint(nil), reversed(stay)...), now)
		if !slices.Equal(steps(again), steps(stay)) {
			t.Fatalf("a second time %v stay, after %v", steps(again), steps(stay))
		}
	})
}

func reversed(list []Checkpoint) []Checkpoint {
	out := slices.Clone(list)
	slices.Reverse(out)
	return out
}
