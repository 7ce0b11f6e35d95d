// Package cluster knows which machines of a training are there: it asks
// TensorFlow's gRPC servers, without TensorFlow.
//
// Caveat: TensorFlow's protocol has neither encryption nor passwords. Whoever
// reaches a server's port can run any graph there.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	devicepb "github.com/wamuir/graft/tensorflow/core/framework/device_attributes_go_proto"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	answerTime = 3 * time.Second // for one question
	silence    = 10 * time.Second
	between    = time.Second // two questions to the same server
)

// Worker is a server that answered.
type Worker struct {
	Address     string   // host:port
	Devices     []string // such as "CPU", one for each
	Incarnation uint64   // changes when the server starts anew
}

// Ask returns the server at address. No answer in three seconds is an error.
func Ask(ctx context.Context, address string) (Worker, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	w := Worker{Address: address}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return w, fmt.Errorf("worker %s: %w", address, err)
	}
	defer conn.Close()
	var reply emptypb.Empty // GetStatusResponse has one field, which stays "unknown"
	if err := conn.Invoke(ctx, "/tensorflow.WorkerService/GetStatus", &emptypb.Empty{}, &reply); err != nil {
		return w, fmt.Errorf("worker %s does not answer: %s", address, status.Convert(err).Message())
	}
	return w, w.read(reply.ProtoReflect().GetUnknown())
}

// read takes the devices of a GetStatusResponse: repeated DeviceAttributes, field 1.
func (w *Worker) read(b []byte) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 || number != 1 || kind != protowire.BytesType {
			return fmt.Errorf("worker %s: the answer is not of TensorFlow's worker service", w.Address)
		}
		field, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return fmt.Errorf("worker %s: the answer ends early", w.Address)
		}
		var d devicepb.DeviceAttributes
		if err := proto.Unmarshal(field, &d); err != nil {
			return fmt.Errorf("worker %s: %w", w.Address, err)
		}
		w.Devices = append(w.Devices, d.GetDeviceType())
		w.Incarnation ^= d.GetIncarnation()
		b = b[n+m:]
	}
	return nil
}

// Gather asks all addresses until all have answered or the time is up, and
// returns those that did, in the order of addresses, and what the others said.
func Gather(ctx context.Context, addresses []string, wait time.Duration) (there []Worker, missing error) {
	deadline := time.Now().Add(wait)
	for {
		workers, faults := make([]Worker, len(addresses)), make([]error, len(addresses))
		var all errgroup.Group
		for i, address := range addresses {
			all.Go(func() error {
				workers[i], faults[i] = Ask(ctx, address)
				return nil
			})
		}
		_ = all.Wait()
		there = nil
		for i, err := range faults {
			if err == nil {
				there = append(there, workers[i])
			}
		}
		missing = errors.Join(faults...)
		if missing == nil || time.Now().After(deadline) || !pause(ctx) {
			return there, missing
		}
	}
}

// Changed asks the workers once more and says what is no longer as it was: one
// that does not answer within the time, or started anew. "" if nothing changed.
func Changed(ctx context.Context, workers []Worker, wait time.Duration) string {
	addresses := make([]string, len(workers))
	for i, w := range workers {
		addresses[i] = w.Address
	}
	there, _ := Gather(ctx, addresses, wait)
	now := map[string]uint64{}
	for _, w := range there {
		now[w.Address] = w.Incarnation
	}
	for _, w := range workers {
		incarnation, ok := now[w.Address]
		if !ok {
			return "worker " + w.Address + " is lost"
		}
		if incarnation != w.Incarnation {
			return "worker " + w.Address + " was started anew"
		}
	}
	return ""
}

// Watch returns with a sentence when a worker has been silent for ten seconds
// or was started anew, and with "" when ctx ends.
func Watch(ctx context.Context, workers []Worker) string {
	for pause(ctx) {
		if why := Changed(ctx, workers, silence); why != "" && ctx.Err() == nil {
			return why
		}
	}
	return ""
}

// Await returns the first of the addresses that answers, "" when ctx ends.
func Await(ctx context.Context, addresses []string) string {
	for len(addresses) > 0 && pause(ctx) {
		if there, _ := Gather(ctx, addresses, 0); len(there) > 0 {
			return there[0].Address
		}
	}
	return ""
}

// pause waits a moment; false when ctx ended.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(between):
		return true
	}
}

// LocalAddress is a free host:port of this machine as the machine at peer
// (host:port) reaches it.
func LocalAddress(peer string) (string, error) {
	conn, err := net.Dial("udp", peer) // sends nothing: it only chooses the route
	if err != nil {
		return "", fmt.Errorf("find this machine's address towards %s: %w", peer, err)
	}
	host := conn.LocalAddr().(*net.UDPAddr).IP.String()
	_ = conn.Close()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("find a free port at %s: %w", host, err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
