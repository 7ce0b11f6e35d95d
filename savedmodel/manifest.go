package savedmodel

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// ManifestFile lies beside saved_model.pb and says where the model comes from.
const ManifestFile = "manifest.json"

// Manifest is its content.
type Manifest struct {
	Format        int               `json:"format"` // 1
	Name          string            `json:"name"`
	Version       int64             `json:"version"`
	Run           string            `json:"run,omitempty"`      // directory of the run
	Checkpoint    string            `json:"checkpoint"`         // the weights' source
	WeightsDigest string            `json:"weights_digest"`     // of the trained weights, before any folding: DigestWeights
	GraphDigest   string            `json:"saved_model_digest"` // of saved_model.pb: "sha256:" and hexadecimal digits
	Optimized     bool              `json:"optimized"`          // folded and frozen; otherwise with variables
	Weights       string            `json:"weights"`            // how they are stored: float32 | float16 | bfloat16
	Signatures    []string          `json:"signatures"`
	Input         [3]int            `json:"input"` // height, width, channels
	Classes       int               `json:"classes"`
	Cell          string            `json:"cell"` // the genotype
	Preprocessing Preprocessing     `json:"preprocessing"`
	Accuracy      *Accuracy         `json:"accuracy,omitempty"`
	Versions      map[string]string `json:"versions"`
}

// Preprocessing is how serving_bytes and classify make a network's input of an
// encoded image, for those who feed serving_default.
type Preprocessing struct {
	Colours     string  `json:"colours"`                // RGB
	CentralCrop float64 `json:"central_crop,omitempty"` // share of each side; 0: all
	Resize      string  `json:"resize"`                 // bilinear, antialiased | bilinear of TensorFlow 1
	Standardize string  `json:"standardize"`
}

// Accuracy is what the weights came to on test images.
type Accuracy struct {
	Images   int64      `json:"images"`
	Top1     float64    `json:"top1"`
	Top5     float64    `json:"top5"`
	Top1CI95 [2]float64 `json:"top1_ci95"`
}

// ReadManifest reads that of the model in dir.
func ReadManifest(dir string) (Manifest, error) {
	var m Manifest
	text, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return m, fmt.Errorf("savedmodel: %s: %w", dir, err)
	}
	return m, nil
}

// DigestWeights is "sha256:" and the digest of all weights: in the order of their
// names, each as its name, a zero byte, the number of its elements as
// a little-endian uint64, and these as little-endian float32.
func DigestWeights(values map[string][]float32) string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		data := values[name]
		text := binary.LittleEndian.AppendUint64(append([]byte(name), 0), uint64(len(data)))
		for _, x := range data {
			text = binary.LittleEndian.AppendUint32(text, math.Float32bits(x))
		}
		h.Write(text)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
