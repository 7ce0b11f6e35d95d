package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/internal/durable"
	"github.com/nasnet-go/nasnet/internal/plot"
	"github.com/nasnet-go/nasnet/internal/report"
	"github.com/nasnet-go/nasnet/internal/rundir"
	"github.com/nasnet-go/nasnet/internal/term"
)

func (a *app) reportCommand() *cobra.Command {
	var out, format string
	c := &cobra.Command{
		Use: "report --run DIR", Short: "One HTML or Markdown file of a search, a training or an evaluation", Args: cobra.NoArgs,
		Long: "Write what a run came to: curves, arms with intervals, the cells drawn, tables, configuration, machine and how to\n" +
			"repeat it. The HTML is one file that needs no network; Markdown has its figures in a folder beside it. A run that\n" +
			"is not done, or still runs, is reported as far as it is.",
		Example: "  nasnet report --run runs/quickstart\n  nasnet report --run runs/quickstart --format markdown --out report.md",
	}
	c.Flags().StringVar(&out, "out", "", "file to write (default: report.html or report.md in the run)")
	c.Flags().StringVar(&format, "format", "html", "html | markdown")
	c.RunE = func(*cobra.Command, []string) error {
		name := map[string]string{"html": "report.html", "markdown": "report.md"}[format]
		switch {
		case a.run == "":
			return usagef("report: give --run DIR, the run that is meant")
		case name == "":
			return usagef("report: there is no format %q; want html or markdown", format)
		}
		if out == "" {
			out = filepath.Join(a.run, name)
		}
		d, err := reportOf(a.run)
		if err == nil {
			err = writeReport(d, format, out)
		}
		if err != nil {
			return err
		}
		if a.json {
			return a.document(map[string]string{"report": out})
		}
		a.say("%s", out)
		return nil
	}
	return c
}

func writeReport(d report.Document, format, out string) error {
	var text bytes.Buffer
	if format == "html" {
		if err := report.HTML(&text, d); err != nil {
			return err
		}
		return durable.WriteFile(out, text.Bytes(), 0o644)
	}
	folder := strings.TrimSuffix(filepath.Base(out), filepath.Ext(out)) + "-figures"
	err := report.Markdown(&text, d, func(name string, data []byte) (string, error) {
		dir := filepath.Join(filepath.Dir(out), folder)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		return folder + "/" + name, durable.WriteFile(filepath.Join(dir, name), data, 0o644)
	})
	if err != nil {
		return err
	}
	return durable.WriteFile(out, text.Bytes(), 0o644)
}

// runFiles is what lies in a run directory, for reading.
type runFiles struct{ dir string }

func (r runFiles) path(name string) string { return filepath.Join(r.dir, name) }

func (r runFiles) has(name string) bool {
	_, err := os.Stat(r.path(name))
	return err == nil
}

// read decodes a JSON file of the run; false: it is not there.
func (r runFiles) read(name string, into any) (bool, error) {
	text, err := os.ReadFile(r.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("report: %s: %w", r.path(name), err)
	}
	return true, nil
}

// reportOf collects what a run has.
func reportOf(dir string) (report.Document, error) {
	r := runFiles{dir}
	d := report.Document{Title: filepath.Base(filepath.Clean(dir)), Lead: "Written " + time.Now().Format("2 January 2006, 15:04 MST") + " by nasnet " + version + "."}
	for _, section := range []func(runFiles) ([]report.Part, error){searchParts, trainingPart, evaluationPart, exportPart, repeatPart} {
		parts, err := section(r)
		if err != nil {
			return d, err
		}
		d.Parts = append(d.Parts, parts...)
	}
	if len(d.Parts) == 0 {
		return d, usagef("report: %s is no run: it has neither a ledger, nor metrics, nor an evaluation, nor a configuration", dir)
	}
	return d, nil
}

// figure turns a plot into both forms. The label is its caption.
func figure(name, caption string, f *plot.Figure, err error) (report.Figure, error) {
	out := report.Figure{Name: name, Caption: caption}
	if err == nil {
		out.SVG, err = f.SVG(caption)
	}
	if err == nil {
		out.PNG, err = f.PNG()
	}
	return out, err
}

// exportPart tells of the SavedModel and the server.
func exportPart(r runFiles) ([]report.Part, error) {
	var e exported
	found, err := r.read("export.json", &e)
	if !found || err != nil {
		return nil, err
	}
	facts := report.Facts{
		{"SavedModel", e.Dir},
		{"size", term.Bytes(e.Bytes)},
		{"signatures", strings.Join(e.Signatures, ", ")},
		{"logits in a new process", fmt.Sprintf("differ by at most %.2g on %d images", e.Check.MaxAbsDiff, e.Check.Images)},
	}
	var s served
	if found, err = r.read("serve.json", &s); found {
		facts = append(facts, [2]string{"served", fmt.Sprintf("%d of %d images right, logits differ by at most %.2g", s.Right, s.Images, s.MaxAbsDiff)})
	}
	return []report.Part{{Title: "Export", Items: []report.Item{facts}}}, err
}

// repeatPart tells what made the run.
func repeatPart(r runFiles) ([]report.Part, error) {
	var items []report.Item
	m, err := rundir.ReadManifest(r.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // of single commands
	case err != nil:
		return nil, err
	default:
		items = append(items, machineFacts(m), stageTable(m))
		var lines []string
		for _, c := range m.Commands {
			lines = append(lines, "nasnet "+shellLine(c.Args))
		}
		items = append(items, report.Code{Caption: "The commands that worked on this run, oldest first. The same command in another --run repeats it: all random numbers follow from the seed.", Text: strings.Join(lines, "\n")})
	}
	if text, err := os.ReadFile(r.path(rundir.ConfigFile)); err == nil {
		items = append(items, report.Code{Caption: "The configuration, complete (config.yaml). `nasnet run --config config.yaml --run DIR` repeats the run.", Text: string(text)})
	}
	if len(items) == 0 {
		return nil, nil
	}
	return []report.Part{{Title: "How to repeat it", Items: items}}, nil
}

func machineFacts(m rundir.Manifest) report.Facts {
	facts := report.Facts{{"begun", m.Created.Format("2 January 2006, 15:04 MST")}, {"seed", strconv.FormatInt(m.Seed, 10)}}
	for _, list := range []map[string]string{m.Versions, m.Machine} {
		for _, key := range sortedNames(list) {
			facts = append(facts, [2]string{key, list[key]})
		}
	}
	return facts
}

func stageTable(m rundir.Manifest) report.Table {
	t := report.Table{Caption: "Stages", Header: []string{"stage", "state", "time", "fault"}}
	for _, s := range m.Stages {
		t.Rows = append(t.Rows, []string{s.Name, string(s.Status), term.Duration(time.Duration(s.Seconds * float64(time.Second))), s.Error})
	}
	return t
}

// shellLine writes arguments as a shell reads them.
func shellLine(args []string) string {
	list := make([]string, len(args))
	for i, arg := range args {
		list[i] = arg
		if arg == "" || strings.ContainsAny(arg, " \t\n\"'$`\\*?[]{}()<>|&;#~!") {
			list[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(list, " ")
}
