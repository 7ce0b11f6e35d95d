package main

import (
	"context"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// trainServer computes for trainings of other machines until it is stopped.
func trainServer(ctx context.Context, r api.TrainServerRequest, emit emitter) (struct{}, error) {
	if _, err := tfgraph.StartServer(r.Address, sessionOptions(r.Threads)); err != nil {
		return struct{}{}, err
	}
	emit(engine.Note("ready at %s", r.Address))
	<-ctx.Done()
	return struct{}{}, nil
}

// overCluster lets the replicas of a training be computed by the cluster's
// workers, each on all of o's devices, or on its best one.
func overCluster(o train.Options, c *api.Cluster) (train.Options, error) {
	if c == nil {
		return o, requireGPUs(o.Devices)
	}
	server, err := tfgraph.StartServer(c.Host, o.Session)
	if err != nil {
		return o, err
	}
	each := o.Devices
	if len(each) == 0 {
		each = []string{""}
	}
	cluster := &tfgraph.Cluster{Host: c.Host, Workers: c.Workers}
	o.Session.Target, o.Session.Cluster, o.Devices = server.Target(), cluster, nil
	for i := range c.Workers {
		for _, d := range each {
			o.Devices = append(o.Devices, cluster.WorkerDevice(i, d))
		}
	}
	return o, nil
}
