package serving

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Client asks a TensorFlow Serving REST interface for predictions.
type Client struct {
	URL   string // such as http://127.0.0.1:8501
	Model string
	HTTP  *http.Client // nil: http.DefaultClient
}

// Prediction is one example's answer from a model that `nasnet export` wrote.
type Prediction struct {
	Logits        []float32 `json:"logits"`
	Probabilities []float32 `json:"probabilities"`
	Class         any       `json:"classes"` // name, or number where the model has none
}

// Images classifies encoded images through the signature serving_bytes.
func (c Client) Images(ctx context.Context, encoded [][]byte) ([]Prediction, error) {
	rows := make([]map[string]string, len(encoded))
	for i, e := range encoded {
		rows[i] = map[string]string{"b64": base64.StdEncoding.EncodeToString(e)}
	}
	return c.predict(ctx, map[string]any{"signature_name": "serving_bytes", "instances": rows})
}

// Floats classifies prepared pictures, each [H][W][C], through serving_default.
func (c Client) Floats(ctx context.Context, pictures [][][][]float32) ([]Prediction, error) {
	return c.predict(ctx, map[string]any{"instances": pictures})
}

func (c Client) predict(ctx context.Context, request any) ([]Prediction, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("serving: %w", err)
	}
	url := strings.TrimRight(c.URL, "/") + "/v1/models/" + c.Model + ":predict"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("serving: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	resp, err := h.Do(r)
	if err != nil {
		return nil, fmt.Errorf("serving: no answer from %s: %w", c.URL, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("serving: answer of %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("serving: %s answered %s: %s", url, resp.Status, bytes.TrimSpace(text))
	}
	var doc struct {
		Predictions []Prediction `json:"predictions"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("serving: answer of %s: %w", url, err)
	}
	return doc.Predictions, nil
}
