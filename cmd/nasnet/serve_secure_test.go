package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	servingpb "github.com/wamuir/graft/tensorflow/serving/apis_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/nasnet-go/nasnet/savedmodel/serving/rpc"
)

// certificate writes cert.pem and key.pem for 127.0.0.1; its own authority.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nasnet test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestServeWithTokenAndTLS(t *testing.T) {
	base, dir := t.TempDir(), t.TempDir()
	copyModel(t, "half_plus_two", base, "1")
	cert, key := certificate(t, dir)
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveModels(t, "--model_base_path", base, "--host", "0.0.0.0", "--token_file", token, "--tls_cert", cert, "--tls_key", key)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.doc.REST, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	_, grpcPort, err := net.SplitHostPort(s.doc.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	for header, want := range map[string]int{"": 401, "Bearer wrong": 401, "Basic s3cret": 401, "Bearer s3cret": 200, "bearer s3cret": 200} {
		for _, path := range []string{"/v1/models/default", "/metrics", "/monitoring/prometheus/metrics"} {
			r, err := http.NewRequest(http.MethodGet, "https://127.0.0.1:"+port+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", header)
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s with %q: %d, want %d", path, header, resp.StatusCode, want)
			}
		}
	}
	conn, err := grpc.NewClient("127.0.0.1:"+grpcPort, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for bearer, want := range map[string]codes.Code{"": codes.Unauthenticated, "Bearer no": codes.Unauthenticated, "Bearer s3cret": codes.OK} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", bearer)
		_, err := rpc.Client{Conn: conn}.GetModelStatus(ctx, &servingpb.GetModelStatusRequest{ModelSpec: &servingpb.ModelSpec{Name: "default"}})
		if status.Code(err) != want {
			t.Errorf("gRPC with %q: %v, want %s", bearer, err, want)
		}
	}
	self := program(t, "nasnet")
	rest := "https://127.0.0.1:" + port
	if out, err := exec.Command(self, "serve", "health", rest, "--ca", cert, "--token_file", token).CombinedOutput(); err != nil {
		t.Errorf("health: %s", out)
	}
	if out, err := exec.Command(self, "serve", "health", "grpcs://127.0.0.1:"+grpcPort, "--ca", cert).CombinedOutput(); err != nil {
		t.Errorf("health by gRPC needs no token: %s", out)
	}
	if out, err := exec.Command(self, "serve", "health", rest, "--ca", cert).CombinedOutput(); err == nil {
		t.Errorf("health without the token: %s", out)
	}
}

func TestServeWantsClientCertificates(t *testing.T) {
	base, dir := t.TempDir(), t.TempDir()
	copyModel(t, "half_plus_two", base, "1")
	cert, key := certificate(t, dir)
	ssl := filepath.Join(dir, "ssl.config")
	var text bytes.Buffer
	for name, path := range map[string]string{"server_cert": cert, "custom_ca": cert, "server_key": key} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s: %q\n", name, raw)
	}
	text.WriteString("client_verify: true\n")
	if err := os.WriteFile(ssl, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveModels(t, "--model_base_path", base, "--ssl_config_file", ssl)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	raw, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(raw)
	for _, shown := range [][]tls.Certificate{nil, {pair}} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: shown}}}
		resp, err := client.Get(s.doc.REST + "/v1/models/default")
		if (err == nil) != (shown != nil) {
			t.Errorf("%d certificates shown: %v", len(shown), err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
		client.CloseIdleConnections()
	}
}

// What cannot be served safely, or not at all, is said before anything starts.
func TestServeRefusesFlags(t *testing.T) {
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--host", "0.0.0.0"}, "--token_file, or --insecure"},
		{[]string{"--tls_cert", "x"}, "both a certificate and its key"},
		{[]string{"--use_alts_credentials"}, "ALTS"},
		{[]string{"--prefer_tflite_model"}, "Lite"},
		{[]string{"--saved_model_tags", "tpu"}, "tagged \"serve\""},
		{[]string{"--batching_parameters_file", "x"}, "--enable_batching"},
		{[]string{"--rest_api_port", "9", "--port", "9"}, "a port each"},
		{[]string{"--rest_api_port", "-1", "--port", "-1"}, "neither REST nor gRPC"},
		{[]string{"--platform_config_file", "x"}, "one platform"},
		{[]string{"--grpc_channel_arguments", "grpc.lb_policy=x"}, "grpc.max_concurrent_streams"},
	} {
		var out, err bytes.Buffer
		code := run(t.Context(), append([]string{"serve", "--model_base_path", t.TempDir()}, c.flags...), &out, &err)
		if code == 0 || !strings.Contains(err.String(), c.want) {
			t.Errorf("%v: %d %s, want %s", c.flags, code, err.String(), c.want)
		}
	}
	var out, err bytes.Buffer
	if code := run(t.Context(), []string{"serve"}, &out, &err); code != exitUsage || !strings.Contains(err.String(), "--model_base_path") {
		t.Errorf("%d %s", code, err.String())
	}
}

func TestServeCutsOffSlowClients(t *testing.T) {
	base := t.TempDir()
	copyModel(t, "half_plus_two", base, "1")
	s := serveModels(t, "--model_base_path", base, "--rest_api_timeout_in_ms", "1000")
	u, err := url.Parse(s.doc.REST)
	if err != nil {
		t.Fatal(err)
	}
	for name, head := range map[string]string{"headers": "POST /v1/models/default:predict HTTP/1.1\r\nX: ", "body": "POST /v1/models/default:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"} {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(conn)
			ended <- err
		}()
		for sent := 0; ; sent++ { // as long as the server lets it
			select {
			case <-ended:
			case <-time.After(50 * time.Millisecond):
				_, _ = io.WriteString(conn, "1")
				continue
			}
			t.Logf("slow %s: cut off after %d bytes", name, sent)
			break
		}
	}
	s.answers(t, "default", 2.5)
}
