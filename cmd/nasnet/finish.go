package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/rundir"
)

// finalist is one of a search's best cells, trained as a full network.
type finalist struct {
	Trial    int        `json:"trial"`
	Reward   float64    `json:"reward"` // of its child
	Genotype string     `json:"genotype"`
	Run      string     `json:"run"`
	Top1     float64    `json:"top1"`
	Top1CI95 [2]float64 `json:"top1_ci95"`
	Images   int64      `json:"images"`
	Split    string     `json:"split"` // validation, or test where no images are held out: then the first is the luckiest too
}

// finish trains the best cells of a search at full size, each in a run of its
// own below dir, and ranks them. What is done already is not done again.
func (a *app) finish(ctx context.Context, config configs.Config, set dataset, dir string) ([]finalist, error) {
	best, err := search.ReadTop(dir, config.Search.TopK)
	if err != nil {
		return nil, err
	}
	split := "validation"
	if config.Data.Validation == 0 {
		split = "test"
		a.term.Note("no images are held out (data.validation): the cells are ranked on the test images, so the first one's accuracy is a little too good")
	}
	var list []finalist
	for i, t := range best {
		a.term.Heading(fmt.Sprintf("%d/%d", i+1, len(best)), fmt.Sprintf("trial %d, reward %.4f", t.ID, t.Reward))
		f := finalist{Trial: t.ID, Reward: t.Reward, Genotype: t.Genotype, Run: filepath.Join(dir, "finish", fmt.Sprintf("trial-%d", t.ID)), Split: split}
		out, err := a.finishOne(ctx, config, set, f)
		if err != nil {
			return nil, fmt.Errorf("trial %d: %w", t.ID, err)
		}
		f.Top1, f.Top1CI95, f.Images = out.Top1, out.Top1CI95, out.Images
		list = append(list, f)
	}
	slices.SortStableFunc(list, func(a, b finalist) int { return cmp.Compare(b.Top1, a.Top1) })
	return list, nil
}

func (a *app) finishOne(ctx context.Context, config configs.Config, set dataset, f finalist) (out api.EvalResult, err error) {
	d, err := rundir.Open(f.Run)
	if err != nil {
		return out, err
	}
	defer d.Close()
	s := &chain{app: a, config: config, dir: d, set: set}
	if s.launcher, err = a.launcher(ctx, config.Engine); err != nil {
		return out, err
	}
	if err := s.keepConfig(); err != nil {
		return out, err
	}
	if s.model, err = s.network(f.Genotype); err != nil {
		return out, err
	}
	trained, _, err := rundir.Do(d, "train", []string{f.Genotype}, func() (api.TrainResult, error) { return s.train(ctx) })
	if err != nil {
		return out, err
	}
	out, _, err = rundir.Do(d, "eval", []string{d.Output("train"), f.Split}, func() (api.EvalResult, error) {
		return s.evalOn(ctx, s.dir.Checkpoint(trained.Checkpoint), f.Split)
	})
	return out, err
}
