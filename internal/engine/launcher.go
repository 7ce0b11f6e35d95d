package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/nasnet-go/nasnet/internal/libtf"
)

// BinaryName is the engine's file name.
const BinaryName = "nasnet-engine"

// Launcher starts engine processes. It may be used by many goroutines at once.
type Launcher struct {
	Path    string         // of the engine binary; default Locate()
	Library libtf.Library  // TensorFlow for the loader's path; zero: the engine's own rpath
	Log     zerolog.Logger // gets the engine's log lines where Job.Stderr is nil
	Env     []string       // further variables, "NAME=value", stronger than the present environment
}

// NewLauncher finds the engine binary and TensorFlow. Its errors are complete
// sentences: what is missing, where it was looked for, which command gets it.
func NewLauncher(ctx context.Context, log zerolog.Logger) (*Launcher, error) {
	path, err := Locate()
	if err != nil {
		return nil, err
	}
	library, err := libtf.Find(ctx, libtf.Options{})
	if err != nil {
		return nil, err
	}
	return &Launcher{Path: path, Library: library, Log: log}, nil
}

// Locate returns the engine binary: NASNET_ENGINE, else beside this program,
// else on PATH. ErrNoEngine where it is in none of them.
func Locate() (string, error) {
	if path := os.Getenv("NASNET_ENGINE"); path != "" {
		if !executable(path) {
			return "", fmt.Errorf("engine: NASNET_ENGINE=%s is no executable file: %w", path, ErrNoEngine)
		}
		return path, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("engine: %w", err)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	beside := filepath.Join(filepath.Dir(self), BinaryName)
	if executable(beside) {
		return beside, nil
	}
	if path, err := exec.LookPath(BinaryName); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%w: neither %s nor %s on PATH; build it with `make build`, or set NASNET_ENGINE to its path", ErrNoEngine, beside, BinaryName)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Job is one request to one engine process.
type Job struct {
	Command     string        // the engine's handler, for example "train"
	Request     any           // marshalled to JSON; nil is an empty object
	OnEvent     func(Event)   // progress and notes, in order, from one goroutine; nil: dropped
	MemoryLimit int64         // bytes of resident memory before it is killed; 0: none
	Timeout     time.Duration // before it is stopped like on cancel; 0: none
	Grace       time.Duration // between SIGTERM and SIGKILL; default 30 s, time to write a checkpoint
	Stderr      io.Writer     // gets the engine's stderr as it is; nil: the launcher's log
}

func (j Job) orDefault() Job {
	if j.OnEvent == nil {
		j.OnEvent = func(Event) {}
	}
	if j.Grace == 0 {
		j.Grace = 30 * time.Second
	}
	return j
}

// Run starts an engine and waits for its answer. Cancelling ctx sends SIGTERM:
// the engine checkpoints and answers with CodeInterrupted, which is returned as
// an *EngineError that is ErrInterrupted. A process that ends without an answer
// gives a *DiedError.
func (l *Launcher) Run(ctx context.Context, j Job) (json.RawMessage, error) {
	p, err := l.Start(ctx, j)
	if err != nil {
		return nil, err
	}
	return p.Wait()
}

// Start starts an engine and returns; ctx governs the process's whole life.
// Somebody must Wait.
func (l *Launcher) Start(ctx context.Context, j Job) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j = j.orDefault()
	request, err := requestLine(j.Request)
	if err != nil {
		return nil, fmt.Errorf("engine: request of %s: %w", j.Command, err)
	}
	path := l.Path
	if path == "" {
		if path, err = Locate(); err != nil {
			return nil, err
		}
	}
	if _, err := residentBytes(os.Getpid()); err != nil && j.MemoryLimit > 0 {
		return nil, fmt.Errorf("engine: a memory limit cannot be kept on this system: %w", err)
	}
	cmd := exec.Command(path, j.Command)
	cmd.Env = os.Environ()
	if l.Library.Lib != "" {
		cmd.Env = append(cmd.Env, l.Library.RunEnv()...)
	}
	cmd.Env = append(cmd.Env, l.Env...)
	p, err := start(cmd, l.Log, j, request)
	if err != nil {
		return nil, fmt.Errorf("engine: start %s: %w", path, err)
	}
	go p.supervise(ctx)
	return p, nil
}

func requestLine(request any) ([]byte, error) {
	if request == nil {
		request = struct{}{}
	}
	line, err := json.Marshal(request)
	if err == nil && len(line) > maxLine {
		err = errors.New("larger than a line may be")
	}
	return append(line, '\n'), err
}
