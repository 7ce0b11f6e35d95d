package serving

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	configpb "github.com/wamuir/graft/tensorflow/serving/config_go_proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// maxConfigFile bounds files in protobuf's text format, in bytes.
const maxConfigFile = 16 << 20

// readTextProto reads a file in protobuf's text format.
func readTextProto(path string, into proto.Message) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("serving: %w", err)
	}
	if info.Size() > maxConfigFile {
		return fmt.Errorf("serving: %s has %d bytes; a configuration has at most %d", path, info.Size(), maxConfigFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("serving: %w", err)
	}
	if err := prototext.Unmarshal(text, into); err != nil {
		return fmt.Errorf("serving: %s is no %s in text format: %w", path, into.ProtoReflect().Descriptor().Name(), err)
	}
	return nil
}

// ReadModelConfig reads a --model_config_file. Base paths that are relative
// begin at the file's directory.
func ReadModelConfig(path string) (*configpb.ModelServerConfig, error) {
	c := &configpb.ModelServerConfig{}
	if err := readTextProto(path, c); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("serving: %w", err)
	}
	for _, m := range c.GetModelConfigList().GetConfig() {
		if p := m.GetBasePath(); p != "" && !filepath.IsAbs(p) && !strings.Contains(p, "://") {
			m.BasePath = filepath.Join(dir, p)
		}
	}
	return c, nil
}

// OneModel is the configuration that --model_name and --model_base_path stand for.
func OneModel(name, base string) *configpb.ModelServerConfig {
	return &configpb.ModelServerConfig{Config: &configpb.ModelServerConfig_ModelConfigList{ModelConfigList: &configpb.ModelConfigList{
		Config: []*configpb.ModelConfig{{Name: name, BasePath: base, ModelPlatform: tensorflowPlatform}},
	}}}
}

const tensorflowPlatform = "tensorflow"

var (
	labelName = regexp.MustCompile(`^[a-zA-Z0-9_]+$`)
	modelName = regexp.MustCompile(`^[^/:]+$`) // what the REST interface can name
)

// configured checks a configuration and returns its models by name. All faults
// are told at once.
func configured(c *configpb.ModelServerConfig) (map[string]*model, error) {
	if c.GetCustomModelConfig() != nil {
		return nil, status.Error(codes.InvalidArgument, "custom_model_config is not supported; list the models in model_config_list")
	}
	list := map[string]*model{}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, m := range c.GetModelConfigList().GetConfig() {
		name := m.GetName()
		if !modelName.MatchString(name) {
			fault("%q is no name of a model: one letter or more, without / and :", name)
		}
		if list[name] != nil {
			fault("Illegal to list model %s multiple times in config list", name)
		}
		if !filepath.IsAbs(m.GetBasePath()) {
			fault("Expected model %s to have an absolute path or URI; got base_path()=%s (a local path is supported)", name, m.GetBasePath())
		}
		if p := m.GetModelPlatform(); p != "" && p != tensorflowPlatform {
			fault("model %s: model_platform %q is not supported; want %q", name, p, tensorflowPlatform)
		}
		for label := range m.GetVersionLabels() {
			if !labelName.MatchString(label) {
				fault("model %s: label %q must be letters, digits and _", name, label)
			}
		}
		list[name] = &model{name: name, base: m.GetBasePath(), policy: m.GetModelVersionPolicy(), labels: m.GetVersionLabels(), versions: map[int64]*version{}}
	}
	if len(faults) > 0 {
		return nil, status.Error(codes.InvalidArgument, strings.Join(faults, "; "))
	}
	return list, nil
}
