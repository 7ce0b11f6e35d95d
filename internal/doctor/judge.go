package doctor

import (
	"runtime"
	"slices"
	"strings"

	"github.com/nasnet-go/nasnet/internal/libtf"
)

// What the product needs, in bytes.
const (
	libraryNeeds = 1 << 30 // the wheel and the unpacked library side by side
	memoryNeeds  = 2 << 30 // one child model in training, beside the front
)

// judge adds the problems that follow from the facts.
func (r *Report) judge() {
	if runtime.GOARCH == "amd64" && r.CPUModel != "" && !slices.Contains(r.CPUFeatures, "avx") {
		r.problem("this CPU has no AVX, which TensorFlow's wheels are compiled for: build TensorFlow for it and set LIBTENSORFLOW_DIR")
	}
	if r.TensorFlowVersion == "" && r.CacheDir != "" && r.CacheFree < libraryNeeds {
		r.problem("%s has %d MB free, fetching TensorFlow's library needs %d MB: free some, or set NASNET_CACHE to another disk", r.CacheDir, r.CacheFree>>20, libraryNeeds>>20)
	}
	available := r.MemoryAvailable
	if r.MemoryLimit > 0 && (available == 0 || r.MemoryLimit < available) {
		available = r.MemoryLimit
	}
	if available > 0 && available < memoryNeeds {
		r.problem("%d MB of memory are available, a child model in training needs about %d MB: search with one worker and a smaller child", available>>20, memoryNeeds>>20)
	}
	r.judgeGPU()
}

// judgeGPU explains a GPU that TensorFlow does not use. It says nothing of its
// own accord: whatever is missing, it works on the CPU in silence.
func (r *Report) judgeGPU() {
	if len(r.GPU.Cards) == 0 || r.HasGPU() {
		return
	}
	cards := strings.Join(r.GPU.Cards, ", ")
	switch {
	case r.LibraryOrigin == string(libtf.FromCache):
		r.problem("%s is not used: the library in %s is the CPU build; install the GPU build with `pip install 'tensorflow[and-cuda]==%s'`, it is then found first", cards, r.LibraryPath, libtf.Version)
	case len(r.GPU.Missing) > 0:
		r.problem("%s is not used: the loader does not find %s; `pip install 'tensorflow[and-cuda]==%s'` brings all but the driver's libcuda.so.1", cards, strings.Join(r.GPU.Missing, ", "), libtf.Version)
	case len(r.Devices) > 0:
		r.problem("%s is not used although its libraries are there: TF_CPP_MIN_LOG_LEVEL=0 nasnet doctor --log-level debug shows what TensorFlow says of it", cards)
	}
}

// HasGPU reports whether TensorFlow lists a GPU.
func (r *Report) HasGPU() bool {
	return slices.ContainsFunc(r.Devices, func(d string) bool { return strings.Contains(d, ":GPU:") })
}
