// Command libtf is what the Makefile calls before anything can be built: it
// finds or fetches TensorFlow's C library and prints the environment for cgo.
//
//	libtf env      shell lines for the copy on this machine; exit 1 where there is none
//	libtf fetch    the same, and fetches a copy where there is none
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nasnet-go/nasnet/internal/libtf"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	var library libtf.Library
	var err error
	switch strings.Join(args, " ") {
	case "env":
		library, err = libtf.Find(ctx, libtf.Options{Build: true})
	case "fetch":
		library, err = libtf.Fetch(ctx, libtf.Options{}, report())
	default:
		fmt.Fprintln(os.Stderr, "usage: libtf env|fetch")
		return 2
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if args[0] == "fetch" {
		fmt.Fprintf(os.Stderr, "TensorFlow %s: %s (%s)\n", library.Version, library.Dir, library.Origin)
		return 0
	}
	for _, line := range append(library.BuildEnv(), library.RunEnv()...) {
		name, value, _ := strings.Cut(line, "=")
		fmt.Printf("export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return 0
}

// report prints one line for each stage's begin and then every five seconds.
func report() libtf.Progress {
	var stage string
	var last time.Time
	return func(name string, done, total int64) {
		if name == stage && time.Since(last) < 5*time.Second {
			return
		}
		stage, last = name, time.Now()
		fmt.Fprintf(os.Stderr, "libtensorflow: %s %d of %d MB\n", name, done>>20, total>>20)
	}
}
