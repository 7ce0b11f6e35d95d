package check

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../../.."

// load is what `docker compose -f … config` does: schema, interpolation, merge.
func load(t *testing.T, env []string, files ...string) (*types.Project, error) {
	t.Helper()
	for i, file := range files {
		files[i] = root + "/" + file
	}
	o, err := cli.NewProjectOptions(files, cli.WithWorkingDirectory(root), cli.WithEnv(env), cli.WithName("nasnet"), cli.WithProfiles([]string{"*"}))
	if err != nil {
		return nil, err
	}
	return o.LoadProject(context.Background())
}

func TestCompose(t *testing.T) {
	if _, err := load(t, nil, "compose.yaml"); err == nil || !strings.Contains(err.Error(), "NASNET_QUEUE_TOKEN") {
		t.Errorf("without a token: %v", err)
	}
	token := []string{"NASNET_QUEUE_TOKEN=7e5a", "NASNET_RUN=other"}
	gpu, err := load(t, token, "compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cpu, err := load(t, token, "compose.yaml", "docs/compose.cpu.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range gpu.AllServices() {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: read-only %v, capabilities dropped %v, %v", name, s.ReadOnly, s.CapDrop, s.SecurityOpt)
		}
		if ours := s.Build != nil; !ours && s.User != "65532:65532" {
			t.Errorf("%s runs as %q", name, s.User)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is published on %q", name, p.Published, p.HostIP)
			}
		}
	}
	for name, want := range map[string]int{"trainer": 1, "worker": 1, "serve": 1, "search": 0} {
		if got := devices(gpu.AllServices()[name]); got != want {
			t.Errorf("%s reserves %d devices, want %d", name, got, want)
		}
		s := cpu.AllServices()[name]
		if got := devices(s); got != 0 {
			t.Errorf("%s reserves %d devices with compose.cpu.yaml", name, got)
		}
		if base := s.Build.Args["BASE"]; base == nil || strings.HasSuffix(*base, "-gpu") || s.Image != "nasnet:cpu" {
			t.Errorf("%s of compose.cpu.yaml: image %s", name, s.Image)
		}
	}
	if network := gpu.Networks["queue"]; !network.Internal {
		t.Error("the queue is reachable from elsewhere")
	}
	if line := strings.Join(gpu.AllServices()["serving"].Entrypoint, " "); !strings.Contains(line, "--model_base_path=/runs/other/export ") {
		t.Errorf("TensorFlow Serving is started by %s", line)
	}
}

func devices(s types.ServiceConfig) int {
	if s.Deploy == nil || s.Deploy.Resources.Reservations == nil {
		return 0
	}
	return len(s.Deploy.Resources.Reservations.Devices)
}
