package search

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"

	"github.com/nasnet-go/nasnet/controller"
)

// keeping is a policy that can be kept: its state is all it was told.
type keeping struct {
	controller.Policy
	fresh   func() controller.Policy
	told    [][]controller.Outcome
	lessons *atomic.Int64 // calls of Update from outside
}

func (k *keeping) Update(batch []controller.Outcome) error {
	k.lessons.Add(1)
	k.told = append(k.told, batch)
	return k.Policy.Update(batch)
}

func (k *keeping) State() ([]byte, error) { return json.Marshal(k.told) }

func (k *keeping) Restore(state []byte) error {
	if err := json.Unmarshal(state, &k.told); err != nil {
		return err
	}
	k.Policy = k.fresh()
	for _, batch := range k.told {
		if err := k.Policy.Update(batch); err != nil {
			return err
		}
	}
	return nil
}

// A resumed search replays no more than what follows the last snapshot; a
// snapshot that is not what the ledger says is not used.
func TestSnapshotsAreACacheAndNoTruth(t *testing.T) {
	s := spec(4 * (2*snapshotEvery + 3))
	var lessons atomic.Int64
	o := Options{Dir: t.TempDir(), Spec: s}
	o.policies = func(c controller.Config, sizes []int, budget int, seed uint64) (controller.Policy, error) {
		fresh := func() controller.Policy {
			p, err := controller.New(c, sizes, budget, seed)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		return &keeping{Policy: fresh(), fresh: fresh, lessons: &lessons}, nil
	}
	want := finish(t, t.TempDir(), s, 2, &fake{})
	equal(t, "with snapshots", finishWith(t, o, 2, &fake{}), want)
	again := func(what string, updates int64) {
		t.Helper()
		lessons.Store(0)
		equal(t, what, finishWith(t, o, 2, &fake{}), want)
		if n := lessons.Load(); n != updates {
			t.Errorf("%s: %d updates replayed, want %d", what, n, updates)
		}
	}
	again("from the snapshot", 3)
	tamper(t, o.Dir, `UPDATE snapshots SET state = CAST(replace(CAST(state AS TEXT), '"Reward":0.', '"Reward":1.') AS BLOB)`)
	again("with a snapshot that is wrong", 2*snapshotEvery+3)
	tamper(t, o.Dir, `UPDATE snapshots SET state = x'00'`)
	again("with a snapshot that is torn", 2*snapshotEvery+3)
	tamper(t, o.Dir, `UPDATE snapshots SET version = 3000`)
	again("with a snapshot of the future", 2*snapshotEvery+3)
	if r, err := Replay(context.Background(), o.Dir); err != nil || r.Difference != nil || r.Updates != 2*snapshotEvery+3 {
		t.Errorf("%+v %v", r, err)
	}
}
