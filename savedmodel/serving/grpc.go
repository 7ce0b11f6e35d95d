package serving

import (
	"google.golang.org/grpc"
)

// registerGRPC is the protocol half's.
func registerGRPC(*grpc.Server, Models, Limits) {}
