package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// usualSkip is how many faults --bad skip lets pass where --skip does not say it.
const usualSkip = 1000

func (a *app) dataCOCOCommand() *cobra.Command {
	var from sets.COCO
	var bad string
	c := &cobra.Command{
		Use: "coco --images DIR|TAR --annotations JSON --out DIR", Short: "Convert a detection set of COCO's format to record files", Args: cobra.NoArgs,
		Long: "Convert images and annotations of COCO's format to record files with the keys of TensorFlow's Object Detection API. Labels\n" +
			"are the category ids. A box that is empty or leaves its image, a negative size, an unknown category, an id that is there\n" +
			"twice, a missing image or one of another size ends the conversion; --bad skip leaves them out, each named and counted.\n" +
			"An interrupted conversion is resumed by the same call.",
		Example: "  nasnet data coco --images train2017 --annotations instances_train2017.json --val-images val2017 --val-annotations instances_val2017.json --out coco\n" +
			"  nasnet data coco --images photos --annotations photos.json --holdout 0.1 --bad skip --skip 20 --out photos-records",
	}
	f := c.Flags()
	f.StringVar(&from.Images, "images", "", "training images: directory or tar")
	f.StringVar(&from.Annotations, "annotations", "", "their annotations: JSON")
	f.StringVar(&from.ValidationImages, "val-images", "", "validation images")
	f.StringVar(&from.ValidationAnnotations, "val-annotations", "", "their annotations")
	f.Float64Var(&from.Holdout, "holdout", 0, "share of the training images that is held out for validation, where there are no others")
	f.BoolVar(&from.Renumber, "renumber", false, "labels 1, 2, … by ascending category id; for sets whose ids begin at 0 or are large")
	f.StringVar(&bad, "bad", "", "fail: what is faulty ends the conversion (default); skip: it is left out, --skip many at most")
	o := a.conversionFlags(c)
	f.Lookup("skip").Usage = fmt.Sprintf("faulty annotations and images that may be left out, each told; default 0, with --bad skip %d", usualSkip)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := badPolicy(bad, f.Changed("skip"), &o.SkipLimit); err != nil {
			return err
		}
		if from.Holdout < 0 || from.Holdout >= 1 {
			return usagef("--holdout: want a share of 0 or more and less than 1, got %v", from.Holdout)
		}
		return a.convertSet(o, func() (sets.Manifest, error) { return sets.ConvertCOCO(c.Context(), from, *o) })
	}
	return c
}

// badPolicy turns the two flags into a limit.
func badPolicy(bad string, given bool, limit *int) error {
	switch {
	case *limit < 0:
		return usagef("--skip: want 0 or more, got %d", *limit)
	case bad == "fail" && *limit > 0:
		return usagef("--bad fail and --skip %d contradict each other", *limit)
	case bad == "skip" && !given:
		*limit = usualSkip
	case bad == "" || bad == "fail" || bad == "skip":
	default:
		return usagef("--bad: want fail or skip, got %q", bad)
	}
	return nil
}

// objects says how many objects a split of a detection set has.
func objects(m sets.Manifest, s sets.Split) string {
	if len(m.Categories) == 0 {
		return ""
	}
	var n int64
	for _, count := range s.Counts {
		n += count
	}
	return fmt.Sprintf(", %d objects", n)
}
