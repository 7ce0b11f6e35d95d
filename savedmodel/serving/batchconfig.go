package serving

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	batchpb "github.com/wamuir/graft/tensorflow/serving/servables/tensorflow_go_proto"
)

// Batching says how requests are computed together. The names in brackets are
// those of TensorFlow Serving's BatchingParameters.
type Batching struct {
	MaxSize  int           // (max_batch_size) rows of a batch; of a request, where Split is off
	Timeout  time.Duration // (batch_timeout_micros) that the first request of a batch waits for others, at most
	Enqueued int           // (max_enqueued_batches) batches that wait for a thread; more are refused
	Threads  int           // (num_batch_threads) batches that are computed at once, of all models
	Allowed  []int         // (allowed_batch_sizes) sizes that batches are filled up to; none: any
	Split    bool          // (enable_large_batch_splitting) cut requests that are larger than a batch
	MaxRun   int           // (max_execution_batch_size) rows of a batch, where Split is on
	// Eager starts a batch before its Timeout, as soon as it is as large as the
	// last one: clients that ask again as soon as they are answered are not kept
	// waiting, and a lone client never is.
	Eager bool
}

// DefaultBatching suits a CPU: one batch at a time has all threads, and what
// comes meanwhile makes up the next.
func DefaultBatching() Batching {
	return Batching{MaxSize: 32, Timeout: 2 * time.Millisecond, Enqueued: 64, Threads: 1, Split: true, MaxRun: 32, Eager: true}
}

// batchingFile is what a version may bring with it.
const batchingFile = "batching_params.pbtxt"

// ReadBatching reads a --batching_parameters_file. What it leaves out is as in
// TensorFlow Serving: 1000 rows, no waiting, ten batches, a thread a core.
func ReadBatching(path string) (Batching, error) {
	p := &batchpb.BatchingParameters{}
	if err := readTextProto(path, p); err != nil {
		return Batching{}, err
	}
	b := Batching{MaxSize: 1000, Enqueued: 10, Threads: runtime.NumCPU()}
	number := func(v interface{ GetValue() int64 }, there bool, into *int) {
		if there {
			*into = int(v.GetValue())
		}
	}
	number(p.GetMaxBatchSize(), p.MaxBatchSize != nil, &b.MaxSize)
	number(p.GetMaxEnqueuedBatches(), p.MaxEnqueuedBatches != nil, &b.Enqueued)
	number(p.GetNumBatchThreads(), p.NumBatchThreads != nil, &b.Threads)
	b.Timeout = time.Duration(p.GetBatchTimeoutMicros().GetValue()) * time.Microsecond
	b.Split = p.GetEnableLargeBatchSplitting().GetValue()
	b.MaxRun = b.MaxSize
	if b.Split {
		number(p.GetMaxExecutionBatchSize(), p.MaxExecutionBatchSize != nil, &b.MaxRun)
	}
	for _, n := range p.GetAllowedBatchSizes() {
		b.Allowed = append(b.Allowed, int(n))
	}
	faults := b.faults()
	if p.GetPadVariableLengthInputs() {
		faults = append(faults, errors.New("pad_variable_length_inputs is not supported: requests of different shapes are computed apart"))
	}
	if len(faults) > 0 {
		return Batching{}, fmt.Errorf("serving: %s: %w", path, errors.Join(faults...))
	}
	return b, nil
}

func (b Batching) faults() (faults []error) {
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(b.MaxSize < 1, "max_batch_size is %d; want 1 or more", b.MaxSize)
	fault(b.Enqueued < 1, "max_enqueued_batches is %d; want 1 or more", b.Enqueued)
	fault(b.Threads < 1, "num_batch_threads is %d; want 1 or more", b.Threads)
	fault(b.Timeout < 0, "batch_timeout_micros is negative")
	fault(b.MaxRun < 1 || b.MaxRun > b.MaxSize, "max_execution_batch_size is %d; want 1 to max_batch_size, %d", b.MaxRun, b.MaxSize)
	for i, n := range b.Allowed {
		fault(n < 1 || i > 0 && n <= b.Allowed[i-1], "allowed_batch_sizes entries must be positive and increasing; entry %d is %d", i, n)
	}
	if k := len(b.Allowed); k > 0 {
		fault(b.Allowed[k-1] != b.rows(), "the last entry of allowed_batch_sizes is %d; it must be the largest batch, %d", b.Allowed[k-1], b.rows())
	}
	return faults
}

// rows is the size of the largest batch that is computed.
func (b Batching) rows() int {
	if b.Split {
		return b.MaxRun
	}
	return b.MaxSize
}

// filled is the size to which a batch of n rows is filled up.
func (b Batching) filled(n int) int {
	for _, size := range b.Allowed {
		if size >= n {
			return size
		}
	}
	return n
}

// forVersion is b, or what the version in dir brings with it. The threads are
// the server's, for all models share them.
func (b Batching) forVersion(dir string) (Batching, error) {
	path := filepath.Join(dir, batchingFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return b, nil
	}
	own, err := ReadBatching(path)
	own.Threads = b.Threads
	return own, err
}
