package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	xterm "golang.org/x/term"

	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/controller/search"
	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/internal/rundir"
	"github.com/nasnet-go/nasnet/internal/term"
	"github.com/nasnet-go/nasnet/pipeline/data/sets"
)

// Exit codes that scripts rely on.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInUse       = 3
	exitInterrupted = 130
)

// errUsage marks faults of the command line.
var errUsage = errors.New("wrong usage")

// usagef makes an error of the command line.
func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// app holds what every command shares.
type app struct {
	stdout, stderr io.Writer
	config         string
	set            []string // --set; its first use replaces the list
	short          []string // keys set by flags of their own, stronger than --set
	run            string
	json           bool
	logLevel       string
	logFormat      string
	term           *term.Term  // progress and notes, on standard error
	by             sets.Folder // how images in folders are divided and named, where not as usual
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr, term: term.New(stderr, term.Options{})}
	root := &cobra.Command{
		Use: "nasnet", Short: "Search, train, evaluate, export and serve NASNet cells over TensorFlow's C API",
		SilenceUsage: true, SilenceErrors: true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.config, "config", "", "preset or YAML file")
	flags.StringArrayVar(&a.set, "set", nil, "key.path=value, stronger than file and environment (repeatable)")
	flags.StringVar(&a.run, "run", "", "run directory")
	flags.BoolVar(&a.json, "json", false, "print one JSON document on standard output, and nothing else there")
	flags.StringVar(&a.logLevel, "log-level", "warn", "debug | info | warn | error")
	flags.StringVar(&a.logFormat, "log-format", "console", "console | json, on standard error")
	flags.Func("seed", "of every random number", func(v string) error { a.short = append(a.short, "seed="+v); return nil })
	root.AddCommand(a.runCommand(), a.searchCommand(), a.workerCommand(), a.trainCommand(), a.evalCommand(), a.exportCommand(), a.predictCommand(), a.weightsCommand(),
		a.serveCommand(), a.detectCommand(), a.dataCommand(), a.describeCommand(), a.drawCommand(), a.reportCommand(), a.doctorCommand(), a.healthCommand(), a.benchCommand(), a.versionCommand())
	strict(root)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%v", err) })
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, errEnded) {
		return 0
	}
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "nasnet: interrupted; the state is saved, run the same command again to go on")
		return exitInterrupted
	}
	fmt.Fprintln(stderr, "nasnet:", err)
	return exitCode(err)
}

func exitCode(err error) int {
	var coded interface{ ExitCode() int }
	switch {
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, sets.ErrInUse), errors.Is(err, search.ErrInUse), errors.Is(err, rundir.ErrInUse):
		return exitInUse
	case errors.As(err, &coded):
		return coded.ExitCode()
	}
	return exitFailed
}

// load reads the configuration that the flags name, and refuses what it asks for
// that commands cannot do yet: nothing is ignored.
func (a *app) load() (configs.Config, error) {
	c, err := configs.Load(configs.Source{Config: a.config, Set: slices.Concat(a.set, a.short), Env: os.Environ()})
	switch {
	case err != nil:
	case c.Data.Set == detectionSet:
		err = usagef("data.set is %s; `nasnet detect` trains and measures detectors", c.Data.Set)
	default:
		err = dataThere(c.Data)
	}
	return c, err
}

// directory is the run's: --run, or runs/ and the configuration's name.
func (a *app) directory() string {
	if a.run != "" {
		return a.run
	}
	return "runs/" + configs.RunName(a.config)
}

func (a *app) log() zerolog.Logger {
	level, err := zerolog.ParseLevel(a.logLevel)
	if err != nil {
		level = zerolog.WarnLevel
	}
	var w io.Writer = zerolog.ConsoleWriter{Out: a.term, NoColor: !colours(a.stderr)}
	if a.logFormat == "json" {
		w = a.term
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// launcher finds the engine; its processes load the configured device libraries.
func (a *app) launcher(ctx context.Context, e configs.Engine) (*engine.Launcher, error) {
	l, err := engine.NewLauncher(ctx, a.log())
	if err == nil && len(e.DeviceLibraries) > 0 {
		l.Env = append(l.Env, api.DeviceLibraries+"="+strings.Join(e.DeviceLibraries, string(os.PathListSeparator)))
	}
	return l, err
}

// colours reports whether w is a terminal that wants them.
func colours(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && xterm.IsTerminal(int(f.Fd()))
}

// say prints a line of a result.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.stdout, format+"\n", args...) }

// document prints a result as the one JSON document.
func (a *app) document(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, Run: func(*cobra.Command, []string) {
		fmt.Fprintln(a.stdout, version)
	}}
}
