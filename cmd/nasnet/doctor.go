package main

import (
	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/doctor"
	"github.com/nasnet-go/nasnet/internal/libtf"
)

func (a *app) doctorCommand() *cobra.Command {
	var fix bool
	c := &cobra.Command{Use: "doctor", Short: "What this machine can do, and what is missing", Args: cobra.NoArgs}
	c.Flags().BoolVar(&fix, "fix", false, "fetch TensorFlow's C library where it is missing")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if fix {
			bar := a.term.Bar("libtensorflow", "bytes")
			_, err := libtf.Fetch(c.Context(), libtf.Options{}, func(_ string, done, total int64) { bar.Set(done, total, "") })
			bar.End()
			if err != nil {
				return err
			}
		}
		report, err := doctor.Examine(c.Context(), doctor.Options{Log: a.log()})
		if err != nil {
			return err
		}
		return a.document(report)
	}
	return c
}
