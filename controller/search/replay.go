package search

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/nasnet-go/nasnet/controller/search/ledger"
)

// ReplayError is the first record of a ledger that this program does not come
// to. errors.Is ErrReplay.
type ReplayError struct {
	Record string // such as "trial 17 (ppo 17)" or "update 3 of ppo"
	Ledger string // what the ledger has
	Here   string // what this program computes
}

func (e *ReplayError) Error() string {
	return fmt.Sprintf("search: %s: the ledger has %s, this program computes %s: %v", e.Record, e.Ledger, e.Here, ErrReplay)
}

func (e *ReplayError) Unwrap() error { return ErrReplay }

// Replayed says what a replay went through.
type Replayed struct {
	Trials           int          `json:"trials"` // samples drawn again
	Rejections       int          `json:"rejections"`
	Updates          int          `json:"updates"` // of all policies
	Rewards          int          `json:"rewards"` // objectives computed again
	ControllerDigest string       `json:"controller_digest"`
	LedgerDigest     string       `json:"ledger_digest"`
	Difference       *ReplayError `json:"difference"` // nil: all is equal
	Waiting          int          `json:"waiting"`    // ended trials whose update has not been recorded yet
}

// Replay rebuilds the policies of a search from its ledger alone: it draws each
// sample and each rejected one again, computes each objective and each update,
// and compares. It changes nothing, and ends at the first record that differs.
func Replay(ctx context.Context, dir string) (Replayed, error) {
	l, spec, plan, err := openReader(dir)
	if err != nil {
		return Replayed{}, err
	}
	defer l.Close()
	e := newExperiment(Options{Dir: dir, Spec: spec})
	e.ledger = l
	r := Replayed{}
	err = e.restore(ctx, plan, fromNothing)
	if err == nil {
		err = e.checkRewards(&r)
	}
	if err != nil && !errors.As(err, &r.Difference) {
		return r, err
	}
	var all []*Trial
	for _, a := range e.arms {
		all = append(all, a.trials...)
		r.Trials += len(a.trials)
		r.Rejections += a.refused
		r.Updates += a.policy.Version()
		if a.barrier {
			for _, t := range a.trials[a.starts[a.batch]:] {
				if t.Ended() {
					r.Waiting++
				}
			}
		} else {
			r.Waiting += len(a.fresh)
		}
	}
	r.LedgerDigest, r.ControllerDigest = ledger.Digest(all), e.arms[0].policy.Digest()
	return r, nil
}

// checkRewards computes the objectives again, and compares shared results with
// those they were taken from.
func (e *Experiment) checkRewards(r *Replayed) error {
	for _, a := range e.arms {
		for _, t := range a.trials {
			if t.State != Done {
				continue
			}
			r.Rewards++
			got, err := e.spec.Objective.reward(t.Value, t.Metrics)
			if err != nil || math.Float64bits(got) != math.Float64bits(t.Reward) {
				return &ReplayError{fmt.Sprintf("reward of trial %d", t.ID), fmt.Sprint(t.Reward), fmt.Sprint(got)}
			}
			if donor := e.byID[t.Reused]; t.Reused >= 0 && (donor == nil || donor.Hash != t.Hash || donor.Reward != t.Reward) {
				return &ReplayError{fmt.Sprintf("reward of trial %d, shared with trial %d", t.ID, t.Reused), fmt.Sprint(t.Reward), "another one"}
			}
		}
	}
	return nil
}
