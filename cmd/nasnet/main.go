// Command nasnet searches, trains and serves convolutional cells. It is pure Go:
// what needs TensorFlow it asks of nasnet-engine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set when the program is linked.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks to stop and leaves a resumable state; with the
	// handler gone, a second one ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
