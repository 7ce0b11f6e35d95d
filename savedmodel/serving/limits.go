package serving

import (
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nasnet-go/nasnet/internal/imagegate"
)

// Limits of a tensor's and a document's depth.
const (
	maxRank    = 8  // of a tensor
	maxNesting = 32 // of lists and objects in a JSON document
)

// Limits bound what requests may cost. A zero field is its default.
type Limits struct {
	MaxBody     int64 // bytes of one request, as it is sent and unpacked; default 64 MiB
	MaxInFlight int64 // bytes of all requests at once; beyond it they are refused with RESOURCE_EXHAUSTED (429); default 4 x MaxBody
	MaxPixels   int64 // an encoded image may declare; default 50 million

	budget *budget // shared by the transports of one server
}

// fill sets defaults and makes the budget that copies of the result share.
func (l Limits) fill() Limits {
	if l.MaxBody <= 0 {
		l.MaxBody = 64 << 20
	}
	if l.MaxInFlight <= 0 {
		l.MaxInFlight = 4 * l.MaxBody
	}
	if l.MaxPixels <= 0 {
		l.MaxPixels = imagegate.DefaultMaxPixels
	}
	if l.budget == nil {
		l.budget = &budget{limit: l.MaxInFlight}
	}
	return l
}

// budget counts the bytes of the requests under way. Who finds it empty is
// refused at once: waiting would hold the memory of the request.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int64) error {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return status.Errorf(codes.ResourceExhausted, "Requests of more than %d bytes are under way; try again in a moment", b.limit)
	}
	return nil
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// lease is what one request has taken of the budget.
type lease struct {
	budget *budget
	taken  int64
}

func (l *lease) take(n int64) error {
	err := l.budget.take(n)
	if err == nil {
		l.taken += n
	}
	return err
}

// end gives everything back.
func (l *lease) end() {
	l.budget.give(l.taken)
	l.taken = 0
}
