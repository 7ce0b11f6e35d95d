package weights

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/nasnet-go/nasnet/cells"
	"github.com/nasnet-go/nasnet/cells/model"
)

// Npz maps the arrays of an .npz: those of a Keras NASNet, named layer/weight
// (docs/weights.md has the five lines that write it), or our own, which have
// the names of our checkpoints.
func Npz(p *model.Plan, entries []Entry, o Options) (Mapping, error) {
	for _, e := range entries {
		if strings.HasPrefix(e.Name, "stem_conv1/") {
			return Keras(p, entries, o)
		}
		if strings.HasPrefix(e.Name, "arr_") {
			return Mapping{}, fmt.Errorf("weights: the arrays have no names (%s); write them as NAME/WEIGHT, with the five lines of docs/weights.md", e.Name)
		}
	}
	return Slim(p, entries, o)
}

// Keras maps the weights of keras.applications' NASNets, which have neither an
// auxiliary head nor a background class.
func Keras(p *model.Plan, entries []Entry, o Options) (Mapping, error) {
	if p.Model.Cell.Hash() != cells.NASNetA().Hash() || p.Model.Style != model.ImageNetStyle {
		return Mapping{}, fmt.Errorf("weights: Keras has NASNet-A for ImageNet only; the model has cell %q and style %s", p.Model.Cell.Name, p.Model.Style)
	}
	m := p.Model
	m.AuxHead = false
	p, err := model.Build(m)
	if err != nil {
		return Mapping{}, err
	}
	original := map[string]string{} // names that stand in the file, by clean ones
	named := make([]Entry, len(entries))
	for i, e := range entries {
		named[i] = Entry{clean(e.Name), e.Shape}
		original[named[i].Name] = e.Name
	}
	match := newMatcher(p, named, o)
	for _, v := range p.Variables() {
		match.take(v, KerasName(v.Name, m.NormalCells/3))
	}
	mapping, err := match.result(func(string) bool { return false })
	for name, s := range mapping.Sources {
		s.Name = original[s.Name]
		mapping.Sources[name] = s
	}
	return mapping, err
}

// clean brings a name of Keras 2, layer/layer/kernel:0, to layer/kernel.
func clean(name string) string {
	name = strings.TrimSuffix(name, ":0")
	parts := strings.Split(name, "/")
	if len(parts) < 2 {
		return name
	}
	return parts[0] + "/" + parts[len(parts)-1]
}

// kerasOutside are the variables that are in no cell.
var kerasOutside = map[string]string{
	"conv0": "stem_conv1", "conv0_bn": "stem_bn1", "final_layer/FC": "predictions",
}

// kerasInside are those of a cell that are in no block; %s is normal or
// reduction.
var kerasInside = map[string]string{
	"1x1": "%s_conv_1", "beginning_bn": "%s_bn_1", "prev_1x1": "adjust_conv_projection", "prev_bn": "adjust_bn",
	"path1_conv": "adjust_conv_1", "path2_conv": "adjust_conv_2", "final_path_bn": "adjust_bn",
}

var kerasWeight = map[string]string{
	"weights": "kernel", "biases": "bias", "depthwise_weights": "depthwise_kernel", "pointwise_weights": "pointwise_kernel",
}

var separable = regexp.MustCompile(`^comb_iter_(\d)/(left|right)/(bn_sep|separable)_\dx\d_(\d)$`)

// KerasName is the name, layer/weight, under which keras.applications.nasnet
// has a variable of NASNet-A with n normal cells a stack. It is "" for one that
// Keras lacks.
func KerasName(variable string, n int) string {
	at := strings.LastIndexByte(variable, '/')
	layer, weight := variable[:at], variable[at+1:]
	if w, ok := kerasWeight[weight]; ok {
		weight = w
	}
	if outside, ok := kerasOutside[layer]; ok {
		return outside + "/" + weight
	}
	cell, inside, _ := strings.Cut(layer, "/")
	kind, id := kerasCell(cell, n)
	if form, ok := kerasInside[inside]; ok {
		if strings.Contains(form, "%s") {
			form = fmt.Sprintf(form, kind)
		}
		return form + "_" + id + "/" + weight
	}
	parts := separable.FindStringSubmatch(inside)
	if parts == nil {
		return ""
	}
	block := int(parts[1][0]-'0') + 1
	if kind == "reduction" && block == 5 {
		block = 4 // Keras numbers it so (reference nasnet.md section 8)
	}
	norm := ""
	if parts[3] == "bn_sep" {
		norm = "bn_"
	}
	return fmt.Sprintf("separable_conv_%s_%s%s_%s%d_%s/%s", parts[4], norm, kind, parts[2], block, id, weight)
}

// kerasCell is the kind and the block id of slim's cell.
func kerasCell(cell string, n int) (kind, id string) {
	number := func(prefix string) int {
		i, err := strconv.Atoi(strings.TrimPrefix(cell, prefix))
		if err != nil {
			return -1
		}
		return i
	}
	switch {
	case strings.HasPrefix(cell, "cell_stem_"):
		return "reduction", fmt.Sprintf("stem_%d", number("cell_stem_")+1)
	case strings.HasPrefix(cell, "reduction_cell_"):
		return "reduction", fmt.Sprintf("reduce_%d", n*(number("reduction_cell_")+1))
	}
	i := number("cell_")
	if i >= n { // Keras counts on behind the first reduction
		i++
	}
	return "normal", strconv.Itoa(i)
}
