package configs

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

//go:embed presets/*.yaml
var presetFiles embed.FS

const defaults = "defaults"

// Presets lists the names of the built-in configurations.
func Presets() []string {
	return []string{
		"quickstart", "cifar10-search", "cifar10-table", "cifar10-small", "cifar10-train", "imagenet-mobile", "imagenet-large",
		"folder-small", "indl-small", "coco-faster-rcnn-large", "coco-faster-rcnn-mobile", "detect-small",
	}
}

// Source says where a configuration comes from.
type Source struct {
	Config string   // a preset's name or a file; "": the defaults
	Set    []string // key.path=value, stronger than all else; of two the later
	Env    []string // as os.Environ gives it; NASNET_KEY_PATH=value
}

// Load returns the configuration of a source, validated. Its error is an
// *Error with all faults, or says that the file cannot be read.
func Load(s Source) (Config, error) {
	c, f, name, err := resolve(s)
	if err != nil {
		return Config{}, err
	}
	if len(f) == 0 { // a value that could not be read is not judged by its default
		f = c.faults()
	}
	return c, f.err(name)
}

// resolve merges the layers: defaults, preset, file, environment, settings.
func resolve(s Source) (Config, faults, string, error) {
	var f faults
	v := viper.New()
	merge(v, readPreset(defaults))
	name, err := mergeSource(v, s.Config, &f)
	if err != nil {
		return Config{}, nil, "", err
	}
	for path, value := range environment(s.Env, &f) {
		v.Set(path, value)
	}
	for _, setting := range s.Set {
		if path, value, ok := parseSetting(setting, &f); ok {
			v.Set(path, value)
		}
	}
	var c Config
	err = v.UnmarshalExact(&c, func(d *mapstructure.DecoderConfig) { d.TagName, d.WeaklyTypedInput = "yaml", false })
	if err != nil {
		f.add("", "", "%v", err)
	}
	return c, f, name, nil
}

// mergeSource adds the preset or the file, and the preset that the file names.
func mergeSource(v *viper.Viper, config string, f *faults) (name string, err error) {
	if config == "" {
		return defaults, nil
	}
	if slices.Contains(Presets(), config) {
		merge(v, readPreset(config))
		v.Set("based_on", config)
		return config, nil
	}
	text, err := os.ReadFile(config)
	if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(config, "./\\") {
		return "", &Error{config, []Fault{{"", "", fmt.Sprintf("there is neither a preset nor a file of that name; presets are %s", strings.Join(Presets(), ", "))}}}
	}
	if err != nil {
		return "", &Error{config, []Fault{{"", "", "the file cannot be read: " + reason(err)}}}
	}
	values, preset := parseFile(config, text, f)
	if preset != "" && !slices.Contains(Presets(), preset) {
		f.add(config, "preset", "there is no preset %q; there are %s", preset, strings.Join(Presets(), ", "))
		preset = ""
	}
	if preset != "" {
		merge(v, readPreset(preset))
		v.Set("based_on", preset)
	}
	merge(v, values)
	return config, nil
}

// reason is an error without the path, which the message names already.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// readPreset parses an embedded file; a test reads them all.
func readPreset(name string) layer {
	text, err := presetFiles.ReadFile("presets/" + name + ".yaml")
	if err != nil {
		panic(err) // the name is one of Presets
	}
	var f faults
	values, _ := parseFile("preset "+name, text, &f)
	if len(f) > 0 {
		panic(f.err(name))
	}
	return values
}

func merge(v *viper.Viper, values layer) {
	for path, value := range values {
		v.SetDefault(path, value)
	}
}

// environment takes the variables that name a key.
func environment(env []string, f *faults) layer {
	byName := map[string]key{}
	for _, k := range keys() {
		byName[EnvName(k.path)] = k
	}
	for _, path := range named {
		byName[EnvName(path)], _, _ = lookup(expand(path))
	}
	values := layer{}
	for _, variable := range env {
		name, raw, _ := strings.Cut(variable, "=")
		k, ok := byName[name]
		if !ok {
			continue
		}
		value, err := scalar(k.kind, raw)
		if err != nil {
			f.add(name, k.path, "%v", err)
			continue
		}
		values[k.path] = value
	}
	return values
}

// parseSetting reads key.path=value.
func parseSetting(setting string, f *faults) (path string, value any, ok bool) {
	where := "--set " + setting
	path, raw, ok := strings.Cut(setting, "=")
	path = expand(strings.ToLower(strings.TrimSpace(path)))
	if !ok {
		f.add(where, "", "want key.path=value")
		return "", nil, false
	}
	k, leaf, section := lookup(path)
	if section {
		f.add(where, path, "this is a section; set one of its keys")
		return "", nil, false
	}
	if !leaf {
		f.add(where, path, "there is no such key%s", suggest(path))
		return "", nil, false
	}
	value, err := scalar(k.kind, raw)
	if err != nil {
		f.add(where, path, "%v", err)
		return "", nil, false
	}
	return path, value, true
}

// UnknownVariables lists the NASNET_ variables of an environment that set no
// key and are none of the others, which a caller may warn about.
func UnknownVariables(env []string, others ...string) []string {
	known := slices.Clone(others)
	for _, path := range slices.Concat(Keys(), named) {
		known = append(known, EnvName(path))
	}
	var unknown []string
	for _, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "NASNET_") && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// RunName is the name of the directory that runs of a configuration go to.
func RunName(config string) string {
	base := filepath.Base(config)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// Marshal returns the configuration as YAML that Load reads back to the same
// value.
func (c Config) Marshal() ([]byte, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("configs: %w", err)
	}
	return text, nil
}
