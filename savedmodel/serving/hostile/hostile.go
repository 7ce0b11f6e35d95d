package hostile

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"net/http"
	"strings"
)

// Target says what the server under test serves. An empty signature leaves out
// what needs it.
type Target struct {
	Model    string
	Floats   string // signature with one float input
	Input    string // that input's name
	Bytes    string // signature whose only input, ending in image_bytes, is encoded images
	Classify string // signature of a classification of tf.Examples
	ImageKey string // feature of an Example that holds an encoded image
	MaxBody  int64  // what the server takes
}

// Request is one hostile call of the REST interface.
type Request struct {
	Name  string
	Path  string
	Body  []byte
	Gzip  bool
	Codes []int // the answers that refuse it
}

// HTTP makes a POST of the request to a server at url.
func (r Request) HTTP(url string) (*http.Request, error) {
	h, err := http.NewRequest(http.MethodPost, url+r.Path, bytes.NewReader(r.Body))
	if err == nil && r.Gzip {
		h.Header.Set("Content-Encoding", "gzip")
	}
	return h, err
}

// Depth is how deep the nested documents are.
const Depth = 250_000

// REST is the corpus for the REST interface.
func REST(t Target) ([]Request, error) {
	c := corpus{target: t}
	c.syntax()
	c.nesting()
	c.values()
	if err := c.sizes(); err != nil {
		return nil, err
	}
	if err := c.images(); err != nil {
		return nil, err
	}
	return c.list, nil
}

type corpus struct {
	target Target
	list   []Request
}

func (c *corpus) add(name, verb, body string, codes ...int) {
	if len(codes) == 0 {
		codes = []int{400}
	}
	c.list = append(c.list, Request{Name: name, Path: "/v1/models/" + c.target.Model + ":" + verb, Body: []byte(body), Codes: codes})
}

func (c *corpus) syntax() {
	for i, body := range []string{
		"", " ", "null", "[]", "{", "}", `{"instances"`, `{"instances":`, `{"instances":[`, `{"instances":[1`, `{"instances":[1,`, `{"instances":[1,]}`,
		`{"instances":[1 2]}`, `{"instances":[1}}`, `{"instances":[01]}`, `{"instances":[.5]}`, `{"instances":[1.]}`, `{"instances":[1e]}`, `{"instances":[1e999]}`,
		`{"instances":[0x10]}`, `{"instances":[--1]}`, `{"instances":[nul]}`, `{"instances":["abc]}`, `{"instances":["\u12"]}`, `{"instances":["\ud800"]}`,
		"{\"instances\":[\"a\nb\"]}", "{\"instances\":[\"a\x00b\"]}", `{instances:[1]}`, `{'instances':[1]}`, `{"instances":[1],}`, "\xef\xbb\xbf{}", "PK\x03\x04", "\x00\x00\x00\x00",
	} {
		c.add(fmt.Sprintf("bad JSON %d", i), "predict", body)
		c.add(fmt.Sprintf("bad JSON %d for examples", i), "classify", strings.Replace(body, "instances", "examples", 1))
	}
}

func (c *corpus) nesting() {
	lists := strings.Repeat("[", Depth) + "1" + strings.Repeat("]", Depth)
	objects := strings.Repeat(`{"a":`, Depth) + "1" + strings.Repeat("}", Depth)
	for name, body := range map[string]string{
		"instances": `{"instances": ` + lists + `}`, "inputs": `{"inputs": ` + lists + `}`, "an unread field": `{"other": ` + lists + `, "instances": [1]}`,
		"the signature's name": `{"signature_name": ` + lists + `}`, "an input": `{"inputs": {"x": ` + lists + `}}`, "an instance": `{"instances": [{"x": ` + lists + `}]}`,
		"objects": `{"instances": [` + objects + `]}`, "only opening brackets": `{"instances": ` + strings.Repeat("[", 2*Depth), "examples": `{"examples": ` + lists + `}`,
		"a feature": `{"examples": [{"x": ` + lists + `}]}`, "a context": `{"context": ` + objects + `, "examples": [{}]}`, "the root": lists,
	} {
		for _, verb := range []string{"predict", "classify", "regress"} {
			c.add("nested deeply: "+name+": "+verb, verb, body)
		}
	}
	c.add("nine dimensions", "predict", `{"inputs": [[[[[[[[[1]]]]]]]]]}`)
}

