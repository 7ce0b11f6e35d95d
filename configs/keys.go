package configs

import (
	"reflect"
	"slices"
	"strings"
)

// key is one leaf of the configuration.
type key struct {
	path string // train.learning_rate
	kind reflect.Type
	free bool // may differ when a run goes on
}

// sections that a plain string may stand for: `model: nasnet-a-mobile`.
var named = []string{"model", "search.space", "search.policy", "train.optimizer", "train.schedule"}

// keys lists all leaves, in the order of the file.
func keys() []key { return leaves(reflect.TypeFor[Config](), "", nil) }

func leaves(t reflect.Type, prefix string, list []key) []key {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		path := prefix + name
		kind := f.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		if kind.Kind() == reflect.Struct {
			list = leaves(kind, path+".", list)
			continue
		}
		list = append(list, key{path, kind, f.Tag.Get("change") == "free"})
	}
	return list
}

// Keys lists the paths of all keys.
func Keys() []string {
	var paths []string
	for _, k := range keys() {
		paths = append(paths, k.path)
	}
	return paths
}

// EnvName is the environment variable that sets a key: NASNET_TRAIN_BATCH for
// train.batch.
func EnvName(path string) string {
	return "NASNET_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// lookup finds a leaf by its path; section tells whether the path is one of
// the groups of keys instead.
func lookup(path string) (k key, leaf, section bool) {
	for _, k := range keys() {
		if k.path == path {
			return k, true, false
		}
		section = section || strings.HasPrefix(k.path, path+".")
	}
	return key{}, false, section
}

// expand turns a section that a string stands for into its name's path.
func expand(path string) string {
	if slices.Contains(named, path) {
		return path + ".name"
	}
	return path
}

// suggest names the existing key that a mistyped one was probably meant to be,
// as a part of a sentence; "" if none is near.
func suggest(path string) string {
	best, distance := "", len(path)/2+1
	last := path[strings.LastIndex(path, ".")+1:]
	for _, k := range keys() {
		d := editDistance(path, k.path)
		if strings.HasSuffix("."+k.path, "."+last) {
			d = 1 // the right name in the wrong section
		}
		if d < distance {
			best, distance = k.path, d
		}
	}
	if best == "" || distance > 4 {
		return ""
	}
	return "; did you mean " + best + "?"
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
