package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/doctor"
	"github.com/nasnet-go/nasnet/internal/libtf"
)

func (a *app) doctorCommand() *cobra.Command {
	var fix, gpu bool
	c := &cobra.Command{Use: "doctor", Short: "What this machine can do, and what is missing", Args: cobra.NoArgs}
	c.Flags().BoolVar(&fix, "fix", false, "fetch TensorFlow's C library where it is missing")
	c.Flags().BoolVar(&gpu, "require-gpu", false, "fail where TensorFlow sees no GPU, which it otherwise replaces by the CPU in silence")
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
		err = a.document(report)
		if gpu && !report.HasGPU() {
			err = errors.Join(err, noGPU(report))
		}
		return err
	}
	return c
}

// noGPU says why, as far as it is known.
func noGPU(r doctor.Report) error {
	switch {
	case len(r.GPU.Cards) == 0:
		return errors.New("TensorFlow sees no GPU, and there is no NVIDIA card or its driver is not visible here; in a container: docker run --gpus all, or a resource limit nvidia.com/gpu in Kubernetes")
	case len(r.Problems) > 0:
		return fmt.Errorf("TensorFlow sees no GPU: %s", strings.Join(r.Problems, "; "))
	}
	return fmt.Errorf("TensorFlow sees no GPU; its devices are %s", strings.Join(r.Devices, ", "))
}
