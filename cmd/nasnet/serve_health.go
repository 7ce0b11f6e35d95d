package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/nasnet-go/nasnet/savedmodel/serving"
)

// remoteOptions say how a server is reached.
type remoteOptions struct {
	token, tokenFile string
	ca               string // PEM of the authority that signed the server's certificate; "": the system's
	model            string // where the URL names none
}

func (o remoteOptions) bearer() (string, error) {
	if o.token != "" || o.tokenFile == "" {
		return o.token, nil
	}
	text, err := os.ReadFile(o.tokenFile)
	return strings.TrimSpace(string(text)), err
}

func (o remoteOptions) tls() (*tls.Config, error) {
	if o.ca == "" {
		return &tls.Config{}, nil
	}
	text, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", o.ca)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// client asks the server at url, which may name the model: its base address or
// …/v1/models/NAME[/versions/N|/labels/L].
func (o remoteOptions) client(url string, timeout time.Duration) (serving.Client, error) {
	token, err := o.bearer()
	if err != nil {
		return serving.Client{}, usagef("%v", err)
	}
	t, err := o.tls()
	if err != nil {
		return serving.Client{}, usagef("%v", err)
	}
	c := serving.Client{Token: token, HTTP: &http.Client{Timeout: timeout, Transport: &http.Transport{TLSClientConfig: t, ForceAttemptHTTP2: true}}}
	c.URL, c.Model, err = serving.SplitModelURL(url)
	if err != nil {
		return c, usagef("%v", err)
	}
	if c.Model == "" {
		c.Model = o.model
	}
	return c, nil
}

func (a *app) serveHealthCommand() *cobra.Command {
	var o remoteOptions
	c := &cobra.Command{
		Use: "health [URL]", Short: "Succeed if a server answers predictions (for HEALTHCHECK and probes)", Args: cobra.MaximumNArgs(1),
		Long: "Ask a server whether a model is available: exit code 0 if it is, 1 if not. URL is a model's REST address\n" +
			"(http://127.0.0.1:8501/v1/models/NAME, the default with --model_name), or grpc://HOST:PORT for the health service.",
	}
	o.register(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		url := "http://127.0.0.1:8501"
		if len(args) == 1 {
			url = args[0]
		}
		return a.probe(c.Context(), url, o)
	}
	return c
}

func (o *remoteOptions) register(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.token, "token", "", "to be shown to the server; other users of the machine can see it, --token_file not")
	f.StringVar(&o.tokenFile, "token_file", "", "file with the token")
	f.StringVar(&o.ca, "ca", "", "PEM file of the authority behind the server's certificate, instead of the system's")
	f.StringVar(&o.model, "model_name", "default", "model, where the URL names none")
}

// probe fails if the server at url does not serve.
func (a *app) probe(ctx context.Context, url string, o remoteOptions) error {
	const patience = 5 * time.Second // of a probe, not of a test
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if address, ok := strings.CutPrefix(url, "grpc://"); ok {
		return a.probeGRPC(ctx, address, insecure.NewCredentials())
	}
	if address, ok := strings.CutPrefix(url, "grpcs://"); ok {
		t, err := o.tls()
		if err != nil {
			return usagef("%v", err)
		}
		return a.probeGRPC(ctx, address, credentials.NewTLS(t))
	}
	c, err := o.client(url, patience)
	if err != nil {
		return err
	}
	versions, err := c.Available(ctx)
	if err != nil {
		return err
	}
	if len(versions) == 0 {
		return fmt.Errorf("%s: no version of %s is available", c.URL, c.Model)
	}
	return a.healthy(map[string]any{"model": c.Model, "available_versions": versions})
}

func (a *app) probeGRPC(ctx context.Context, address string, creds credentials.TransportCredentials) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	if r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("%s answers %s", address, r.GetStatus())
	}
	return a.healthy(map[string]any{"status": r.GetStatus().String()})
}

func (a *app) healthy(doc map[string]any) error {
	if a.json {
		return a.document(doc)
	}
	a.say("ok")
	return nil
}
