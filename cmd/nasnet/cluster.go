package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/cluster"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

const (
	gatherTime = time.Minute      // for all workers to answer before a training starts without some
	settleTime = 5 * time.Second  // for a worker to answer after the training failed
	rejoinTime = 30 * time.Second // of training before a worker that came back interrupts it
)

func (a *app) workerCommand() *cobra.Command {
	var training bool
	var listen, from, ca string
	var slots int
	c := &cobra.Command{
		Use: "worker --search URL|RUN | --train", Short: "Train children of a search elsewhere, or compute for trainings elsewhere", Args: cobra.NoArgs,
		Long: "With --search it trains children of a search that another process runs, until that is finished: give the\n" +
			"search's URL and, in NASNET_QUEUE_TOKEN, its token (both in RUN/queue.json there), or its run directory if\n" +
			"that is on this machine. It may join and leave at any time.\n\n" +
			"With --train it computes for trainings that other machines run with `nasnet train --cluster`, one after the\n" +
			"other, until it is interrupted. TensorFlow's server listens on all interfaces and asks for no password:\n" +
			"whoever reaches the port can run code here. Use it in a private network alone.",
		Example: "  nasnet worker --search runs/first\n" +
			"  NASNET_QUEUE_TOKEN=… nasnet worker --search nats://10.0.0.1:4222 --slots 2\n" +
			"  nasnet worker --train --listen 10.0.0.5:2222",
	}
	c.Flags().StringVar(&from, "search", "", "URL of a search's queue, or its run directory")
	c.Flags().IntVar(&slots, "slots", 1, "children at once, with --search")
	c.Flags().StringVar(&ca, "ca", "", "certificates to trust instead of the system's, with --search tls://…")
	c.Flags().BoolVar(&training, "train", false, "compute for trainings")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:2222", "host:port by which other machines reach this one, with --train")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if training == (from != "") {
			return usagef("say what to work for: --search URL, or --train")
		}
		if from != "" {
			return a.searchWorker(c.Context(), from, ca, slots)
		}
		if _, _, err := net.SplitHostPort(listen); err != nil {
			return usagef("--listen %s: want host:port (%v)", listen, err)
		}
		return a.trainServer(c.Context(), listen)
	}
	return c
}

// trainServer keeps an engine with TensorFlow's server running.
func (a *app) trainServer(ctx context.Context, listen string) error {
	config, err := a.load()
	if err != nil {
		return err
	}
	l, err := a.launcher(ctx, config.Engine)
	if err != nil {
		return err
	}
	for {
		begun := time.Now()
		_, err := l.Run(ctx, engine.Job{
			Command: api.TrainServer, Request: api.TrainServerRequest{Address: listen, Threads: threads(config.Engine)}, Grace: time.Second,
			OnEvent: func(e engine.Event) {
				a.term.Note("%s: computes for `nasnet train --cluster %s`; anybody who reaches this port can run code here", e.Text, listen)
			},
		})
		var died *engine.DiedError
		if ctx.Err() != nil {
			return nil // asked to end, and nothing was lost
		}
		if !errors.As(err, &died) || time.Since(begun) < settleTime {
			return err
		}
		a.term.Note("%v; it starts anew", err)
	}
}

// trainOver runs a training whose replicas are computed by the workers that
// answer. When one is lost, or comes back, it goes on from the last checkpoint
// with those that are there. request makes the engine's of them; out is its result.
func (c *chain) trainOver(ctx context.Context, j engine.Job, request func(*api.Cluster) any, out any) error {
	wait := gatherTime
	for {
		there, missing := cluster.Gather(ctx, c.config.Engine.Cluster, wait)
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(there) == 0 {
			return fmt.Errorf("no worker of engine.cluster answers; start `nasnet worker --train` there: %w", missing)
		}
		if missing != nil {
			c.term.Note("training without some workers: %v", missing)
		}
		used := there[:c.share(len(there))]
		if len(used) < len(there) {
			c.term.Note("%d of %d workers are used: the batch of %d images cannot be shared by more", len(used), len(there), c.config.Train.Batch)
		}
		members, err := c.members(used)
		if err != nil {
			return err
		}
		j.Request = request(members)
		change, err := c.attempt(ctx, j, used, absent(c.config.Engine.Cluster, there), out)
		if change == "" || ctx.Err() != nil {
			return err
		}
		c.term.Note("%s; training goes on from its last checkpoint", change)
		wait = settleTime
	}
}

// share is the largest number of at most n workers that can share a batch equally.
func (c *chain) share(n int) int {
	t := c.config.Train
	for each := max(1, len(t.Devices)) * max(1, t.Accumulate); n > 1 && t.Batch%(n*each) != 0; {
		n--
	}
	return n
}

func (c *chain) members(used []cluster.Worker) (*api.Cluster, error) {
	m := &api.Cluster{Host: c.config.Engine.ClusterHost}
	for _, w := range used {
		m.Workers = append(m.Workers, w.Address)
		m.GPU = m.GPU || slices.Contains(w.Devices, "GPU")
	}
	if m.Host != "" {
		return m, nil
	}
	var err error
	m.Host, err = cluster.LocalAddress(m.Workers[0])
	return m, err
}

func absent(all []string, there []cluster.Worker) []string {
	return slices.DeleteFunc(slices.Clone(all), func(address string) bool {
		return slices.ContainsFunc(there, func(w cluster.Worker) bool { return w.Address == address })
	})
}

// attempt trains until the end, a failure, or a change of the workers, which
// it tells.
func (c *chain) attempt(ctx context.Context, j engine.Job, used []cluster.Worker, absent []string, out any) (change string, err error) {
	p, err := c.launcher.Start(ctx, j)
	if err != nil {
		return "", err
	}
	watch, stop := context.WithCancel(ctx)
	defer stop()
	lost, back := make(chan string, 1), make(chan string, 1)
	go func() { lost <- cluster.Watch(watch, used) }()
	time.AfterFunc(rejoinTime, func() { back <- cluster.Await(watch, absent) })
	for change == "" {
		select {
		case <-p.Done():
			raw, err := p.Wait()
			if err == nil {
				return "", json.Unmarshal(raw, out)
			}
			if ctx.Err() == nil {
				change = cluster.Changed(ctx, used, settleTime)
			}
			return change, err
		case why := <-lost:
			if change = why; why != "" { // "": ctx has ended, and the engine saves a checkpoint
				p.Kill() // its step may wait for ever
			}
			lost = nil
		case address := <-back:
			if address != "" {
				change = "worker " + address + " is back"
				p.Stop() // with a checkpoint
			}
			back = nil
		}
	}
	_, err = p.Wait()
	return change, err
}
