package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"syscall"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// emitter sends an event to the front.
type emitter func(engine.Event)

// handle decodes a command's request for a typed function.
func handle[Request, Result any](f func(context.Context, Request, emitter) (Result, error)) engine.Handler {
	return func(ctx context.Context, raw json.RawMessage, emit func(engine.Event)) (any, error) {
		var r Request
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, engine.Fail(engine.CodeUsage, fmt.Errorf("the request cannot be read: %w", err))
		}
		return f(ctx, r, emit)
	}
}

// sessionOptions translates the threads of a request.
func sessionOptions(t api.Threads) tfgraph.SessionOptions {
	return tfgraph.SessionOptions{
		InterOp: t.InterOp, IntraOp: t.IntraOp, Grappler: tfgraph.Grappler(t.Grappler),
		XLA: t.XLA, MixedPrecision: t.Precision, CPUDevices: t.Devices, AllowGrowth: true,
	}
}

// doctor tells TensorFlow's version and the devices it sees.
func doctor(_ context.Context, _ struct{}, _ emitter) (api.DoctorResult, error) {
	sess, err := tfgraph.NewSession(tfgraph.New(), tfgraph.SessionOptions{AllowGrowth: true})
	if err != nil {
		return api.DoctorResult{}, err
	}
	defer sess.Close()
	devices, err := sess.Devices()
	if err != nil {
		return api.DoctorResult{}, fmt.Errorf("list devices: %w", err)
	}
	r := api.DoctorResult{Version: tfgraph.Version()}
	for _, d := range devices {
		r.Devices = append(r.Devices, d.Name)
	}
	return r, nil
}

// abort dies as TensorFlow does when a check fails, for tests of the front.
func abort(ctx context.Context, _ json.RawMessage, _ func(engine.Event)) (any, error) {
	if err := syscall.Kill(os.Getpid(), syscall.SIGABRT); err != nil {
		return nil, err
	}
	<-ctx.Done() // the signal takes a moment
	return nil, ctx.Err()
}
