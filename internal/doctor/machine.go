package doctor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nasnet-go/nasnet/internal/libtf"
)

// machine reads what Linux tells about itself below root; elsewhere, and where
// a file is missing, the answers are zero: unknown.
type machine struct{ root string }

func (m machine) read(path string) string {
	text, err := os.ReadFile(filepath.Join(m.root, path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// features that TensorFlow and oneDNN have kernels for, by /proc/cpuinfo's
// names: x86's flags, arm64's Features.
var features = []string{
	"sse4_2", "avx", "fma", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16",
	"asimd", "asimddp", "asimdhp", "sve", "sve2", "bf16", "i8mm",
}

// cpu reads the first processor's entry.
func (m machine) cpu() (model string, has []string) {
	has = []string{}
	var flags []string
	for line := range strings.Lines(m.read("proc/cpuinfo")) {
		name, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(name) {
		case "model name":
			model = strings.TrimSpace(value)
		case "flags", "Features":
			flags = strings.Fields(value)
		}
		if strings.TrimSpace(line) == "" {
			break
		}
	}
	for _, f := range features {
		if slices.Contains(flags, f) {
			has = append(has, f)
		}
	}
	return model, has
}

func (m machine) memory() (total, available int64) {
	for line := range strings.Lines(m.read("proc/meminfo")) {
		fields := strings.Fields(line) // "MemTotal:  24602344 kB"
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64) // 0 where it is no number
		switch fields[0] {
		case "MemTotal:":
			total = kib << 10
		case "MemAvailable:":
			available = kib << 10
		}
	}
	return total, available
}

// unlimited is what version 1 of cgroups calls no limit: about 8 EiB.
const unlimited = 1 << 62

// limits reads memory (bytes) and CPU (cores) limits of our cgroup, the
// tightest one up to the root. In a container our own group is mounted as the
// root, while its path may still be the host's, so the root is always looked at.
func (m machine) limits() (memory int64, cores float64) {
	for controllers, group := range m.cgroups() {
		for dir := group; ; dir = filepath.Dir(dir) {
			found, quota := m.limitsIn(controllers, dir)
			if found > 0 && found < unlimited && (memory == 0 || found < memory) {
				memory = found
			}
			if quota > 0 && (cores == 0 || quota < cores) {
				cores = quota
			}
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return memory, cores
}

// cgroups maps controllers ("" for version 2) to the path of our group.
func (m machine) cgroups() map[string]string {
	groups := map[string]string{}
	for line := range strings.Lines(m.read("proc/self/cgroup")) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 { // 4:memory:/path, 0::/path
			groups[parts[1]] = filepath.Clean("/" + parts[2])
		}
	}
	return groups
}

func (m machine) limitsIn(controllers, dir string) (memory int64, cores float64) {
	const root = "sys/fs/cgroup"
	names := strings.Split(controllers, ",")
	switch {
	case controllers == "": // version 2
		memory = number(m.read(filepath.Join(root, dir, "memory.max")))
		if quota, period, ok := strings.Cut(m.read(filepath.Join(root, dir, "cpu.max")), " "); ok {
			cores = share(number(quota), number(period))
		}
	case slices.Contains(names, "memory"):
		memory = number(m.read(filepath.Join(root, "memory", dir, "memory.limit_in_bytes")))
	case slices.Contains(names, "cpu"):
		base := filepath.Join(root, "cpu", dir)
		cores = share(number(m.read(filepath.Join(base, "cpu.cfs_quota_us"))), number(m.read(filepath.Join(base, "cpu.cfs_period_us"))))
	}
	return memory, cores
}

// number is 0 for "max", "" and whatever else is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func share(quota, period int64) float64 {
	if quota <= 0 || period <= 0 {
		return 0
	}
	return float64(quota) / float64(period)
}

// GPU is what can be seen of NVIDIA's cards without CUDA.
type GPU struct {
	Cards   []string `json:"cards"`             // model names, or device files where the driver names none
	Driver  string   `json:"driver"`            // first line of the driver's version
	Missing []string `json:"missing_libraries"` // that TensorFlow would load by name; only looked for where there is a card
}

// cudaLibraries are what TensorFlow 2.18 (CUDA 12.5, cuDNN 9) opens at run
// time; any one missing means: no GPU. libcuda comes with the driver.
var cudaLibraries = []string{
	"libcuda.so.1", "libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12", "libcufft.so.11",
	"libcusolver.so.11", "libcusparse.so.12", "libcudnn.so.9",
}

func (m machine) gpu(ctx context.Context, l libtf.Library) GPU {
	g := GPU{Cards: []string{}, Missing: []string{}}
	infos, _ := filepath.Glob(filepath.Join(m.root, "proc/driver/nvidia/gpus/*/information")) // the pattern is well formed
	for _, path := range infos {
		rel, _ := filepath.Rel(m.root, path)
		for line := range strings.Lines(m.read(rel)) {
			if name, value, _ := strings.Cut(line, ":"); name == "Model" {
				g.Cards = append(g.Cards, strings.TrimSpace(value))
			}
		}
	}
	if len(g.Cards) == 0 { // a container may have the device, but not the driver's files
		devices, _ := filepath.Glob(filepath.Join(m.root, "dev/nvidia[0-9]*"))
		g.Cards = append(g.Cards, devices...)
	}
	g.Driver, _, _ = strings.Cut(m.read("proc/driver/nvidia/version"), "\n")
	if len(g.Cards) > 0 {
		dirs := append(filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")), l.LoaderDirs...)
		g.Missing = append(g.Missing, libtf.Missing(ctx, cudaLibraries, dirs)...)
	}
	return g
}
