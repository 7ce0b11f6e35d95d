package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/term"
)

// childrenRow is how many children a search trains in an hour.
type childrenRow struct {
	Runner  string    `json:"runner"`
	PerHour float64   `json:"children_per_hour"` // of the median round
	Seconds []float64 `json:"seconds_per_child_all"`
	Ratio   float64   `json:"nasnet_ratio"` // nasnet's over this one's
}

func (a *app) benchChildrenCommand() *cobra.Command {
	var count, rounds, workers int
	var keras, scripts string
	c := &cobra.Command{
		Use: "children", Short: "Children a search trains in an hour, beside a loop written with Keras", Args: cobra.NoArgs,
		Long: "Train NASNet-A's child (N=1, F=8, 4,000 images, one epoch, 1,000 held out) again and again, as a search does:\n" +
			"each in a process of its own, several at once. With --keras-python, a loop in one Python process that builds, trains\n" +
			"and measures the same child with Keras runs by turns with it; its imports are not counted, and it augments nothing.",
		Example: "  nasnet bench children --keras-python ~/.cache/nasnet/peers/bin/python --json",
	}
	c.Flags().IntVar(&count, "count", 6, "children a round")
	c.Flags().IntVar(&rounds, "rounds", 3, "rounds of each")
	c.Flags().IntVar(&workers, "workers", 2, "children at once")
	c.Flags().StringVar(&keras, "keras-python", "", "Python with Keras and TensorFlow")
	c.Flags().StringVar(&scripts, "peers", "bench/peers", "directory of the peers' scripts")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if count < 1 || rounds < 1 || workers < 1 {
			return usagef("bench children: --count, --rounds and --workers are %d, %d and %d; want 1 or more", count, rounds, workers)
		}
		a.short = append(a.short, "search.child.images=4000", "search.child.validation_images=1000", "search.child.epochs=1",
			"search.child.filters=8", "search.child.normal_cells=3", "search.child.batch=64")
		config, err := a.load()
		if err != nil {
			return err
		}
		rows := []childrenRow{{Runner: "nasnet"}}
		if keras != "" {
			rows = append(rows, childrenRow{Runner: "keras"})
		}
		for range rounds {
			seconds, err := a.trainChildren(c.Context(), config, count, workers)
			if err != nil {
				return err
			}
			rows[0].Seconds = append(rows[0].Seconds, seconds)
			if keras == "" {
				continue
			}
			if seconds, err = kerasChildren(c.Context(), keras, filepath.Join(scripts, "keras_child.py"), count); err != nil {
				return err
			}
			rows[1].Seconds = append(rows[1].Seconds, seconds)
		}
		return a.childrenRows(rows)
	}
	return c
}

// trainChildren returns the seconds a child, several being trained at once.
func (a *app) trainChildren(ctx context.Context, config configs.Config, count, workers int) (float64, error) {
	set, err := a.images(ctx, config)
	if err != nil {
		return 0, err
	}
	l, err := a.launcher(ctx, config.Engine)
	if err != nil {
		return 0, err
	}
	ev, err := newChildren(config, set, l)
	if err != nil {
		return 0, err
	}
	genotype := cells.NASNetA()
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := range count {
		group.Go(func() error {
			_, err := ev.Evaluate(ctx, search.Task{Genotype: genotype.String(), Seed: int64(i)}, nil)
			return err
		})
	}
	err = group.Wait()
	return time.Since(begin).Seconds() / float64(count), err
}

func kerasChildren(ctx context.Context, python, script string, count int) (float64, error) {
	var doc struct {
		Seconds float64 `json:"seconds_per_child"`
	}
	out, err := runPeer(ctx, python, script, "--children", strconv.Itoa(count))
	if err == nil {
		err = json.Unmarshal(out, &doc)
	}
	return doc.Seconds, err
}

func (a *app) childrenRows(rows []childrenRow) error {
	var lines [][]string
	for i := range rows {
		r := &rows[i]
		r.PerHour = 3600 / median(r.Seconds)
		r.Ratio = rows[0].PerHour / r.PerHour
		lines = append(lines, []string{r.Runner, fmt.Sprintf("%.0f", r.PerHour), fmt.Sprintf("%.2f", r.Ratio)})
	}
	if a.json {
		return a.document(rows)
	}
	return term.Table(a.stdout, []string{"by", "children an hour", "nasnet is x times"}, lines)
}
