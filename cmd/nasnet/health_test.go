package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// procOf makes a /proc of processes: pid, state, command line.
func procOf(t *testing.T, processes map[int][]string) string {
	t.Helper()
	dir := t.TempDir()
	for pid, p := range processes {
		at := filepath.Join(dir, fmt.Sprint(pid))
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"stat":    fmt.Sprintf("%d (na) sn (et) %s 1 1 0", pid, p[0]),
			"cmdline": strings.Join(p[1:], "\x00") + "\x00",
		} {
			if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func TestHealthOfOtherCommands(t *testing.T) {
	a := &app{}
	for _, c := range []struct {
		name      string
		processes map[int][]string
		want      string // of the answer, or of the error after "!"
	}{
		{"training", map[int][]string{1: {"S", "/usr/local/bin/nasnet", "--json", "train", "--run", "runs/a"}}, "nasnet train runs"},
		{"under an init", map[int][]string{1: {"S", "/sbin/docker-init", "--", "nasnet", "search"}, 7: {"R", "nasnet", "search"}}, "nasnet search runs (process 7)"},
		{"the oldest", map[int][]string{9: {"S", "nasnet", "eval"}, 3: {"S", "nasnet", "worker", "--train"}, 20: {"R", "nasnet", "health"}}, "nasnet worker runs (process 3)"},
		{"a zombie", map[int][]string{1: {"Z", "nasnet", "train"}}, "!state Z"},
		{"none", map[int][]string{1: {"S", "sh"}, 2: {"R", "nasnet", "health"}, 3: {"S", "nasnet-engine", "train"}}, "!no nasnet runs"},
		{"a server on any port", map[int][]string{1: {"S", "nasnet", "serve", "--rest_api_port", "0"}}, "!free port"},
	} {
		said, err := a.ownHealth(context.Background(), procOf(t, c.processes))
		want, fails := strings.CutPrefix(c.want, "!")
		if fails != (err != nil) || !strings.Contains(fmt.Sprint(said, err), want) {
			t.Errorf("%s: %q, %v; want %q", c.name, said, err, c.want)
		}
	}
}

// statusServer answers as TensorFlow Serving does for one model.
func statusServer(t *testing.T, state string) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/models/birds" {
			http.Error(w, `{"error": "no such model"}`, http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"model_version_status": [{"version": "3", "state": %q, "status": {"error_code": "OK", "error_message": ""}}]}`, state)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestHealthOfAServer(t *testing.T) {
	for state, healthy := range map[string]bool{"AVAILABLE": true, "LOADING": false, "END": false} {
		u := statusServer(t, state)
		for host, flags := range map[string][]string{
			"its address":   {"--host=127.0.0.1"},
			"all addresses": {"--host", "0.0.0.0", "--insecure", "--log-level", "debug"},
		} {
			args := append([]string{"S", "nasnet", "serve", "--model_name", "birds", "--model_base_path=/m", "--rest_api_port=" + u.Port()}, flags...)
			said, err := (&app{}).ownHealth(context.Background(), procOf(t, map[int][]string{1: args}))
			if (err == nil) != healthy || healthy && !strings.Contains(said, "version 3 is available") {
				t.Errorf("%s, %s: %q, %v", state, host, said, err)
			}
		}
	}
	u := statusServer(t, "AVAILABLE")
	for path, want := range map[string]string{u.String() + "/v1/models/fish": "404", "http://127.0.0.1:1/v1/models/birds": "refused"} {
		if said, err := (probe{url: path}).ask(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", path, said, err, want)
		}
	}
	if said, err := (probe{url: u.String() + "/nothing", anyAnswer: true}).ask(context.Background()); err != nil {
		t.Errorf("any answer: %q, %v", said, err)
	}
	if said, err := (probe{url: "https://" + u.Host, tcp: true}).ask(context.Background()); err != nil {
		t.Errorf("any connection: %q, %v", said, err)
	}
}

func TestHealthSendsTheToken(t *testing.T) {
	got := ""
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		fmt.Fprint(w, `{"model_version_status": [{"version": "1", "state": "AVAILABLE"}]}`)
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := readToken("", file)
	if err != nil {
		t.Fatal(err)
	}
	if said, err := (probe{url: s.URL + "/v1/models/birds", token: token}).ask(context.Background()); err != nil || got != "Bearer secret" {
		t.Errorf("sent %q: %q, %v", got, said, err)
	}
}
