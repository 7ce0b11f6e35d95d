package serving

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/savedmodel/serving/rpc"
)

// loader loads versions into engine processes.
type loader struct {
	starter  Starter
	threads  api.Threads
	warmups  int // times that each request of a warm-up file is sent; 0: the file is not read
	batching *Batching
	own      bool          // a version may bring batching parameters with it
	slots    chan struct{} // batches that are computed at once
	metrics  *metrics
	log      zerolog.Logger
}

// open starts an engine for a version, warms it up, and puts a batcher before it.
func (l *loader) open(ctx context.Context, id versionID) (backend, error) {
	sigs, err := ReadSignatures(id.dir)
	if err != nil {
		return nil, err
	}
	c := &child{
		starter: l.starter, signatures: sigs, log: l.log.With().Str("model", id.model).Int64("version", id.number).Logger(),
		request: api.ServeRequest{ModelDir: id.dir, Name: id.model, Version: id.number, Threads: l.threads},
		died:    func() { l.metrics.deaths.WithLabelValues(id.model).Inc() },
		prepare: func(ctx context.Context, engine rpc.Client) error {
			if l.warmups == 0 {
				return nil
			}
			return warmUp(ctx, id.dir, l.warmups, sigs, engine.Predict)
		},
	}
	o := l.batching
	if o != nil && l.own {
		own, err := o.forVersion(id.dir)
		if err != nil {
			return nil, err
		}
		o = &own
	}
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	if o == nil {
		return c, nil
	}
	return newBatcher(c, *o, l.slots, l.metrics), nil
}
