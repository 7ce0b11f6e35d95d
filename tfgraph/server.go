package tfgraph

// #include "tensorflow/c/c_api.h"
import "C"

import (
	"fmt"
	"unsafe"

	corepb "github.com/wamuir/graft/tensorflow/core/protobuf/for_core_protos_go_proto"
	"google.golang.org/protobuf/proto"
)

// Cluster names the TensorFlow servers that one session runs on. The host holds
// what is stored and fed; workers compute.
type Cluster struct {
	Host    string   // host:port of the server that the session talks to
	Workers []string // host:port of each worker
}

// The names of a cluster's jobs in TensorFlow's device names.
const (
	hostJob   = "host"
	workerJob = "worker"
	serverJob = "server" // of a server on its own; TensorFlow refuses a cluster with the same name in it
)

// HostDevice is the CPU of the cluster's host.
func (Cluster) HostDevice() string { return "/job:" + hostJob + "/task:0/device:CPU:0" }

// WorkerDevice is a device such as "/device:GPU:0" of worker i. With "" it is
// the worker's best: TensorFlow prefers a GPU.
func (Cluster) WorkerDevice(i int, device string) string {
	return fmt.Sprintf("/job:%s/task:%d%s", workerJob, i, device)
}

func (c Cluster) proto() *corepb.ClusterDef {
	workers := map[int32]string{}
	for i, address := range c.Workers {
		workers[int32(i)] = address
	}
	return &corepb.ClusterDef{Job: []*corepb.JobDef{
		{Name: hostJob, Tasks: map[int32]string{0: c.Host}}, {Name: workerJob, Tasks: workers},
	}}
}

// Server is TensorFlow's gRPC server in this process. It runs whatever graph it
// is sent, for anybody who reaches its port: it belongs into a private network.
// TensorFlow listens on all interfaces whatever the address says.
type Server struct{ c *C.TF_Server }

// StartServer starts a server that other machines reach at address (host:port).
// It learns of a cluster from the session that uses it, so a worker serves one
// training after the other. o's threads and devices are the server's own.
func StartServer(address string, o SessionOptions) (*Server, error) {
	def, err := proto.Marshal(&corepb.ServerDef{
		Cluster: &corepb.ClusterDef{Job: []*corepb.JobDef{{Name: serverJob, Tasks: map[int32]string{0: address}}}},
		JobName: serverJob, Protocol: "grpc", DefaultSessionConfig: o.proto(),
	})
	if err != nil {
		return nil, fmt.Errorf("tfgraph: server configuration: %w", err)
	}
	status := C.TF_NewStatus()
	defer C.TF_DeleteStatus(status)
	server := C.TF_NewServer(unsafe.Pointer(&def[0]), C.size_t(len(def)), status)
	if err := statusErr(status); err != nil {
		return nil, fmt.Errorf("tfgraph: server at %s: %w", address, err)
	}
	if C.TF_ServerStart(server, status); statusErr(status) != nil {
		return nil, fmt.Errorf("tfgraph: start the server at %s: %w", address, statusErr(status))
	}
	return &Server{server}, nil
}

// Target is how a session in this process reaches the server.
func (s *Server) Target() string { return C.GoString(C.TF_ServerTarget(s.c)) }
