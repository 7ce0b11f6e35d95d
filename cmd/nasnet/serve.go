package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/savedmodel/serving"
)

// served is the serve stage's record.
type served struct {
	Images     int     `json:"images"`
	Right      int     `json:"right"`        // classified as their label says
	MaxAbsDiff float64 `json:"max_abs_diff"` // of the served logits from the trainer's
}

// serve starts the local server, classifies test images through REST and
// compares the logits with the trainer's.
func (c *chain) serve(ctx context.Context) (result served, err error) {
	s, err := serving.Start(ctx, serving.Options{
		ModelName: c.config.Export.Name, ModelBasePath: c.dir.Join("export"), RESTPort: c.config.Serve.RESTPort, Threads: threads(c.config.Engine), Log: c.log(),
	}, c.launcher)
	if err != nil {
		return result, err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, s.Shutdown(end))
	}()
	tests, err := c.set.tests()
	if err != nil {
		return result, err
	}
	defer tests.Close()
	want, shape, err := npy.Read(c.dir.Join(predictionsFile))
	if err != nil {
		return result, err
	}
	client := serving.Client{URL: s.URL(), Model: c.config.Export.Name}
	for result.Images < min(c.config.Export.CheckImages, tests.Len()) {
		img, err := tests.At(result.Images)
		if err != nil {
			return result, err
		}
		answer, err := client.Images(ctx, [][]byte{img.Encoded})
		if err != nil {
			return result, err
		}
		if len(answer) != 1 || len(answer[0].Logits) != int(shape[1]) {
			return result, fmt.Errorf("the server answered %d predictions for one image, or other than %d logits", len(answer), shape[1])
		}
		row := want[result.Images*int(shape[1]):]
		for i, x := range answer[0].Logits {
			result.MaxAbsDiff = math.Max(result.MaxAbsDiff, math.Abs(float64(x)-float64(row[i])))
		}
		if answer[0].Class == c.set.Classes[img.Class] {
			result.Right++
		}
		result.Images++
	}
	if !(result.MaxAbsDiff <= c.config.Export.Tolerance) {
		err = fmt.Errorf("the served logits differ from the trainer's by %g, allowed is %g", result.MaxAbsDiff, c.config.Export.Tolerance)
	}
	return result, err
}

func (a *app) serveCommand() *cobra.Command {
	var o serving.Options
	c := &cobra.Command{
		Use: "serve", Short: "Serve a model through TensorFlow Serving's REST interface", Args: cobra.NoArgs,
		Example: "  nasnet serve --model_name nasnet --model_base_path runs/quickstart/export --rest_api_port 8501",
	}
	c.Flags().StringVar(&o.ModelName, "model_name", "default", "name in the URL")
	c.Flags().StringVar(&o.ModelBasePath, "model_base_path", "", "directory with one numbered directory a version")
	c.Flags().IntVar(&o.RESTPort, "rest_api_port", 8501, "port; 0: a free one")
	c.Flags().StringVar(&o.Host, "host", "127.0.0.1", "address to listen on")
	c.Flags().BoolVar(&o.Insecure, "insecure", false, "allow an address that is not loopback")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.ModelBasePath == "" {
			return usagef("serve: give --model_base_path, such as runs/quickstart/export")
		}
		launcher, err := a.launcher(c.Context(), configs.Engine{})
		if err != nil {
			return err
		}
		base, err := filepath.Abs(o.ModelBasePath)
		if err != nil {
			return err
		}
		o.ModelBasePath, o.Log = base, a.log()
		s, err := serving.Start(c.Context(), o, launcher)
		if err != nil {
			return err
		}
		a.term.Note("serving %s version %d at %s/v1/models/%s; Ctrl-C ends it", o.ModelName, s.Version(), s.URL(), o.ModelName)
		select {
		case err = <-s.Done():
		case <-c.Context().Done():
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), 30*time.Second)
		defer cancel()
		return errors.Join(err, s.Shutdown(end))
	}
	return c
}
