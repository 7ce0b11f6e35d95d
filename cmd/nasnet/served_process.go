package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/prometheus/procfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/nasnet-go/nasnet/savedmodel/serving"
	"github.com/nasnet-go/nasnet/savedmodel/serving/rpc"
)

// servedProcess is a server of this program's in a process of its own.
type servedProcess struct {
	cmd  *exec.Cmd
	doc  servingDocument
	http *http.Client
	conn *grpc.ClientConn
	out  io.ReadCloser
}

// startServed runs this program's `serve` on free ports and returns when it serves.
func startServed(ctx context.Context, stderr io.Writer, base string, args ...string) (*servedProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startServedBy(ctx, self, stderr, append([]string{"--model_base_path", base, "--log-level", "error"}, args...)...)
}

// startServedBy is the same for any copy of this program, and flags that name the
// models.
func startServedBy(ctx context.Context, program string, stderr io.Writer, args ...string) (*servedProcess, error) {
	cmd := exec.CommandContext(ctx, program, append([]string{"serve", "--json", "--rest_api_port", "0", "--port", "0"}, args...)...)
	cmd.Stderr = stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	p := &servedProcess{cmd: cmd}
	var err error
	if p.out, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(p.out).Decode(&p.doc); err != nil {
		return nil, errors.Join(fmt.Errorf("the server did not start: %w", err), cmd.Wait())
	}
	p.http = &http.Client{Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256}}
	p.conn, err = grpc.NewClient(p.doc.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(16<<20), grpc.WithInitialConnWindowSize(16<<20), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	return p, err
}

// stop ends the server, which must drain and succeed.
func (p *servedProcess) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.wait()
}

// wait waits for a server that was told to end.
func (p *servedProcess) wait() error {
	if p.conn != nil {
		_ = p.conn.Close()
	}
	p.http.CloseIdleConnections()
	_, _ = io.Copy(io.Discard, p.out)
	return p.cmd.Wait()
}

func (p *servedProcess) rest() serving.Client {
	return serving.Client{URL: p.doc.REST, Model: "default", HTTP: p.http}
}

func (p *servedProcess) rpc() rpc.Client { return rpc.Client{Conn: p.conn} }

// children are the process ids of its engines. The kernel lists them by the
// thread that started them.
func (p *servedProcess) children() ([]int, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	var list []int
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			list = append(list, n)
		}
	}
	return list, nil
}

// resident is a process's memory in bytes; shared libraries that it has touched count.
func resident(pid int) (int64, error) {
	stat, err := statOf(pid)
	return int64(stat.ResidentMemory()), err
}

// cpu is the time that the server's processes have computed so far, in seconds.
func (p *servedProcess) cpu() (float64, error) {
	pids, err := p.children()
	sum := 0.0
	for _, pid := range append(pids, p.cmd.Process.Pid) {
		stat, e := statOf(pid)
		sum, err = sum+stat.CPUTime(), errors.Join(err, e)
	}
	return sum, err
}

func statOf(pid int) (procfs.ProcStat, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return procfs.ProcStat{}, err
	}
	return p.Stat()
}

// post sends a request to predict over REST. Its answer is read, not understood.
func (p *servedProcess) post(ctx context.Context, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.doc.REST+"/v1/models/default:predict", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := p.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the server answered %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return err
}

// send sends a marshalled request to predict over gRPC. Its answer is read, not
// understood.
func (p *servedProcess) send(ctx context.Context, message []byte) error {
	var answer []byte
	return p.conn.Invoke(ctx, "/"+rpc.PredictionService+"/Predict", message, &answer, grpc.ForceCodec(asItIs{}))
}

// asItIs is a codec for messages that are marshalled already.
type asItIs struct{}

func (asItIs) Name() string                  { return "proto" }
func (asItIs) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (asItIs) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = data
	return nil
}