func (c *corpus) values() {
	t := c.target
	if t.Floats == "" {
		return
	}
	for name, value := range map[string]string{
		"a string": `["a"]`, "null": `[null]`, "an object": `[{"no such input": 1}]`, "ragged": `[[1,2],[3]]`, "levels": `[1,[2]]`, "an empty list": `[[]]`, "no list": `1`,
		"bytes": `[{"b64": "AAAA"}]`, "broken base64": `[{"b64": "!!!"}]`, "a mixture": `[1, "a"]`, "ten thousand dimensions": `[` + strings.Repeat("[1],", 10000) + `1]`,
	} {
		c.add("no tensor: "+name, "predict", fmt.Sprintf(`{"signature_name": %q, "instances": %s}`, t.Floats, value))
	}
	c.add("both formats", "predict", `{"instances": [1], "inputs": [1]}`)
	c.add("an unknown signature", "predict", `{"signature_name": "`+strings.Repeat("x", 100_000)+`", "instances": [1]}`)
	c.list = append(c.list, Request{
		Name: "an unknown model", Path: "/v1/models/" + strings.Repeat("y", 10_000) + ":predict", Body: []byte(`{"instances": [1]}`), Codes: []int{404},
	})
}

func (c *corpus) sizes() error {
	n := int(c.target.MaxBody)
	c.add("larger than allowed", "predict", `{"instances": [`+strings.Repeat("1,", n/2+1)+`1]}`, 413)
	for name, unpacked := range map[string][]byte{"spaces": bytes.Repeat([]byte(" "), 2*n+1<<20), "brackets": bytes.Repeat([]byte("["), 2*n+1<<20)} {
		packed, err := zip(unpacked)
		if err != nil {
			return err
		}
		c.list = append(c.list, Request{Name: "a gzip bomb of " + name, Path: "/v1/models/" + c.target.Model + ":predict", Body: packed, Gzip: true, Codes: []int{413}})
		if packed, err = zip(packed); err != nil {
			return err
		}
		c.list = append(c.list, Request{Name: "a gzip bomb in gzip of " + name, Path: "/v1/models/" + c.target.Model + ":predict", Body: packed, Gzip: true, Codes: []int{400}})
	}
	for name, body := range map[string]string{"no gzip": "no gzip", "a cut gzip": "\x1f\x8b\x08\x00\x00\x00\x00\x00", "nothing": ""} {
		c.list = append(c.list, Request{Name: name, Path: "/v1/models/" + c.target.Model + ":predict", Body: []byte(body), Gzip: true, Codes: []int{400}})
	}
	return nil
}

func zip(b []byte) ([]byte, error) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	err := w.Close()
	return z.Bytes(), err
}

// images adds bombs and broken images to what takes images, and to Examples.
func (c *corpus) images() error {
	list, err := Images()
	if err != nil {
		return err
	}
	for name, raw := range list {
		b64 := base64.StdEncoding.EncodeToString(raw)
		if t := c.target; t.Bytes != "" {
			c.add(name, "predict", fmt.Sprintf(`{"signature_name": %q, "instances": [{"b64": %q}]}`, t.Bytes, b64))
		}
		if t := c.target; t.Classify != "" && t.ImageKey != "" {
			c.add(name+" in an Example", "classify", fmt.Sprintf(`{"signature_name": %q, "examples": [{%q: {"b64": %q}}]}`, t.Classify, t.ImageKey, b64))
		}
	}
	return nil
}

// Images are encoded images that must not be decoded, by name.
func Images() (map[string][]byte, error) {
	picture := image.NewGray(image.Rect(0, 0, 16, 16))
	for i := range picture.Pix {
		picture.Pix[i] = byte(i * 37)
	}
	var asJPEG, asPNG bytes.Buffer
	if err := jpeg.Encode(&asJPEG, picture, nil); err != nil {
		return nil, err
	}
	if err := png.Encode(&asPNG, picture); err != nil {
		return nil, err
	}
	j, p := asJPEG.Bytes(), asPNG.Bytes()
	bombs := map[string][]byte{
		"a PNG bomb": sizedPNG(p, 20000, 20000), "a JPEG bomb": sizedJPEG(j, 13056, 13056), "a larger JPEG bomb": sizedJPEG(j, 65500, 65500),
		"a GIF bomb": []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00;"),
		"a cut JPEG": j[:len(j)/2], "a JPEG without its end": j[:len(j)-2], "a JPEG's first bytes": j[:4], "a cut PNG": p[:len(p)/2], "a PNG's first bytes": p[:8],
		"a damaged PNG": append(bytes.Clone(p[:40]), make([]byte, len(p)-40)...), "a JPEG of no pixels": sizedJPEG(j, 0, 0),
	}
	return bombs, nil
}

// sizedPNG declares other sizes in a PNG's header, with the right checksum.
func sizedPNG(raw []byte, w, h uint32) []byte {
	raw = bytes.Clone(raw)
	binary.BigEndian.PutUint32(raw[16:], w)
	binary.BigEndian.PutUint32(raw[20:], h)
	binary.BigEndian.PutUint32(raw[29:], crc32.ChecksumIEEE(raw[12:29]))
	return raw
}

// sizedJPEG declares other sizes in a JPEG's frame header.
func sizedJPEG(raw []byte, w, h uint16) []byte {
	raw = bytes.Clone(raw)
	at := bytes.Index(raw, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(raw[at+5:], h)
	binary.BigEndian.PutUint16(raw[at+7:], w)
	return raw
}
