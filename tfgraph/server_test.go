package tfgraph

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// freeAddress is a loopback address nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestMain serves as a worker's process too, and loads a plugin.
func TestMain(m *testing.M) {
	if library := os.Getenv("TFGRAPH_TEST_PLUGIN"); library != "" {
		fmt.Println(LoadDevices([]string{library}))
		os.Exit(0)
	}
	if address := os.Getenv("TFGRAPH_TEST_WORKER"); address != "" {
		if _, err := StartServer(address, SessionOptions{}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // until the test goes
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func startWorker(t *testing.T) (address string, cmd *exec.Cmd) {
	t.Helper()
	address = freeAddress(t)
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TFGRAPH_TEST_WORKER="+address)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(stdout).ReadString('\n'); !strings.HasPrefix(line, "ready") {
		t.Fatalf("worker at %s: %q %v", address, line, err)
	}
	return address, cmd
}

// A clone on another machine computes there what the original computes, with
// the variable of the host, and changes the variable from there.
func TestCluster(t *testing.T) {
	worker, cmd := startWorker(t)
	host := freeAddress(t)
	server, err := StartServer(host, SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cluster := Cluster{Host: host, Workers: []string{worker}}
	g := NewAt(cluster.HostDevice())
	s := g.Root()
	st := NewStore(1)
	v := st.Get(s.On(""), "v", []int64{2}, true, FilledInit(3))
	x := Placeholder(s, "x", Float32, Shape{2})
	y := Mul(s.On(""), x, v.Read)
	grad := Gradients(s.On(""), []Tensor{y}, []Tensor{v.Read})[0]
	update := v.AssignAdd(s.On(""), y)
	fed := Placeholder(s, "fed", Float32, Shape{2})
	outs, ops := Clone(s.Sub("there").On(cluster.WorkerDevice(0, "/device:CPU:0")), []Tensor{y, grad}, map[Tensor]Tensor{x: fed}, update)
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	if d := outs[0].out.Op.Device(); !strings.Contains(d, "job:worker") {
		t.Fatalf("the clone stands on %q", d)
	}
	sess, err := NewSession(g, SessionOptions{Target: server.Target(), Cluster: &cluster})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := sess.Devices(); err != nil || len(all) != 2 {
		t.Errorf("devices %v, %v; want the host's and the worker's", all, err)
	}
	if _, err := sess.Run(nil, nil, st.Init(s)); err != nil {
		t.Fatal(err)
	}
	in, _ := NewValue([]float32{1, 2}, 2)
	got, err := sess.Run(Feeds{fed: in}, outs, ops...)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got[0].Value(), got[1].Value()) != "[3 6] [1 2]" {
		t.Errorf("got %v and %v", got[0].Value(), got[1].Value())
	}
	after, err := sess.Run(nil, []Tensor{v.ReadAfter(s)})
	if err != nil || fmt.Sprint(after[0].Value()) != "[6 9]" {
		t.Errorf("variable %v, %v; want [6 9]", after, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := sess.Run(Feeds{fed: in}, outs); err == nil {
		t.Error("a step without the worker succeeded")
	}
}
