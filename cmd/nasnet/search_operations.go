package main

import (
	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/controller/search"
)

// searchOperations are the commands on a search that is there.
func (a *app) searchOperations() []*cobra.Command {
	return []*cobra.Command{a.searchStatusCommand(), a.searchPauseCommand(), a.searchExtendCommand(), a.searchReplayCommand(), a.exportCellCommand(), a.searchImportCommand()}
}

func (a *app) searchStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Where a search stands, as JSON", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			st, err := search.ReadStatus(a.directory())
			if err != nil {
				return err
			}
			return a.document(st)
		},
	}
}

func (a *app) searchPauseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "pause", Short: "Let the process that runs a search stop when the children in hand are done", Args: cobra.NoArgs,
		Example: "  nasnet search pause --run runs/first",
		RunE: func(*cobra.Command, []string) error {
			process, err := search.Pause(a.directory())
			if err != nil {
				return err
			}
			a.term.Note("process %s pauses the search when its children are done; `nasnet search` goes on with it", process)
			return nil
		},
	}
}

func (a *app) searchExtendCommand() *cobra.Command {
	var trials int
	c := &cobra.Command{
		Use: "extend --trials N", Short: "Plan more trials of a search: N of the policy in all", Args: cobra.NoArgs,
		Example: "  nasnet search extend --run runs/first --trials 1000",
		RunE: func(*cobra.Command, []string) error {
			if trials < 1 {
				return usagef("search extend: --trials %d; want how many trials of the policy there shall be in all", trials)
			}
			process, err := search.Extend(a.directory(), trials)
			switch {
			case err != nil:
				return err
			case process != "":
				a.term.Note("process %s, which runs the search, goes on to %d trials", process, trials)
			default:
				a.term.Note("%d trials are planned; `nasnet search` goes on with them", trials)
			}
			return nil
		},
	}
	c.Flags().IntVar(&trials, "trials", 0, "trials of the policy in all")
	return c
}

func (a *app) searchReplayCommand() *cobra.Command {
	return &cobra.Command{
		Use: "replay", Short: "Rebuild a search from its ledger and compare every record", Args: cobra.NoArgs,
		Long:    "Rebuild the policies of a search from its ledger, draw every sample and compute every update again, and name the\nfirst record that differs. It changes nothing.",
		Example: "  nasnet search replay --run runs/first",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := search.Replay(c.Context(), a.directory())
			if err != nil {
				return err
			}
			if err := a.document(r); err != nil {
				return err
			}
			if r.Difference != nil {
				return r.Difference
			}
			return nil
		},
	}
}

func (a *app) exportCellCommand() *cobra.Command {
	var out string
	var k int
	c := &cobra.Command{
		Use: "export-cell --out DIR", Short: "Write the best cells of a search as files", Args: cobra.NoArgs,
		Example: "  nasnet search export-cell --run runs/first --out cells --best 3\n  nasnet train --config imagenet-mobile --set model.cell=cells/cell-1.yaml",
		RunE: func(*cobra.Command, []string) error {
			if out == "" || k < 1 {
				return usagef("search export-cell: want --out DIR, and 1 or more --best")
			}
			paths, err := search.ExportCells(a.directory(), out, k)
			if err != nil {
				return err
			}
			if a.json {
				return a.document(paths)
			}
			for _, path := range paths {
				a.say("%s", path)
			}
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "directory for cell-1.yaml, cell-2.yaml, …, best first")
	c.Flags().IntVar(&k, "best", 1, "how many")
	return c
}

func (a *app) searchImportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "import RUN", Short: "Begin a search with what another one over the same space has learned", Args: cobra.ExactArgs(1),
		Long:    "Teach the policies of a search that has not begun yet with the trials of another one over the same space. They count\nas nobody's trials here.",
		Example: "  nasnet search import runs/first --config cifar10-search --run runs/second\n  nasnet search --config cifar10-search --run runs/second",
		RunE: func(c *cobra.Command, args []string) error {
			config, err := a.load()
			if err != nil {
				return err
			}
			spec, err := searchSpec(config)
			if err != nil {
				return err
			}
			e, err := search.Open(c.Context(), search.Options{Dir: a.directory(), Spec: spec, Log: a.log()})
			if err != nil {
				return err
			}
			n, err := e.Import(args[0])
			if e := e.Close(); err == nil {
				err = e
			}
			if err == nil {
				a.term.Note("%d trials of %s taken over", n, args[0])
			}
			return err
		},
	}
}
