// Command nasnet searches, trains and serves convolutional cells. It is pure Go:
// what needs TensorFlow it asks of nasnet-engine.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/doctor"
	"github.com/nasnet-go/nasnet/internal/libtf"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// version is set when the program is linked.
var version = "unknown"

// errUsage marks faults of the command line: exit code 2.
var errUsage = errors.New("wrong usage")

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{Use: "nasnet", Short: "Search, train and serve NASNet cells over TensorFlow's C API", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(versionCommand(), describeCommand(), dataCommand(), doctorCommand(), searchCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "nasnet:", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	if errors.Is(err, sets.ErrInUse) || errors.Is(err, search.ErrInUse) {
		return 3
	}
	return 1
}

func versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, Run: func(c *cobra.Command, _ []string) {
		fmt.Fprintln(c.OutOrStdout(), version)
	}}
}

// printJSON writes one document.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func describeCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "describe MODEL", Short: "Parameters and end points of a built-in model", Args: cobra.ExactArgs(1)}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.RunE = func(c *cobra.Command, args []string) error {
		d, err := describe(args[0])
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		if asJSON {
			return printJSON(c.OutOrStdout(), d)
		}
		fmt.Fprintf(c.OutOrStdout(), "%s: %d parameters, %d of them trainable; auxiliary head %d\n", args[0], d.Params, d.Trainable, d.Aux)
		for _, e := range d.EndPoints {
			fmt.Fprintf(c.OutOrStdout(), "  %-20s %v\n", e.Name, e.Shape)
		}
		return nil
	}
	return c
}

// description is the JSON document of describe.
type description struct {
	Params    int64      `json:"params"` // trainable and moving statistics, without the auxiliary head
	Trainable int64      `json:"trainable_params"`
	Aux       int64      `json:"aux_params"`
	Input     [3]int     `json:"input"`
	Classes   int        `json:"classes"`
	EndPoints []endPoint `json:"endpoints"`
}

type endPoint struct {
	Name  string `json:"name"`
	Shape [3]int `json:"shape"`
}

func describe(name string) (description, error) {
	m, err := model.Preset(name)
	if err != nil {
		return description{}, err
	}
	p, err := model.Build(m)
	if err != nil {
		return description{}, err
	}
	d := description{Input: m.Input, Classes: m.Classes}
	for _, l := range p.Layers {
		for _, v := range l.Variables {
			switch {
			case l.Aux && v.Trainable:
				d.Aux += v.Size()
			case !l.Aux:
				d.Params += v.Size()
				if v.Trainable {
					d.Trainable += v.Size()
				}
			}
		}
	}
	for _, e := range p.EndPoints {
		d.EndPoints = append(d.EndPoints, endPoint{e.Name, p.Layers[e.Layer].Shape})
	}
	return d, nil
}

func dataCommand() *cobra.Command {
	c := &cobra.Command{Use: "data", Short: "Obtain and verify data sets"}
	var source string
	cifar := &cobra.Command{Use: "cifar10", Short: "Fetch CIFAR-10 into the cache and verify it", Args: cobra.NoArgs}
	cifar.Flags().StringVar(&source, "source", "", "archive or directory to take it from instead of the network")
	cifar.RunE = func(c *cobra.Command, _ []string) error {
		cache, err := libtf.CacheDir(os.Getenv)
		if err != nil {
			return err
		}
		set, err := sets.CIFAR10(c.Context(), sets.Options{Cache: cache, Source: source, Log: zerolog.New(c.ErrOrStderr())})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s: %d training and %d test images, verified\n", set.Dir, set.TrainImages, set.TestImages)
		return nil
	}
	c.AddCommand(cifar)
	return c
}

func doctorCommand() *cobra.Command {
	return &cobra.Command{Use: "doctor", Short: "What this machine can do, as JSON", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		report, err := doctor.Examine(c.Context(), doctor.Options{})
		if err != nil {
			return err
		}
		return printJSON(c.OutOrStdout(), report)
	}}
}

func searchCommand() *cobra.Command {
	c := &cobra.Command{Use: "search", Short: "Look at a search"}
	var dir string
	status := &cobra.Command{Use: "status", Short: "Where a search stands, as JSON", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		st, err := search.ReadStatus(dir)
		if err != nil {
			return err
		}
		return printJSON(c.OutOrStdout(), st)
	}}
	status.Flags().StringVar(&dir, "run", ".", "run directory")
	c.AddCommand(status)
	return c
}
