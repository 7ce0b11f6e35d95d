package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/doctor"
	"github.com/nasnet-go/nasnet/internal/term"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "What this machine can do, and what is missing", Args: cobra.NoArgs,
		Long: `doctor looks for TensorFlow's C library and the engine, lists the devices that
TensorFlow sees, the processor's features, memory and disk, and says of each
thing that is missing which command gets it.`,
		Example: `  nasnet doctor
  nasnet doctor --json | jq .problems`,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := doctor.Examine(c.Context(), doctor.Options{Log: a.log})
			if err != nil {
				return err
			}
			return a.print(r, func() error { return a.showDoctor(r) })
		},
	}
}

func (a *app) showDoctor(r doctor.Report) error {
	lines := [][2]string{
		{"TensorFlow", or(r.TensorFlowVersion, "not found")},
		{"library", or(r.LibraryPath, "not found")},
		{"engine", or(r.EnginePath, "not found")},
		{"devices", or(strings.Join(r.Devices, ", "), "unknown")},
		{"processor", fmt.Sprintf("%s, %d cores", or(r.CPUModel, "unknown"), r.Cores)},
		{"features", strings.Join(r.CPUFeatures, " ")},
		{"memory", fmt.Sprintf("%s, %s of it free", term.Bytes(r.Memory), term.Bytes(r.MemoryAvailable))},
		{"cache", fmt.Sprintf("%s, %s free", r.CacheDir, term.Bytes(r.CacheFree))},
		{"GPU", or(strings.Join(r.GPU.Cards, ", "), "none")},
	}
	for _, l := range lines {
		if err := a.printf("%-11s %s\n", l[0], l[1]); err != nil {
			return err
		}
	}
	if len(r.Problems) == 0 {
		return a.printf("\nNothing is missing.\n")
	}
	return a.printf("\nTo be mended:\n  - %s\n", strings.Join(r.Problems, "\n  - "))
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
