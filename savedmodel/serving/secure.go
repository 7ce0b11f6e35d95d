package serving

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	configpb "github.com/wamuir/graft/tensorflow/serving/config_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// TLS names the files, in PEM, that a server identifies itself with.
type TLS struct {
	Cert, Key string // certificate (with its chain) and key; without them there is no TLS
	ClientCA  string // certificates must come from it where Verify is set
	Verify    bool   // clients must show a certificate
}

// readSSLConfig reads an --ssl_config_file: TensorFlow Serving's SSLConfig, which
// holds the PEM texts themselves. One that begins with / is a file's name.
func readSSLConfig(path string) (*tls.Config, error) {
	c := &configpb.SSLConfig{}
	if err := readTextProto(path, c); err != nil {
		return nil, err
	}
	cert, key, ca := pemText(c.GetServerCert()), pemText(c.GetServerKey()), pemText(c.GetCustomCa())
	if cert.text == nil || key.text == nil {
		return nil, errors.Join(fmt.Errorf("serving: %s: server_cert and server_key must hold PEM texts", path), cert.err, key.err)
	}
	return tlsConfig(cert, key, ca, c.GetClientVerify())
}

// config reads the files. It is nil where there is no TLS.
func (t TLS) config() (*tls.Config, error) {
	switch {
	case t == TLS{}:
		return nil, nil
	case t.Cert == "" || t.Key == "":
		return nil, errors.New("serving: TLS needs both a certificate and its key (--tls_cert, --tls_key)")
	case t.Verify && t.ClientCA == "":
		return nil, errors.New("serving: client certificates are to be verified, but there is no --tls_client_ca")
	}
	return tlsConfig(pemFile(t.Cert), pemFile(t.Key), pemFile(t.ClientCA), t.ClientCA != "")
}

// pem is a PEM text and where it came from.
type pem struct {
	text []byte
	err  error
}

func pemFile(path string) pem {
	if path == "" {
		return pem{}
	}
	text, err := os.ReadFile(path)
	return pem{text, err}
}

func pemText(s string) pem {
	if strings.HasPrefix(s, "/") {
		return pemFile(s)
	}
	return pem{text: []byte(s)}
}

func tlsConfig(cert, key, ca pem, verify bool) (*tls.Config, error) {
	if err := errors.Join(cert.err, key.err, ca.err); err != nil {
		return nil, fmt.Errorf("serving: TLS: %w", err)
	}
	pair, err := tls.X509KeyPair(cert.text, key.text)
	if err != nil {
		return nil, fmt.Errorf("serving: TLS: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if len(ca.text) > 0 {
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(ca.text) {
			return nil, errors.New("serving: TLS: the client CA holds no certificate in PEM")
		}
	}
	if verify {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// ReadToken reads a --token_file: one line.
func ReadToken(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("serving: token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("serving: token: %s must hold one line", path)
	}
	return token, nil
}

// guardHost refuses to listen where strangers could ask, unless they must show a
// token or the network is said to be trusted.
func guardHost(host, token string, insecure bool) error {
	ip := net.ParseIP(host)
	loopback := host == "localhost" || ip != nil && ip.IsLoopback()
	if !loopback && token == "" && !insecure {
		return fmt.Errorf("serving: %s is not a loopback address and requests are not authenticated; give --token_file, or --insecure if the network around it is trusted", host)
	}
	return nil
}

// bearer checks tokens. The zero value lets everybody in.
type bearer struct {
	digest [sha256.Size]byte
	set    bool
}

func newBearer(token string) bearer { return bearer{sha256.Sum256([]byte(token)), token != ""} }

// admits compares digests, so that neither content nor length shows in the time
// it takes.
func (b bearer) admits(header string) bool {
	scheme, token, _ := strings.Cut(header, " ")
	got := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return !b.set || strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], b.digest[:]) == 1
}

func (b bearer) http(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !b.admits(r.Header.Get("Authorization")) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="nasnet"`)
			writeFault(w, http.StatusUnauthorized, "the request has no valid token: send the header Authorization: Bearer TOKEN")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// rpc checks a call's metadata. The health service, which tells no more than
// whether the server serves, is open to everybody: probes carry no metadata.
func (b bearer) rpc(ctx context.Context, method string) error {
	if strings.HasPrefix(method, "/grpc.health.v1.Health/") {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	if list := md.Get("authorization"); len(list) == 1 && b.admits(list[0]) || !b.set {
		return nil
	}
	return status.Error(codes.Unauthenticated, "the call has no valid token: send the metadata authorization: Bearer TOKEN")
}

func (b bearer) unary(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := b.rpc(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, r)
}

func (b bearer) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := b.rpc(s.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, s)
}

// writeFault writes the error document of the REST interface.
func writeFault(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, "{ \"error\": %q }\n", text) // the client may have left
}
