package queue

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nasnet-go/nasnet/controller/search"
)

// protocol changes with the messages.
const protocol = 1

// Subjects. Those of a search carry its random name, so that several searches
// may share a NATS cluster.
const (
	helloSubject = "nasnet.search.hello"
	leaseVerb    = "lease"
	beatVerb     = "beat"
	finishVerb   = "finish"
	releaseVerb  = "release"
	overVerb     = "over" // told to all: the search is finished
)

func subject(run, verb string) string { return "nasnet.search." + run + "." + verb }

// hello is a search's answer to a worker that looks for one.
type hello struct {
	Protocol int    `json:"protocol"`
	Run      string `json:"run"`
	Setup    []byte `json:"setup,omitempty"` // how children are evaluated, for the caller
}

// request is a worker's message; which fields it has depends on the subject.
type request struct {
	Worker   string          `json:"worker"`
	Seq      uint64          `json:"seq,omitempty"`     // lease: grows with each request of a worker
	WaitMS   int64           `json:"wait_ms,omitempty"` // lease: how long the answer may take
	Ref      search.Ref      `json:"ref,omitzero"`
	Progress search.Progress `json:"progress,omitzero"`
	Report   search.Report   `json:"report,omitzero"`
}

// reply answers a request.
type reply struct {
	Code    string       `json:"code,omitempty"` // see codes; "": done
	Message string       `json:"message,omitempty"`
	Lease   search.Lease `json:"lease,omitzero"`
}

// errNone is a lease request's end of waiting: ask again.
var errNone = errors.New("no trial for now")

// codes are the errors that both sides know.
var codes = map[string]error{
	"none": errNone, "lost": search.ErrLost, "finished": search.ErrFinished, "paused": search.ErrPaused,
}

// errBroken is any other error of the search.
var errBroken = errors.New("the search has failed")

func replyOf(l search.Lease, err error) reply {
	if err == nil {
		return reply{Lease: l}
	}
	for code, known := range codes {
		if errors.Is(err, known) {
			return reply{Code: code}
		}
	}
	return reply{Code: "broken", Message: err.Error()}
}

func (r reply) err() error {
	if r.Code == "" {
		return nil
	}
	if known := codes[r.Code]; known != nil {
		return known
	}
	return fmt.Errorf("queue: %w: %s", errBroken, r.Message)
}

func decode[T any](data []byte) (T, error) {
	var x T
	if err := json.Unmarshal(data, &x); err != nil {
		return x, fmt.Errorf("queue: message: %w", err)
	}
	return x, nil
}

// encode cannot fail: all numbers are finite, search sees to it.
func encode(x any) []byte {
	data, err := json.Marshal(x)
	if err != nil {
		panic(err)
	}
	return data
}
