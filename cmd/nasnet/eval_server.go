package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nasnet-go/nasnet/internal/npy"
	"github.com/nasnet-go/nasnet/savedmodel/serving"
)

// maxAsked is how many bytes of images one request to a server carries at most,
// beside the first image.
const maxAsked = 16 << 20

// servedModel takes a server's address apart: http://HOST:PORT, and of the path
// /v1/models/NAME[/versions/N] all behind models. Without a path the model is the
// one given.
func servedModel(address, name string) (serving.Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return serving.Client{}, usagef("eval: --server %s is no address such as http://127.0.0.1:8501/v1/models/nasnet", address)
	}
	if path := strings.Trim(u.Path, "/"); path != "" {
		var ok bool
		if name, ok = strings.CutPrefix(strings.TrimSuffix(path, ":predict"), "v1/models/"); !ok {
			return serving.Client{}, usagef("eval: --server %s: the path is not /v1/models/NAME", address)
		}
	}
	return serving.Client{URL: u.Scheme + "://" + u.Host, Model: name}, nil
}

// askServer has a running server classify all test images and writes its logits.
func (e evaluating) askServer(ctx context.Context, address, out string) (perSecond float64, err error) {
	client, err := servedModel(address, e.config.Export.Name)
	if err != nil {
		return 0, err
	}
	if e.config.Eval.Crops > 1 {
		return 0, usagef("eval: a server prepares images itself, with one view; set eval.crops to 1")
	}
	tests, err := e.set.tests()
	if err != nil {
		return 0, err
	}
	defer tests.Close()
	bar := e.term.Bar("ask the server", "images")
	defer bar.End()
	var logits []float32
	begin := time.Now()
	for at := 0; at < tests.Len(); {
		var images [][]byte
		for bytes := 0; at+len(images) < tests.Len() && len(images) < max(1, e.config.Eval.Batch); {
			x, err := tests.At(at + len(images))
			if err != nil {
				return 0, err
			}
			if bytes += len(x.Encoded); bytes > maxAsked && len(images) > 0 {
				break
			}
			images = append(images, x.Encoded)
		}
		answers, err := client.Images(ctx, images)
		if err != nil {
			return 0, fmt.Errorf("evaluate: images %d to %d: %w", at, at+len(images)-1, err)
		}
		if len(answers) != len(images) {
			return 0, fmt.Errorf("evaluate: %s answered %d predictions to %d images", address, len(answers), len(images))
		}
		for _, answer := range answers {
			if n := len(answer.Logits); n == 0 || n != len(answers[0].Logits) {
				return 0, fmt.Errorf("evaluate: %s answered %d logits to one image, %d to another; it must serve a model that `nasnet export` wrote", address, len(answers[0].Logits), n)
			}
			logits = append(logits, answer.Logits...)
		}
		at += len(images)
		bar.Set(int64(at), int64(tests.Len()), "")
	}
	perSecond = float64(tests.Len()) / time.Since(begin).Seconds()
	return perSecond, npy.Write(out, logits, int64(tests.Len()), int64(len(logits)/max(1, tests.Len())))
}
