package coco

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// forms writes the same set and detections as tools do that are not COCO's own:
// ids and truths in other forms, keys in another order, keys nobody asked for.
type forms struct{ *rand.Rand }

func (f forms) integer(n int64) string {
	return []string{strconv.FormatInt(n, 10), strconv.FormatInt(n, 10) + ".0", strconv.FormatFloat(float64(n), 'e', -1, 64)}[f.IntN(3)]
}

func (f forms) truth(b bool) string {
	if b {
		return []string{"1", "true", "1.0"}[f.IntN(3)]
	}
	return []string{"0", "false", "0.0"}[f.IntN(3)]
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func numbers(b Box) string {
	return fmt.Sprintf("[%s, %s, %s, %s]", number(b.X), number(b.Y), number(b.W), number(b.H))
}

// object is a JSON object of keys and values by turns, in any order.
func (f forms) object(pairs ...string) string {
	var members []string
	for i := 0; i < len(pairs); i += 2 {
		members = append(members, fmt.Sprintf("%q : %s", pairs[i], pairs[i+1]))
	}
	f.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + strings.Join(members, ",") + "}"
}

func (f forms) annotations(images []Image, categories []Category, objects []Object) string {
	var lists [3][]string
	for _, img := range images {
		lists[0] = append(lists[0], f.object("id", f.integer(img.ID), "width", f.integer(int64(img.Width)), "height", f.integer(int64(img.Height)), "file_name", strconv.Quote(img.FileName), "license", "null", "coco_url", `"a]}\\\""`))
	}
	for _, c := range categories {
		lists[1] = append(lists[1], f.object("id", f.integer(c.ID), "name", strconv.Quote(c.Name), "supercategory", `"\u00e9"`))
	}
	for _, o := range objects {
		lists[2] = append(lists[2], f.object("id", f.integer(o.ID), "image_id", f.integer(o.ImageID), "category_id", f.integer(o.CategoryID), "bbox", numbers(o.Box),
			"area", number(o.Area), "iscrowd", f.truth(o.Crowd), "ignore", f.truth(f.IntN(2) == 0), "segmentation", `{"counts":[1,2],"size":[3,4]}`))
	}
	return f.object("images", "["+strings.Join(lists[0], ", ")+"]", "categories", "["+strings.Join(lists[1], ",")+"]", "annotations", "[ "+strings.Join(lists[2], "\n,")+"]", "info", `{"year":2017}`)
}

func (f forms) results(list []Detection) string {
	var entries []string
	for _, d := range list {
		entries = append(entries, f.object("image_id", f.integer(d.ImageID), "category_id", f.integer(d.CategoryID), "bbox", numbers(d.Box), "score", number(d.Score), "id", "7", "area", "-1", "iscrowd", "1"))
	}
	return "\n[" + strings.Join(entries, ",\n") + "]\n"
}

// strange makes a random case stranger: categories that the set does not have,
// images without anything, scores of any size, areas that no range holds, sizes
// far from a pixel.
func strange(r *rand.Rand, images []Image, objects []Object, detections []Detection) ([]Image, []Detection) {
	for i := range detections {
		d := &detections[i]
		switch r.IntN(12) {
		case 0:
			d.CategoryID = 1000 + int64(r.IntN(3))
		case 1:
			d.Score = []float64{0, math.Copysign(0, -1), -1, -1e300, 1e300, 5e-324, math.MaxFloat64, 1 + 0x1p-52}[r.IntN(8)]
		case 2:
			d.Box.X, d.Box.Y = -d.Box.X, -d.Box.Y
		case 3:
			d.Box = Box{d.Box.X * 1e3, d.Box.Y * 1e3, d.Box.W*1e3 + 1e5, d.Box.H*1e3 + 1e5}
		case 4:
			d.Box.W, d.Box.H = d.Box.W*1e-9, d.Box.H*1e-9
		case 5:
			d.Box.W, d.Box.H = []float64{32, 96, 31.999, 96.001}[r.IntN(4)], []float64{32, 96}[r.IntN(2)]
		}
	}
	for i := range objects {
		o := &objects[i]
		switch r.IntN(10) {
		case 0:
			o.Area = []float64{1e10, math.Nextafter(1e10, math.Inf(1)), math.Nextafter(1024, 0), math.Nextafter(1024, 2000), math.Nextafter(9216, 0), math.Nextafter(9216, 1e5), 1e300}[r.IntN(7)]
		case 1:
			o.Box.W, o.Box.H = o.Box.W*1e-9, o.Box.H*1e-9
		case 2:
			o.Crowd = r.IntN(2) == 0
		}
	}
	if r.IntN(8) == 0 { // nothing but crowds
		for i := range objects {
			objects[i].Crowd = true
		}
	}
	for range r.IntN(3) {
		images = append(images, Image{ID: 1<<40 + int64(len(images)), Width: 10, Height: 10, FileName: "empty.jpg"})
	}
	return images, detections
}

// TestStrangeCasesAgreeWithPycocotools reads what other tools write, and judges
// what no detector should find.
func TestStrangeCasesAgreeWithPycocotools(t *testing.T) {
	interpreter := python(t)
	const seeds = 200
	var cases []string
	root := t.TempDir()
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 3))
		images, categories, objects, detections := randomCase(r)
		if len(detections) == 0 {
			detections = []Detection{{images[0].ID, categories[0].ID, Box{1, 2, 3, 4}, 0.5}}
		}
		images, detections = strange(r, images, objects, detections)
		if r.IntN(10) == 0 {
			objects = nil
		}
		dir, f := filepath.Join(root, fmt.Sprintf("seed%d", seed)), forms{r}
		writeFile(t, filepath.Join(dir, "gt.json"), []byte(f.annotations(images, categories, objects)))
		writeFile(t, filepath.Join(dir, "dt.json"), []byte(f.results(detections)))
		cases = append(cases, dir, dir+"?agnostic")
	}
	agree(t, interpreter, cases)
}

// The sibling that always runs: every form is read as what it means.
func TestFormsOfTheSameSet(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 4))
		images, categories, objects, detections := randomCase(r)
		f := forms{r}
		set, err := ReadAnnotations(strings.NewReader(f.annotations(images, categories, objects)), "gt.json", Policy{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadResults(strings.NewReader(f.results(detections)), "dt.json", set, Policy{})
		if err != nil {
			t.Fatal(err)
		}
		want := evaluate(t, images, categories, objects, detections)
		if s := Evaluate(got).Summary(); s != want {
			t.Errorf("seed %d: %+v, want %+v", seed, s, want)
		}
		one := make([]Category, 1)
		sameObjects, sameDetections := append([]Object(nil), objects...), append([]Detection(nil), detections...)
		if len(categories) == 1 { // then the categories make no difference
			for i := range sameObjects {
				sameObjects[i].CategoryID = 0
			}
			for i := range sameDetections {
				sameDetections[i].CategoryID = 0
			}
			want = evaluate(t, images, one, sameObjects, sameDetections)
			if s := Evaluate(ClassAgnostic(got)).Summary(); s != want {
				t.Errorf("seed %d, categories as one: %+v, want %+v", seed, s, want)
			}
		}
	}
	for text, what := range map[string]string{"4.5": "id is a number 4.5", `"four"`: "id is a string", "[4]": "id is a array", "1e30": "id is a number 1e30", "true": "id is a bool", "{}": "id is a object"} {
		if _, err := readSet(faulty(`"id":4`, `"id":`+text), Policy{}); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("an id of %s: %v, want %q", text, err, what)
		}
	}
}
