// Command nasnet-engine is the part of nasnet that links TensorFlow. The front,
// nasnet, starts it with one command and a request on its standard input, and
// supervises it; see internal/engine for the protocol and internal/engine/api
// for the documents. People call nasnet.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nasnet-go/nasnet/internal/engine"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/tfgraph"
)

func main() {
	if err := tfgraph.LoadDevices(filepath.SplitList(os.Getenv(api.DeviceLibraries))); err != nil {
		fmt.Fprintln(os.Stderr, "nasnet-engine:", err)
		os.Exit(engine.CodeUsage)
	}
	os.Exit(engine.Main(os.Args[1:], map[string]engine.Handler{
		api.Trial:        handle(trial),
		api.Train:        handle(trainRun),
		api.TrainServer:  handle(trainServer),
		api.Eval:         handle(evaluate),
		api.Export:       handle(export),
		api.CheckExport:  handle(checkExport),
		api.Predict:      handle(predict),
		api.Weights:      handle(convertWeights),
		api.ServeBackend: handle(serveBackend),
		api.FirstStep:    handle(firstStep),
		api.InputRate:    handle(inputRate),
		api.InferRate:    handle(inferRate),
		api.SessionRate:  handle(sessionRate),
		api.Show:         handle(show),
		api.Doctor:       handle(doctor),
		api.Abort:        abort,

		api.DetectTrain:   handle(trainDetector),
		api.DetectEval:    handle(evaluateDetector),
		api.DetectPredict: handle(predictDetections),
		api.DetectExport:  handle(exportDetector),
		api.DetectRate:    handle(detectRate),
	}))
}
