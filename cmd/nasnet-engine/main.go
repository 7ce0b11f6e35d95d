// Command nasnet-engine is the part of nasnet that links TensorFlow. The front,
// nasnet, starts it with one command and a request on its standard input, and
// supervises it; see internal/engine for the protocol and internal/engine/api
// for the documents. People call nasnet.
package main

import (
	"os"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
)

func main() {
	os.Exit(engine.Main(os.Args[1:], map[string]engine.Handler{
		api.Trial:        handle(trial),
		api.Train:        handle(trainRun),
		api.Eval:         handle(evaluate),
		api.Export:       handle(export),
		api.CheckExport:  handle(checkExport),
		api.Predict:      handle(predict),
		api.Weights:      handle(convertWeights),
		api.ServeBackend: handle(serveBackend),
		api.FirstStep:    handle(firstStep),
		api.Doctor:       handle(doctor),
		api.Abort:        abort,
	}))
}
