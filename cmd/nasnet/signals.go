package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/nasnet-go/nasnet/internal/engine"
)

// interruptible ends its context at the first SIGINT or SIGTERM and the process
// at the second. Engines die with this process: they see their stdin end.
func (a *app) interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	go func() {
		for range 2 {
			select {
			case <-over:
				return
			case <-signals:
			}
			if ctx.Err() != nil {
				os.Exit(engine.CodeInterrupted)
			}
			fmt.Fprintln(a.ui, "nasnet: stopping; what is done is being saved (press Ctrl-C again to leave at once)")
			cancel()
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(over)
		cancel()
	}
}
