package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.yaml.in/yaml/v3"
)

// composeFile is what the tests read of compose.yaml; internal/tools has it
// checked against Compose's own schema.
type composeFile struct {
	Services map[string]struct {
		Image      string   `yaml:"image"`
		Command    []string `yaml:"command"`
		Entrypoint []string `yaml:"entrypoint"`
		Ports      []string `yaml:"ports"`
	} `yaml:"services"`
	Configs map[string]struct {
		Content string `yaml:"content"`
	} `yaml:"configs"`
}

func compose(t *testing.T) (c composeFile) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// manifest is what the tests read of a Kubernetes object.
type manifest struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Data map[string]string `yaml:"data"` // of a ConfigMap
	Spec struct {
		Ports []struct {
			Port int `yaml:"port"`
		} `yaml:"ports"` // of a Service
		Template struct {
			Spec struct {
				Containers []struct {
					Image   string   `yaml:"image"`
					Command []string `yaml:"command"`
					Args    []string `yaml:"args"`
				} `yaml:"containers"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "docs/kubernetes/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	all := map[string]manifest{}
	for _, file := range files {
		for _, text := range strings.Split(read(t, filepath.Join("docs/kubernetes", filepath.Base(file))), "\n---\n") {
			var m manifest
			if err := yaml.Unmarshal([]byte(text+"\n"), &m); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all[m.Kind+"/"+m.Metadata.Name] = m
		}
	}
	return all
}

// NATS itself reads the configuration that Compose and Kubernetes give it.
func TestTheQueueAsksForTheToken(t *testing.T) {
	fromCompose := strings.ReplaceAll(compose(t).Configs["nats"].Content, "$$", "$")
	fromKubernetes := manifests(t)["ConfigMap/nasnet-queue"].Data["nasnet.conf"]
	if fromCompose != fromKubernetes {
		t.Errorf("compose.yaml has %q, queue.yaml %q", fromCompose, fromKubernetes)
	}
	file := filepath.Join(t.TempDir(), "nasnet.conf")
	if err := os.WriteFile(file, []byte(fromKubernetes), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NASNET_QUEUE_TOKEN", "7e5a")
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if o.Authorization != "7e5a" || o.Port != 4222 || o.MaxPayload != 8<<20 || o.JetStream {
		t.Errorf("token %q, port %d, %d bytes, JetStream %v", o.Authorization, o.Port, o.MaxPayload, o.JetStream)
	}
	for line := range strings.Lines(read(t, "compose.yaml")) { // NATS takes everybody where the token is empty
		if strings.Contains(line, "${NASNET_QUEUE_TOKEN") && !strings.Contains(line, "${NASNET_QUEUE_TOKEN:?") {
			t.Errorf("compose.yaml does not insist on a token: %s", line)
		}
	}
	mod := read(t, "go.mod")
	for _, image := range []string{compose(t).Services["nats"].Image, manifests(t)["Deployment/nasnet-queue"].Spec.Template.Spec.Containers[0].Image} {
		minor := strings.TrimSuffix(strings.TrimPrefix(image, "nats:"), "-alpine")
		if !strings.Contains(mod, "github.com/nats-io/nats-server/v2 v"+minor+".") {
			t.Errorf("%s is not the release that go.mod has", image)
		}
	}
}

// TensorFlow Serving is started in the same way by both.
func TestServingIsTheSame(t *testing.T) {
	c := compose(t)
	service, pod := c.Services["serving"], manifests(t)["Deployment/nasnet-serving"].Spec.Template.Spec.Containers[0]
	line := strings.ReplaceAll(strings.Join(service.Entrypoint, " "), "${NASNET_RUN:-small}", "small")
	if want := strings.Join(append(pod.Command, pod.Args...), " "); line != want || service.Image != pod.Image {
		t.Errorf("compose.yaml: %s %s\nserving.yaml: %s %s", service.Image, line, pod.Image, want)
	}
	if a, b := c.Configs["batching"].Content, manifests(t)["ConfigMap/nasnet-serving"].Data["batching.txt"]; a != b || a == "" {
		t.Errorf("compose.yaml: %q, serving.yaml: %q", a, b)
	}
	for _, port := range manifests(t)["Service/nasnet-serving"].Spec.Ports {
		if !strings.Contains(line, fmt.Sprintf("port=%d", port.Port)) {
			t.Errorf("port %d is none of %s", port.Port, line)
		}
	}
}
