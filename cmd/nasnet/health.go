package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTime is what an answer may take; the image's HEALTHCHECK allows ten seconds.
const healthTime = 5 * time.Second

func (a *app) healthCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "health", Short: "Whether the nasnet of this container works, for health checks", Args: cobra.NoArgs,
		Long: "Look for the nasnet process of this container or machine, and exit 0 if it is well: `nasnet serve` must have a\n" +
			"model available (its flags say where to ask), any other command must run. This is the HEALTHCHECK of the\n" +
			"container image, whatever the container does.",
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, stop := context.WithTimeout(c.Context(), healthTime)
		defer stop()
		said, err := a.ownHealth(ctx, "/proc")
		if err != nil {
			return fmt.Errorf("health: %w", err)
		}
		if a.json {
			return a.document(map[string]string{"healthy": said})
		}
		a.say("%s", said)
		return nil
	}
	return c
}

// ownHealth finds the oldest other nasnet process below proc and judges it.
func (a *app) ownHealth(ctx context.Context, proc string) (string, error) {
	p, err := findNasnet(proc)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(p.state, "ZXT") {
		return "", fmt.Errorf("nasnet %s (process %d) does not run: state %s", p.command(), p.pid, p.state)
	}
	if p.command() != "serve" {
		return fmt.Sprintf("nasnet %s runs (process %d)", p.command(), p.pid), nil
	}
	ask, err := a.probeOf(p)
	if err != nil {
		return "", err
	}
	return ask.ask(ctx)
}

// process is a nasnet that runs.
type process struct {
	pid   int
	state string   // R, S, D, Z, …: proc(5)
	args  []string // without the program's name
	dir   string   // its working directory
}

// command is the first argument that is no flag.
func (p process) command() string {
	if i := slices.IndexFunc(p.args, func(a string) bool { return !strings.HasPrefix(a, "-") }); i >= 0 {
		return p.args[i]
	}
	return ""
}

func findNasnet(proc string) (process, error) {
	files, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "cmdline"))
	if err != nil {
		return process{}, err
	}
	var found process
	for _, file := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))) // 0 where it is no number
		text, err := os.ReadFile(file)
		if err != nil || pid == 0 || pid == os.Getpid() || found.pid != 0 && pid > found.pid {
			continue // it has ended meanwhile, is this one, or is younger
		}
		line := strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
		p := process{pid: pid, args: line[1:], state: stateOf(filepath.Join(filepath.Dir(file), "stat"))}
		if filepath.Base(line[0]) != "nasnet" || p.command() == "health" {
			continue
		}
		p.dir, _ = os.Readlink(filepath.Join(filepath.Dir(file), "cwd")) // "": relative paths are taken from here
		found = p
	}
	if found.pid == 0 {
		return found, errors.New("no nasnet runs here")
	}
	return found, nil
}

// stateOf is the third field of a stat file; the second, the name in brackets,
// may hold anything.
func stateOf(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "?"
	}
	_, rest, _ := strings.Cut(string(text[strings.LastIndex(string(text), ")")+1:]), " ")
	state, _, _ := strings.Cut(rest, " ")
	return state
}

// probeOf reads a server's flags the way the server did.
func (a *app) probeOf(p process) (probe, error) {
	c := a.serveCommand()
	c.FParseErrWhitelist.UnknownFlags = true // those of every command
	if err := c.ParseFlags(p.args); err != nil {
		return probe{}, fmt.Errorf("the flags of process %d: %w", p.pid, err)
	}
	value := func(name string) string {
		if f := c.Flags().Lookup(name); f != nil {
			return f.Value.String()
		}
		return ""
	}
	port := value("rest_api_port")
	var ask probe
	if port == "-1" || value("tls_client_ca") != "" { // no REST, or only for those with a certificate
		ask.tcp = true
		if port == "-1" {
			port = value("port")
		}
	}
	if port == "0" {
		return ask, fmt.Errorf("process %d serves on a free port (--rest_api_port 0): its address cannot be known here", p.pid)
	}
	host := value("host")
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if value("tls_cert") != "" || value("ssl_config_file") != "" {
		scheme = "https"
	}
	ask.url = fmt.Sprintf("%s://%s/v1/models/%s", scheme, net.JoinHostPort(host, port), url.PathEscape(value("model_name")))
	ask.anyAnswer = value("model_config_file") != "" // its models have names that only the file knows
	file := value("token_file")
	if file != "" && !filepath.IsAbs(file) {
		file = filepath.Join(p.dir, file)
	}
	var err error
	ask.token, err = readToken(value("token"), file)
	return ask, err
}

func readToken(token, file string) (string, error) {
	if file == "" {
		return token, nil
	}
	text, err := os.ReadFile(file)
	return strings.TrimSpace(string(text)), err
}

// probe asks a server for the state of a model.
type probe struct {
	url, token string
	anyAnswer  bool // of HTTP will do
	tcp        bool // a connection will do
}

func (p probe) ask(ctx context.Context) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return "", err
	}
	if p.tcp {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.URL.Host)
		if err != nil {
			return "", err
		}
		return r.URL.Host + " takes connections", conn.Close()
	}
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: loopback(r.URL.Hostname()), // a certificate names the service, not 127.0.0.1
	}}}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.url, err)
	}
	if p.anyAnswer {
		return fmt.Sprintf("%s answers", r.URL.Host), nil
	}
	var status struct {
		Versions []struct {
			Version string `json:"version"`
			State   string `json:"state"`
		} `json:"model_version_status"`
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(text, &status) != nil {
		return "", fmt.Errorf("%s answers %s: %.200s", p.url, resp.Status, text)
	}
	for _, v := range status.Versions {
		if v.State == "AVAILABLE" {
			return fmt.Sprintf("%s: version %s is available", p.url, v.Version), nil
		}
	}
	return "", fmt.Errorf("%s: no version is available: %.200s", p.url, text)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
