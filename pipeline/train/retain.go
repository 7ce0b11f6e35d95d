package train

import (
	"slices"
	"time"
)

// retention says which checkpoints stay.
type retention struct {
	newest int           // so many of the newest
	every  time.Duration // and one for each so much time; 0: none
}

// split divides a list, newest first, into those that stay, oldest first, and
// those that go. Just saved is the newest of this training; it stays whatever
// else does. Later steps, left behind by a resume that walked past them, count
// for nothing and stay until they are written anew.
func (r retention) split(list []Checkpoint, saved State) (stay, gone []Checkpoint) {
	var last time.Time // of the checkpoint that stays for good
	behind := 0        // how many of this training are newer
	for _, c := range list {
		if c.State.Step <= saved.Step {
			behind++
		}
	}
	for _, c := range slices.Backward(list) { // oldest first
		if c.State.Step > saved.Step {
			continue
		}
		forGood := r.every > 0 && !c.State.Saved.IsZero() && (last.IsZero() || c.State.Saved.Sub(last) >= r.every)
		if forGood {
			last = c.State.Saved
		}
		best := saved.Best != nil && saved.Best.Step == c.State.Step
		if behind <= max(1, r.newest) || best || forGood {
			stay = append(stay, c)
		} else {
			gone = append(gone, c)
		}
		behind--
	}
	return stay, gone
}
