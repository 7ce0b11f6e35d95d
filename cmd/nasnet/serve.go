package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

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
		ModelName: c.config.Export.Name, ModelBasePath: c.dir.Join("export"), RESTPort: c.config.Serve.RESTPort, GRPCPort: -1,
		Threads: threads(c.config.Engine), LoadRetries: -1, Log: c.log(),
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
