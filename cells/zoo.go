package cells

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// NASNetA is the cell pair of the paper's figure 4 as slim released it,
// concatenation flags included (slim nasnet_utils.py).
func NASNetA() Genotype {
	return Genotype{
		Name:   "nasnet-a",
		Source: "arXiv 1707.07012; tensorflow/models research/slim/nets/nasnet/nasnet_utils.py",
		Normal: Cell{
			Blocks: []Block{
				{Left: Branch{0, Sep5x5}, Right: Branch{1, Sep3x3}, Combine: Add},
				{Left: Branch{1, Sep5x5}, Right: Branch{1, Sep3x3}, Combine: Add},
				{Left: Branch{0, Avg3x3}, Right: Branch{1, Identity}, Combine: Add},
				{Left: Branch{1, Avg3x3}, Right: Branch{1, Avg3x3}, Combine: Add},
				{Left: Branch{0, Sep3x3}, Right: Branch{0, Identity}, Combine: Add},
			},
			Concat: []int{1, 2, 3, 4, 5, 6},
		},
		Reduction: Cell{
			Blocks: []Block{
				{Left: Branch{0, Sep5x5}, Right: Branch{1, Sep7x7}, Combine: Add},
				{Left: Branch{0, Max3x3}, Right: Branch{1, Sep7x7}, Combine: Add},
				{Left: Branch{0, Avg3x3}, Right: Branch{1, Sep5x5}, Combine: Add},
				{Left: Branch{3, Identity}, Right: Branch{2, Avg3x3}, Combine: Add},
				{Left: Branch{2, Sep3x3}, Right: Branch{0, Max3x3}, Combine: Add},
			},
			Concat: []int{3, 4, 5, 6},
		},
	}
}

// zoo holds the published cells by name.
var zoo = map[string]func() Genotype{
	"nasnet-a": NASNetA,
}

// Names lists the built-in genotypes.
func Names() []string {
	names := make([]string, 0, len(zoo))
	for n := range zoo {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Load returns a built-in genotype, or reads a genotype file; a relative path is
// below dir.
func Load(name, dir string) (Genotype, error) {
	if slices.Contains(Names(), name) {
		return Lookup(name)
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, name)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Genotype{}, fmt.Errorf("there is neither a built-in cell nor a readable file %q; built in are %s", path, strings.Join(Names(), ", "))
	}
	g, err := Parse(text)
	if err != nil {
		return Genotype{}, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

// Lookup returns a built-in genotype.
func Lookup(name string) (Genotype, error) {
	f, ok := zoo[strings.ToLower(name)]
	if !ok {
		return Genotype{}, fmt.Errorf("cells: no built-in cell %q; there are %s, or give a genotype file", name, strings.Join(Names(), ", "))
	}
	return f(), nil
}
