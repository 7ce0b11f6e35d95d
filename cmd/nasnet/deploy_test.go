package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/nasnet-go/nasnet/configs"
)

// deployed are the command lines of ours in Dockerfile, compose.yaml,
// docs/kubernetes and docs/deploy.md, by where they stand.
func deployed(t *testing.T) map[string][]string {
	t.Helper()
	const root = "../.."
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	lines := map[string][]string{}
	health := regexp.MustCompile(`(?m)^HEALTHCHECK .*CMD (\[.*\])$`).FindStringSubmatch(read("Dockerfile"))
	var words []string
	if health == nil || json.Unmarshal([]byte(health[1]), &words) != nil || words[0] != "nasnet" {
		t.Fatalf("HEALTHCHECK: %q", health)
	}
	lines["Dockerfile HEALTHCHECK"] = words[1:]
	var file struct {
		Services map[string]struct {
			Image   string   `yaml:"image"`
			Command []string `yaml:"command"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal([]byte(read("compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for name, s := range file.Services {
		if strings.HasPrefix(s.Image, "nasnet") {
			lines["compose.yaml "+name] = s.Command
		}
	}
	manifests, err := filepath.Glob(filepath.Join(root, "docs/kubernetes/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range manifests {
		for i, text := range strings.Split(read("docs/kubernetes/"+filepath.Base(name)), "\n---\n") {
			var tree any
			if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			containers(tree, func(c map[string]any) {
				at := filepath.Base(name) + " " + string(rune('0'+i)) + " " + c["name"].(string)
				if c["image"] == "nasnet" {
					lines[at] = texts(c["args"])
				}
				if p, ok := c["livenessProbe"].(map[string]any); ok && p["exec"] != nil {
					if command := texts(p["exec"].(map[string]any)["command"]); command[0] == "nasnet" {
						lines[at+" probe"] = command[1:]
					}
				}
			})
		}
	}
	documented := regexp.MustCompile(`(?m)^    .*(?:docker run .*nasnet(?::cpu)?|docker compose run --rm trainer|^    nasnet|=\S+ nasnet) ([a-z]+(?: .*)?)$`)
	for _, found := range documented.FindAllStringSubmatch(strings.ReplaceAll(read("docs/deploy.md"), "\\\n", " "), -1) {
		line, _, _ := strings.Cut(found[1], "#")
		lines["docs/deploy.md "+line] = strings.Fields(strings.ReplaceAll(line, `"`, ""))
	}
	return lines
}

// containers visits every map that has a name and an image.
func containers(tree any, visit func(map[string]any)) {
	switch v := tree.(type) {
	case map[string]any:
		if v["name"] != nil && v["image"] != nil {
			visit(v)
		}
		for _, below := range v {
			containers(below, visit)
		}
	case []any:
		for _, below := range v {
			containers(below, visit)
		}
	}
}

func texts(list any) (out []string) {
	for _, v := range list.([]any) {
		out = append(out, v.(string))
	}
	return out
}

var (
	composeVariable    = regexp.MustCompile(`\$\{\w+:-([^}]*)\}`)
	kubernetesVariable = regexp.MustCompile(`\$\(\w+\)`)
)

// Commands, flags, presets and keys that the deployment files name are those
// that the program has.
func TestDeployedCommandLines(t *testing.T) {
	lines := deployed(t)
	for at, args := range lines {
		for i, a := range args {
			args[i] = kubernetesVariable.ReplaceAllString(composeVariable.ReplaceAllString(a, "$1"), "10.0.0.1")
		}
		code, out, errs := nasnet(append(slices.Clone(args), "--help")...)
		if code != 0 || !strings.Contains(out, "\n  nasnet "+args[0]) {
			t.Errorf("%s: nasnet %s: exit code %d: %s", at, strings.Join(args, " "), code, errs)
		}
		if args[0] == "data" { // its --set may be another one
			continue
		}
		var s configs.Source
		for i, a := range args[:len(args)-1] {
			switch a {
			case "--config":
				s.Config = args[i+1]
			case "--set":
				s.Set = append(s.Set, args[i+1])
			case "--cluster":
				s.Set = append(s.Set, "engine.cluster=["+args[i+1]+"]")
			case "--devices":
				s.Set = append(s.Set, "train.devices=["+args[i+1]+"]")
			}
		}
		if _, err := configs.Load(s); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
	if len(lines) < 15 {
		t.Errorf("%d command lines only were found: %v", len(lines), lines)
	}
}
