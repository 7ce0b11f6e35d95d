package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// The kinds of events.
const (
	KindProgress = "progress" // Stage, Done, Total, Unit, Values
	KindNote     = "note"     // Text
	KindResult   = "result"   // Result; the last event of a run that went well
	KindError    = "error"    // Code, Message; the last event of one that did not
)

// Exit codes, of an error event and of the front alike.
const (
	CodeFailed      = 1   // the work failed
	CodeUsage       = 2   // wrong request or configuration
	CodeInUse       = 3   // refused because something is in use
	CodeInterrupted = 130 // interrupted; the state on disk can be resumed
)

// Event is one line from the engine. Which fields hold depends on Kind.
type Event struct {
	Kind    string          `json:"event"`
	Stage   string          `json:"stage,omitempty"` // for example "train"
	Done    int64           `json:"done,omitempty"`
	Total   int64           `json:"total,omitempty"` // 0: unknown
	Unit    string          `json:"unit,omitempty"`  // of Done and Total, for example "steps"
	Values  Values          `json:"values,omitempty"`
	Text    string          `json:"text,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Code    int             `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
}

// Values are named figures of a progress event. A loss may be NaN or infinite,
// which JSON has no numbers for: those travel as the strings "NaN", "+Inf", "-Inf".
type Values map[string]float64

// MarshalJSON implements json.Marshaler.
func (v Values) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, len(v))
	for name, x := range v {
		out[name] = x
		if math.IsNaN(x) || math.IsInf(x, 0) {
			out[name] = strconv.FormatFloat(x, 'g', -1, 64)
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Values) UnmarshalJSON(text []byte) error {
	var in map[string]any
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*v = make(Values, len(in))
	for name, x := range in {
		switch x := x.(type) {
		case float64:
			(*v)[name] = x
		case string:
			f, err := strconv.ParseFloat(x, 64)
			if err != nil {
				return fmt.Errorf("engine: value %q: %w", name, err)
			}
			(*v)[name] = f
		default:
			return fmt.Errorf("engine: value %q is no number", name)
		}
	}
	return nil
}

// Progress makes a progress event.
func Progress(stage string, done, total int64, unit string, values Values) Event {
	return Event{Kind: KindProgress, Stage: stage, Done: done, Total: total, Unit: unit, Values: values}
}

// Note makes an event with a sentence for the user.
func Note(format string, args ...any) Event {
	return Event{Kind: KindNote, Text: fmt.Sprintf(format, args...)}
}
