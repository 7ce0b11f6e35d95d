package coco

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

const smallSet = `{"info":{"a":[1,{"b":"]}"}]},"annotations":[{"id":4,"image_id":1,"category_id":2,"bbox":[1,2,3,4],"segmentation":[[1,2,3]],"area":9.5,"iscrowd":0},
{"id":0,"image_id":9,"category_id":2,"bbox":[1,2,3,4],"iscrowd":1}],"images":[{"id":9,"width":64,"height":48,"file_name":"x"},{"id":1,"width":64,"height":48}],
"categories":[{"id":2,"name":"two"}],"licenses":null}`

func readSet(text string, p Policy) (*Dataset, error) {
	return ReadAnnotations(strings.NewReader(text), "gt.json", p)
}

func TestReadAnnotations(t *testing.T) {
	set, err := readSet(smallSet, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Objects) != 2 || set.Objects[0].Area != 9.5 || set.Objects[1].Area != 12 || !set.Objects[1].Crowd || set.Images[0].ID != 1 || set.Images[1].FileName != "x" {
		t.Errorf("%+v", set)
	}
	var out bytes.Buffer
	if err := WriteAnnotations(&out, set); err != nil {
		t.Fatal(err)
	}
	again, err := readSet(out.String(), Policy{})
	if err != nil || fmt.Sprint(again) != fmt.Sprint(set) {
		t.Errorf("written and read again: %+v, %v", again, err)
	}
}

// faulty replaces a part of the small set.
func faulty(old, text string) string { return strings.Replace(smallSet, old, text, 1) }

func TestEveryFaultIsNamedAndCounted(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		kind Kind
		list string
	}{
		"text for a number":  {faulty(`"id":4`, `"id":"four"`), Malformed, "annotations[0]"},
		"no box":             {faulty(`"bbox":[1,2,3,4],"seg`, `"seg`), Malformed, "annotations[0]"},
		"three numbers":      {faulty(`[1,2,3,4],"seg`, `[1,2,3],"seg`), Malformed, "annotations[0]"},
		"no id":              {faulty(`"id":4,`, ``), Malformed, "annotations[0]"},
		"an entry is a list": {faulty(`{"id":2,"name":"two"}`, `{"id":2,"name":"two"},[1]`), Malformed, "categories[1]"},
		"crowd of 2":         {faulty(`"iscrowd":0`, `"iscrowd":2`), Malformed, "annotations[0]"},
		"NaN":                {faulty(`[1,2,3,4],"seg`, `[1,NaN,3,4],"seg`), NotFinite, "annotations[0]"},
		"infinity":           {faulty(`[1,2,3,4],"seg`, `[1,2,-Infinity,4],"seg`), NotFinite, "annotations[0]"},
		"NaN area":           {faulty(`9.5`, `NaN`), NotFinite, "annotations[0]"},
		"negative width":     {faulty(`[1,2,3,4],"seg`, `[1,2,-3,4],"seg`), NegativeSize, "annotations[0]"},
		"negative area":      {faulty(`9.5`, `-1`), NegativeSize, "annotations[0]"},
		"image of no size":   {faulty(`"height":48,"f`, `"height":0,"f`), NegativeSize, "images[0]"},
		"image twice":        {faulty(`{"id":1,"width":64,"height":48}`, `{"id":1,"width":64,"height":48},{"id":9,"width":64,"height":48}`), DuplicateID, "images[2]"},
		"category twice":     {faulty(`{"id":2,"name":"two"}`, `{"id":2},{"id":2}`), DuplicateID, "categories[1]"},
		"object twice":       {faulty(`"id":0`, `"id":4`), DuplicateID, "annotations[1]"},
		"unknown category":   {faulty(`"category_id":2`, `"category_id":3`), UnknownCategory, "annotations[0]"},
		"unknown image":      {faulty(`"image_id":1`, `"image_id":3`), MissingImage, "annotations[0]"},
	} {
		_, err := readSet(c.text, Policy{})
		var f *Fault
		if !errors.As(err, &f) || f.Kind != c.kind || !strings.Contains(err.Error(), "gt.json: "+c.list) {
			t.Errorf("%s: %v", name, err)
		}
		told := 0
		set, err := readSet(c.text, Policy{Limit: 5, Tell: func(*Fault) { told++ }})
		if err != nil || set.LeftOut[c.kind] != 1 && name != "image of no size" || int64(told) != set.LeftOut.Total() {
			t.Errorf("%s, skipped: %v, %v left out, %d told", name, err, set, told)
		}
	}
}

func TestRemarksAreKeptUnlessStrict(t *testing.T) {
	for _, c := range []struct {
		text string
		kind Kind
	}{{faulty(`[1,2,3,4],"seg`, `[1,2,3,47],"seg`), BoxOutside}, {faulty(`[1,2,3,4],"seg`, `[1,2,0,4],"seg`), EmptyBox}} {
		set, err := readSet(c.text, Policy{})
		if err != nil || set.Remarks[c.kind] != 1 || len(set.Objects) != 2 {
			t.Errorf("%s: %v", c.kind, err)
		}
		if _, err := readSet(c.text, Policy{Strict: true}); err == nil || !strings.Contains(err.Error(), string(c.kind)) {
			t.Errorf("strict: %v", err)
		}
	}
}

