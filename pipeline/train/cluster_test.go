package train_test

import (
	"context"
	"net"
	"testing"

	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
)

// overWorkers sends a training's replicas to n servers of this process.
func overWorkers(t *testing.T, o train.Options, n int) train.Options {
	t.Helper()
	start := func() (string, *tfgraph.Server) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		l.Close()
		server, err := tfgraph.StartServer(address, tfgraph.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return address, server
	}
	host, server := start()
	cluster := &tfgraph.Cluster{Host: host}
	o.Session.Target, o.Session.Cluster, o.Devices = server.Target(), cluster, nil
	for i := range n {
		address, _ := start()
		cluster.Workers = append(cluster.Workers, address)
		o.Devices = append(o.Devices, cluster.WorkerDevice(i, ""))
	}
	return o
}

// One worker trains as this machine alone would, with masks and batch norm; two
// average the gradients of the whole batch.
func TestWorkersTrainLikeOneMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts TensorFlow's servers")
	}
	o := options("")
	o.Steps = 20
	near(t, "one worker", weights(t, overWorkers(t, o, 1), batches(8), tower), weights(t, o, batches(8), tower), 1e-5)
	want := weights(t, parallel(""), batches(8), plainTower)
	near(t, "two workers", weights(t, overWorkers(t, parallel(""), 2), batches(8), plainTower), want, 1e-5)
}

// A training over workers resumes from its checkpoint, on fewer workers too.
func TestWorkersResume(t *testing.T) {
	if testing.Short() {
		t.Skip("starts TensorFlow's servers")
	}
	want := weights(t, parallel(""), batches(8), plainTower)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	o := parallel(dir)
	o.OnProgress = func(p train.Progress) {
		if p.Step == 9 {
			cancel()
		}
	}
	weightsOf(t, ctx, overWorkers(t, o, 2), batches(8), plainTower, train.ErrInterrupted)
	near(t, "after losing a worker", weightsOf(t, context.Background(), overWorkers(t, parallel(dir), 1), batches(8), plainTower, nil), want, 1e-5)
}
