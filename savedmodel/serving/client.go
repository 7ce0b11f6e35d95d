package serving

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Client asks a TensorFlow Serving REST interface.
type Client struct {
	URL   string       // such as http://127.0.0.1:8501
	Model string       // its name, or NAME/versions/N, or NAME/labels/L
	Token string       // shown as a bearer token, if there is one
	HTTP  *http.Client // nil: http.DefaultClient
}

// SplitModelURL takes the address of a model, BASE/v1/models/NAME[/versions/N],
// apart. Of a base address alone the model is "".
func SplitModelURL(address string) (base, model string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", "", fmt.Errorf("serving: %q is no address of a server; want http://HOST:PORT or http://HOST:PORT/v1/models/NAME", address)
	}
	before, model, found := strings.Cut(u.EscapedPath(), "/v1/models/")
	if !found && strings.Trim(before, "/") != "" {
		return "", "", fmt.Errorf("serving: %q: the path is not /v1/models/NAME", address)
	}
	model, _, _ = strings.Cut(strings.Trim(model, "/"), ":")
	return u.Scheme + "://" + u.Host + strings.TrimRight(before, "/"), model, nil
}

// Prediction is one example's answer from a model that `nasnet export` wrote.
type Prediction struct {
	Logits        []float32 `json:"logits"`
	Probabilities []float32 `json:"probabilities"`
	Class         any       `json:"classes"` // name, or number where the model has none
}

// Images classifies encoded images through the signature serving_bytes.
func (c Client) Images(ctx context.Context, encoded [][]byte) ([]Prediction, error) {
	return c.predict(ctx, imagesRequest(encoded))
}

// ImagesBody is the body of the request that Images makes.
func ImagesBody(encoded [][]byte) ([]byte, error) { return json.Marshal(imagesRequest(encoded)) }

func imagesRequest(encoded [][]byte) map[string]any {
	rows := make([]map[string]string, len(encoded))
	for i, e := range encoded {
		rows[i] = inBase64(e)
	}
	return map[string]any{"signature_name": "serving_bytes", "instances": rows}
}

func inBase64(e []byte) map[string]string {
	return map[string]string{"b64": base64.StdEncoding.EncodeToString(e)}
}

// Floats classifies prepared pictures, each [H][W][C], through serving_default.
func (c Client) Floats(ctx context.Context, pictures [][][][]float32) ([]Prediction, error) {
	return c.predict(ctx, map[string]any{"instances": pictures})
}

func (c Client) predict(ctx context.Context, request any) ([]Prediction, error) {
	var doc struct {
		Predictions []Prediction `json:"predictions"`
	}
	err := c.call(ctx, http.MethodPost, ":predict", request, &doc)
	return doc.Predictions, err
}

// Label is a class and its score.
type Label struct {
	Name  string
	Score float64
}

// UnmarshalJSON reads ["name", score].
func (l *Label) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&l.Name, &l.Score})
}

// Classify tells the best classes of encoded images, best first, through the
// signature classify of a model that `nasnet export` wrote.
func (c Client) Classify(ctx context.Context, encoded [][]byte) ([][]Label, error) {
	examples := make([]map[string]any, len(encoded))
	for i, e := range encoded {
		examples[i] = map[string]any{"image/encoded": inBase64(e)}
	}
	var doc struct {
		Results [][]Label `json:"results"`
	}
	err := c.call(ctx, http.MethodPost, ":classify", map[string]any{"signature_name": "classify", "examples": examples}, &doc)
	return doc.Results, err
}

// Available lists the versions of the model that answer predictions.
func (c Client) Available(ctx context.Context) ([]string, error) {
	var doc struct {
		Status []struct {
			Version string `json:"version"`
			State   string `json:"state"`
		} `json:"model_version_status"`
	}
	if err := c.call(ctx, http.MethodGet, "", nil, &doc); err != nil {
		return nil, err
	}
	var list []string
	for _, s := range doc.Status {
		if s.State == "AVAILABLE" {
			list = append(list, s.Version)
		}
	}
	return list, nil
}

func (c Client) call(ctx context.Context, method, verb string, request, answer any) error {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return fmt.Errorf("serving: %w", err)
		}
	}
	address := strings.TrimRight(c.URL, "/") + "/v1/models/" + c.Model + verb
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("serving: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	resp, err := h.Do(r)
	if err != nil {
		return fmt.Errorf("serving: no answer from %s: %w", c.URL, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("serving: answer of %s: %w", address, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("serving: %s answered %s: %s", address, resp.Status, bytes.TrimSpace(text))
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("serving: answer of %s: %w", address, err)
	}
	return nil
}