func TestWhatIsNoSetAtAll(t *testing.T) {
	for text, want := range map[string]error{
		"": ErrNotJSON, " ": ErrNotJSON, "<html>": ErrNotJSON, smallSet[:200]: ErrNotJSON, smallSet + "x": ErrNotJSON, smallSet + "[]": ErrNotJSON, "\x00\x01": ErrNotJSON,
		"[]": ErrNotCOCO, "3": ErrNotCOCO, `{"images":[]}`: ErrNotCOCO, `{"images":{},"annotations":[],"categories":[]}`: ErrNotCOCO, "NaN": ErrNotCOCO,
		`{"images":[],"annotations":[],"categories":[` + strings.Repeat("[", 20000): ErrNotJSON,
	} {
		if _, err := readSet(text, Policy{Limit: 3}); !errors.Is(err, want) || !strings.Contains(err.Error(), "gt.json") {
			t.Errorf("%.40q: %v, want %v", text, err, want)
		}
	}
	long := io.MultiReader(strings.NewReader(`{"images":[{"file_name":"`), io.LimitReader(endless{}, 2*maxEntry))
	if _, err := ReadAnnotations(long, "gt.json", Policy{}); !errors.Is(err, ErrEntryTooLong) {
		t.Error(err)
	}
}

// endless is a string without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestFaultyResults(t *testing.T) {
	set, err := readSet(smallSet, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"image_id":1,"category_id":2,"bbox":[1,2,3,4],"score":0.5}`
	for entry, kind := range map[string]Kind{
		`{"image_id":5,"category_id":2,"bbox":[1,2,3,4],"score":0.5}`:        MissingImage,
		`{"image_id":1,"category_id":2,"bbox":[1,2,3,4],"score":NaN}`:        NotFinite,
		`{"image_id":1,"category_id":2,"bbox":[1,Infinity,3,4],"score":1}`:   NotFinite,
		`{"image_id":1,"category_id":2,"bbox":[1,2,3,-4],"score":1}`:         NegativeSize,
		`{"image_id":1,"category_id":2,"bbox":[1,2,3,4]}`:                    Malformed,
		`{"image_id":1,"category_id":2,"bbox":null,"score":1}`:               Malformed,
		`{"image_id":"NaN","category_id":2,"bbox":[1,2,3,4],"score":1}`:      Malformed,
		`{"image_id":1.5,"category_id":2,"bbox":[1,2,3,4],"score":1}`:        Malformed,
		`{"image_id":1,"category_id":2,"bbox":[1,2,3,4],"score":"\"NaN,\\"}`: Malformed,
	} {
		text := "[" + good + "," + entry + ",\n" + good + "]"
		_, err := ReadResults(strings.NewReader(text), "dt.json", set, Policy{})
		var f *Fault
		if !errors.As(err, &f) || f.Kind != kind || f.Record != 1 {
			t.Errorf("%s: %v", entry, err)
		}
		r, err := ReadResults(strings.NewReader(text), "dt.json", set, Policy{Limit: 1})
		if err != nil || r.Added != 2 || r.LeftOut[kind] != 1 {
			t.Errorf("%s, skipped: %v, %v", entry, r, err)
		}
		if _, err := ReadResults(strings.NewReader("["+entry+","+entry+"]"), "dt.json", set, Policy{Limit: 1}); !errors.Is(err, ErrTooManyFaults) {
			t.Errorf("%s, twice: %v", entry, err)
		}
	}
	for text, want := range map[string]error{`{"annotations":[]}`: ErrNotCOCO, "[" + good: ErrNotJSON, "[" + good + "]]": ErrNotJSON, "[" + good + good + "]": ErrNotJSON} {
		if _, err := ReadResults(strings.NewReader(text), "dt.json", set, Policy{Limit: 3}); !errors.Is(err, want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	stranger := strings.Replace(good, `"category_id":2`, `"category_id":1`, 1)
	if r, err := ReadResults(strings.NewReader("["+good+","+stranger+"]"), "dt.json", set, Policy{}); err != nil || r.Added != 2 || r.Unjudged != 1 || r.LeftOut.Total() != 0 {
		t.Errorf("a category that the set does not have: %+v %v", r, err)
	}
	var f *Fault
	if _, err := ReadResults(strings.NewReader("["+stranger+"]"), "dt.json", set, Policy{Strict: true}); !errors.As(err, &f) || f.Kind != UnknownCategory {
		t.Errorf("strict, a category that the set does not have: %v", err)
	}
	if err := WriteResults(io.Discard, []Detection{{Score: math.NaN()}}); err == nil {
		t.Error("NaN written")
	}
	outside := strings.Replace(good, "3,4", "300,4", 1)
	if r, err := ReadResults(strings.NewReader("["+outside+"]"), "dt.json", set, Policy{}); err != nil || r.Remarks[BoxOutside] != 1 || r.Added != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := ReadResults(strings.NewReader("["+outside+"]"), "dt.json", set, Policy{Strict: true}); err == nil {
		t.Error("strict takes a box outside")
	}
}

// flood is a result file of n detections that is made while it is read.
func flood(n int) io.Reader {
	in, out := io.Pipe()
	go func() {
		r := rand.New(rand.NewPCG(1, 1))
		buf := []byte("[")
		for i := range n {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = fmt.Appendf(buf, `{"image_id":%d,"category_id":2,"bbox":[%.2f,1,3,4],"score":%.6f,"segmentation":{"counts":"abcdefghijklmnopqrstuvwxyz"}}`, []int{1, 9}[i%2], r.Float64(), r.Float64())
			if len(buf) > 1<<16 || i == n-1 {
				if i == n-1 {
					buf = append(buf, ']')
				}
				if _, err := out.Write(buf); err != nil {
					return
				}
				buf = buf[:0]
			}
		}
		out.Close()
	}()
	return in
}

// A long file takes no more memory than a short one: what the metrics do not
// look at is dropped on the way.
func TestMemoryIsBounded(t *testing.T) {
	set, err := readSet(smallSet, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory() // what other tests took
	const n = 1_500_000  // 180 MB of text
	r, err := ReadResults(flood(n), "dt.json", set, Policy{})
	if err != nil || r.Added != n {
		t.Fatal(r, err)
	}
	r.prune()
	if len(r.list) != 200 || cap(r.list) > 3<<20 {
		t.Errorf("%d kept, room for %d", len(r.list), cap(r.list))
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	held := (m.HeapSys - m.HeapReleased) >> 20
	t.Logf("heap from the system: %d MiB", held)
	if held > 400 {
		t.Errorf("%d MiB of heap", held)
	}
}

func FuzzReadAnnotations(f *testing.F) {
	f.Add([]byte(smallSet))
	f.Add([]byte(faulty("9.5", "NaN")))
	f.Add([]byte(`{"images":[],"annotations":[],"categories":[],"x":NaN}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := ReadAnnotations(bytes.NewReader(text), "gt.json", Policy{Limit: 10})
		if err != nil {
			return
		}
		for _, o := range set.Objects {
			if !finite(o.Box.X, o.Box.Y, o.Box.W, o.Box.H, o.Area) || o.Box.W < 0 || o.Box.H < 0 || o.Area < 0 {
				t.Fatalf("%+v", o)
			}
			if _, ok := set.image[o.ImageID]; !ok {
				t.Fatal("no image", o)
			}
		}
		var out bytes.Buffer
		if err := WriteAnnotations(&out, set); err != nil {
			t.Fatal(err)
		}
		if again, err := ReadAnnotations(&out, "again", Policy{}); err != nil || len(again.Objects) != len(set.Objects) {
			t.Fatal(again, err)
		}
	})
}

