package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/libtf"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		document := map[string]string{"version": version, "go": runtime.Version(), "tensorflow_series": libtf.Series}
		return a.print(document, func() error { return a.printf("nasnet %s (%s, for TensorFlow %s)\n", version, runtime.Version(), libtf.Series) })
	}}
}
