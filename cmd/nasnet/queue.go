package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/controller/search/queue"
)

// tokenVariable holds what workers and the search know of each other.
const tokenVariable = "NASNET_QUEUE_TOKEN"

// serveQueue makes a search reachable for workers elsewhere.
func (a *app) serveQueue(e *search.Experiment, c configs.Config, dir string) (*queue.Server, error) {
	setup, err := c.Marshal()
	if err != nil {
		return nil, err
	}
	q := c.Search.Queue
	host, text, err := net.SplitHostPort(q.Listen)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, usagef("search.queue.listen: port %q is no number", text)
	}
	return queue.Serve(e, e.Name(), queue.Options{
		URL: q.URL, Host: host, Port: port, Token: os.Getenv(tokenVariable), CertFile: q.Cert, KeyFile: q.Key, CAFile: q.CA,
		Dir: dir, Setup: setup, Log: a.log(),
	})
}

// searchWorker trains children for a search elsewhere, whose configuration it
// gets from there: from is its URL, or its run directory on this machine.
func (a *app) searchWorker(ctx context.Context, from, ca string, slots int) error {
	address := queue.Address{URL: from, Token: os.Getenv(tokenVariable)}
	if info, err := os.Stat(from); err == nil && info.IsDir() {
		if address, err = queue.ReadAddress(from); err != nil {
			return fmt.Errorf("%w; does a search run there?", err)
		}
	} else if !strings.Contains(from, "://") {
		return usagef("--search %s: neither a run directory here nor a URL such as nats://host:4222", from)
	}
	w := queue.Worker{
		URL: address.URL, Token: address.Token, Search: address.Search, CAFile: ca, Slots: slots, Log: a.log(),
		Prepare: func(setup []byte) (search.Evaluator, error) { return a.evaluatorOf(ctx, setup) },
	}
	a.term.Note("looking for the search at %s, for ten minutes at most", address.URL)
	err := w.Run(ctx, nil)
	switch {
	case errors.Is(err, search.ErrPaused):
		a.term.Note("the search pauses; start the worker again when it goes on")
		return nil
	case err == nil:
		a.term.Note("the search is finished")
	}
	return err
}

// evaluatorOf makes a worker's evaluator from the search's configuration, with
// the data and the TensorFlow of this machine.
func (a *app) evaluatorOf(ctx context.Context, setup []byte) (search.Evaluator, error) {
	file, err := os.CreateTemp("", "nasnet-worker-*.yaml")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(setup)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	a.config = file.Name()
	c, err := a.load()
	if err != nil {
		return nil, err
	}
	set, err := a.images(ctx, c)
	if err != nil {
		return nil, err
	}
	l, err := a.launcher(ctx, c.Engine)
	if err != nil {
		return nil, err
	}
	a.term.Note("joined: children of %d images, %d cells, %d filters", c.Search.Child.Images, c.Search.Child.NormalCells, c.Search.Child.Filters)
	return newChildren(c, set, l)
}