func FuzzReadResults(f *testing.F) {
	f.Add([]byte(`[{"image_id":1,"category_id":2,"bbox":[1,2,3,4],"score":0.5},{"image_id":9,"category_id":2,"bbox":[1,NaN,3,4],"score":-Infinity}]`))
	f.Add([]byte(`[]`))
	set, err := readSet(smallSet, Policy{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ReadResults(bytes.NewReader(text), "dt.json", set, Policy{Limit: 10})
		if err != nil {
			return
		}
		for name, v := range named(t, Evaluate(r).Summary()) {
			if v != -1 && !(v >= 0 && v <= 1) {
				t.Fatal(name, v)
			}
		}
	})
}

// BenchmarkReadAnnotations reads a set whose entries have masks, as COCO's have:
// nearly all bytes are passed over.
func BenchmarkReadAnnotations(b *testing.B) {
	const objects = 20_000
	mask := strings.TrimSuffix(strings.Repeat("123.45, 67.8, ", 90), ", ")
	var text strings.Builder
	text.WriteString(`{"images":[{"id":1,"width":640,"height":480,"file_name":"a.jpg"}],"annotations":[`)
	for i := range objects {
		if i > 0 {
			text.WriteString(",")
		}
		fmt.Fprintf(&text, `{"segmentation":[[%s]],"area":12.5,"iscrowd":0,"image_id":1,"bbox":[1.5,2,30,40],"category_id":1,"id":%d}`, mask, i+1)
	}
	text.WriteString(`],"categories":[{"id":1,"name":"person"}]}`)
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		set, err := ReadAnnotations(strings.NewReader(text.String()), "bench", Policy{})
		if err != nil || len(set.Objects) != objects {
			b.Fatal(err)
		}
	}
}
