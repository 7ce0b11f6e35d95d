package api

import "github.com/nasnet-go/nasnet/cells/detector"

// The commands for detectors.
const (
	DetectTrain   = "detect-train"   // train a detector in a run directory, resuming
	DetectEval    = "detect-eval"    // find the objects of record files' images, into a result file
	DetectPredict = "detect-predict" // find the objects of image files
	DetectExport  = "detect-export"  // write a SavedModel
	DetectRate    = "detect-rate"    // time a detector that runs forward
)

// DetectionSet names record files of images with boxes.
type DetectionSet struct {
	Train       []string      `json:"train,omitempty"`
	Validation  []string      `json:"validation,omitempty"`
	Annotations string        `json:"annotations,omitempty"` // of the validation images: JSON of COCO's format
	Categories  map[int]int64 `json:"categories,omitempty"`  // ids in the annotations by label; empty: each label is its id
	Flip        bool          `json:"flip,omitempty"`        // half of the training images

	Exclude map[string][]int64 `json:"exclude,omitempty"` // bytes at which training records begin that are left out, by file
}

// DetectTrainRequest is TrainRequest for a detector, whose model is the
// detector's. Its Data does not count.
type DetectTrainRequest struct {
	TrainRequest
	Detector detector.Detector `json:"detector"`
	Set      DetectionSet      `json:"set"`
}

// DetectTrainResult is what the training came to.
type DetectTrainResult struct {
	TrainResult
	BestAP50 float64 `json:"best_AP50,omitempty"` // on the validation images
}

// DetectorSource is a detector with weights: a checkpoint and its detector, or a
// SavedModel.
type DetectorSource struct {
	Detector   *detector.Detector `json:"detector,omitempty"`
	Checkpoint string             `json:"checkpoint,omitempty"` // its directory or prefix
	Averages   bool               `json:"averages,omitempty"`   // moving averages in place of weights
	SavedModel string             `json:"saved_model,omitempty"`
	Threads    Threads            `json:"threads"`
}

// DetectEvalRequest asks for a result file of COCO's format.
type DetectEvalRequest struct {
	DetectorSource
	Set     DetectionSet `json:"set"` // its validation images
	Images  int          `json:"images,omitempty"`
	Batch   int          `json:"batch"`
	Results string       `json:"results"`
}

// DetectEvalResult is what was written.
type DetectEvalResult struct {
	Images          int     `json:"images"`
	Detections      int     `json:"detections"`
	ImagesPerSecond float64 `json:"images_per_second"`
}

// DetectPredictRequest names image files.
type DetectPredictRequest struct {
	DetectorSource
	Files []string `json:"files"`
}

// DetectPredictResult has a row for each file.
type DetectPredictResult struct {
	Files   []FoundIn `json:"files"`
	Classes []string  `json:"classes,omitempty"` // names by label, from 1; of a SavedModel that has them
}

// FoundIn is what was found in an image.
type FoundIn struct {
	File   string  `json:"file"`
	Width  int     `json:"width"` // pixels
	Height int     `json:"height"`
	Found  []Found `json:"found"` // best first
}

// Found is one object.
type Found struct {
	Label int        `json:"label"` // from 1
	Name  string     `json:"name,omitempty"`
	Score float64    `json:"score"`
	Box   [4]float64 `json:"box"` // left, top, width, height in pixels of the image
}

// DetectExportRequest asks for a SavedModel.
type DetectExportRequest struct {
	DetectorSource
	Dir     string   `json:"dir"` // the version is a directory in it
	Version int64    `json:"version"`
	Classes []string `json:"classes,omitempty"` // names by label, from 1
	Name    string   `json:"name"`
	Origin  Origin   `json:"origin"`
}

// DetectRateRequest asks how long a detector with random weights takes for an
// image, and how much memory.
type DetectRateRequest struct {
	Detector detector.Detector `json:"detector"`
	Runs     int               `json:"runs"`  // timed, behind a first one
	Plain    bool              `json:"plain"` // batch norms as they are, not folded
	Threads  Threads           `json:"threads"`
}

// DetectRateResult tells the times of whole images.
type DetectRateResult struct {
	Proposals       int       `json:"proposals"`
	MACs            int64     `json:"macs"`
	BuildSeconds    float64   `json:"build_seconds"`
	FirstSeconds    float64   `json:"first_seconds"` // the first image: with the graph's optimization
	Seconds         []float64 `json:"seconds"`       // of each run behind it
	Detections      int       `json:"detections"`
	PeakMemoryBytes int64     `json:"peak_memory_bytes"`
}
