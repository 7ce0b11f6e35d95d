package cells

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// zooFiles are the published cells, a genotype file each. NASNet-B and -C are
// not among them: their block lists were published as figures only (reference
// nasnet.md section 2).
//
//go:embed zoo/*.yaml
var zooFiles embed.FS

// zooOf reads a built-in file once.
var zooOf = sync.OnceValues(func() (map[string]Genotype, error) {
	files, err := zooFiles.ReadDir("zoo")
	if err != nil {
		return nil, err
	}
	zoo := make(map[string]Genotype, len(files))
	for _, f := range files {
		text, err := zooFiles.ReadFile("zoo/" + f.Name())
		if err != nil {
			return nil, err
		}
		g, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("built-in cell %s: %w", f.Name(), err)
		}
		zoo[strings.TrimSuffix(f.Name(), ".yaml")] = g
	}
	return zoo, nil
})

// NASNetA is the cell pair of the paper's figure 4 as slim released it,
// concatenation flags included (slim nasnet_utils.py).
func NASNetA() Genotype {
	g, err := Lookup("nasnet-a")
	if err != nil {
		panic(err) // a file of this package, which its tests read
	}
	return g
}

// Names lists the built-in genotypes.
func Names() []string {
	zoo, _ := zooOf() // an error is Lookup's to tell
	names := make([]string, 0, len(zoo))
	for n := range zoo {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Lookup returns a built-in genotype.
func Lookup(name string) (Genotype, error) {
	zoo, err := zooOf()
	if err != nil {
		return Genotype{}, fmt.Errorf("cells: %w", err)
	}
	g, ok := zoo[strings.ToLower(name)]
	switch {
	case ok:
		return g.clone(), nil
	case slices.Contains([]string{"nasnet-b", "nasnet-c"}, strings.ToLower(name)):
		return Genotype{}, fmt.Errorf("cells: the blocks of %s were published as a figure only and are not shipped; a genotype file can hold them (inputs: 4 and outputs for B, add_layer_norm and add_instance_norm for both)", name)
	}
	return Genotype{}, fmt.Errorf("cells: no built-in cell %q; there are %s, or give a genotype file", name, strings.Join(Names(), ", "))
}

// Load returns a built-in genotype, or reads a genotype file; a relative path is
// below dir.
func Load(name, dir string) (Genotype, error) {
	g, notBuiltIn := Lookup(name)
	if notBuiltIn == nil {
		return g, nil
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, name)
	}
	text, err := os.ReadFile(path)
	switch {
	case err != nil && filepath.Ext(name) == "":
		return Genotype{}, notBuiltIn
	case err != nil:
		return Genotype{}, fmt.Errorf("there is neither a built-in cell nor a readable file %q; built in are %s", path, strings.Join(Names(), ", "))
	}
	if g, err = Parse(text); err != nil {
		return Genotype{}, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}
