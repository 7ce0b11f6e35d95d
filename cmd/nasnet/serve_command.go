package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/nasnet-go/nasnet/configs"
	"github.com/nasnet-go/nasnet/savedmodel/serving"
	"github.com/nasnet-go/nasnet/savedmodel/serving/rpc"
)

// drainTime is how long requests under way may take when the server ends.
const drainTime = 30 * time.Second

// softMemory is from where on the front collects its garbage at once and gives
// memory back: requests of up to 64 MiB come and go, and what they took would stay
// resident. TensorFlow has a process of its own.
const softMemory = 128 << 20

// serving is the document of serve --json.
type servingDocument struct {
	REST     string           `json:"rest,omitempty"` // base address
	GRPC     string           `json:"grpc,omitempty"` // host:port
	Models   map[string]int64 `json:"models"`         // the newest available version; 0: none yet
	Version  string           `json:"nasnet_version"`
	Insecure bool             `json:"insecure,omitempty"` // anybody who reaches the address may ask
}

func (a *app) serveCommand() *cobra.Command {
	f := newServeFlags()
	c := &cobra.Command{
		Use: "serve", Short: "Serve models through TensorFlow Serving's REST and gRPC interfaces", Args: cobra.NoArgs,
		Long: "Serve SavedModels as tensorflow_model_server does, with its flags. TensorFlow runs in a process of its own for each\n" +
			"version, which is started again when it dies. New versions are loaded while old ones serve, which then finish what\n" +
			"they have begun. SIGTERM and Ctrl-C let requests under way finish for 30 seconds.",
		Example: "  nasnet serve --model_name nasnet --model_base_path runs/quickstart/export\n" +
			"  nasnet serve --model_config_file models.config --model_config_file_poll_wait_seconds 30 --enable_batching\n" +
			"  nasnet serve --model_base_path export --host 0.0.0.0 --token_file token --tls_cert cert.pem --tls_key key.pem\n" +
			"  nasnet serve health http://127.0.0.1:8501/v1/models/nasnet",
	}
	f.register(c.Flags())
	c.AddCommand(a.serveHealthCommand())
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.showVersion {
			a.say("%s", version)
			return nil
		}
		o, err := f.options(c.Flags())
		if err != nil {
			return err
		}
		o.Log = a.log()
		return a.serve(c.Context(), o)
	}
	return c
}

// serve runs a server until it is told to end.
func (a *app) serve(ctx context.Context, o serving.Options) error {
	if err := o.Validate(); err != nil { // wrong flags are told first, engine or not
		return usagef("%v", err)
	}
	launcher, err := a.launcher(ctx, configs.Engine{})
	if err != nil {
		return err
	}
	if os.Getenv("GOMEMLIMIT") == "" && os.Getenv("GOGC") == "" { // who sets them has decided
		debug.SetMemoryLimit(softMemory)
		debug.SetGCPercent(rpc.GCPercent)
	}
	s, err := serving.Start(ctx, o, launcher)
	if err != nil {
		return err
	}
	err = a.announce(s, o)
	if err == nil {
		select {
		case err = <-s.Done():
		case <-ctx.Done():
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err = errors.Join(err, s.Shutdown(end)); err == nil && ctx.Err() != nil {
		return errEnded
	}
	return err
}

// errEnded is a server's end on request, which is a success: there is nothing to
// resume.
var errEnded = errors.New("ended on request")

// announce tells where the server is.
func (a *app) announce(s *serving.Server, o serving.Options) error {
	doc := servingDocument{REST: s.URL(), GRPC: s.GRPC(), Models: s.Versions(), Version: version, Insecure: o.Insecure}
	if a.json {
		return a.document(doc)
	}
	for name, v := range doc.Models {
		what := fmt.Sprintf("%s version %d", name, v)
		if v == 0 {
			what = name + ", which has no version yet,"
		}
		if doc.REST != "" {
			a.term.Note("serving %s at %s/v1/models/%s", what, doc.REST, name)
		}
		if doc.GRPC != "" {
			a.term.Note("serving %s by gRPC at %s", what, doc.GRPC)
		}
	}
	a.term.Note("Ctrl-C ends it")
	return nil
}
