package cells

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// zooFiles are the published cells, a genotype file each. NASNet-B and -C are
// not among them: their block lists were published as figures only (reference
// nasnet.md section 2).
//
//go:embed zoo/*.yaml
var zooFiles embed.FS

// NASNetA is the cell pair of the paper's figure 4 as slim released it,
// concatenation flags included (slim nasnet_utils.py).
func NASNetA() Genotype {
	g, err := Lookup("nasnet-a")
	if err != nil {
		panic(err) // a file of this package, which its tests read
	}
	return g
}

// Names lists the built-in genotypes, sorted.
func Names() []string {
	files, err := zooFiles.ReadDir("zoo")
	if err != nil {
		panic(err) // the directory is part of the program
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(f.Name(), ".yaml")
	}
	return names
}

// Lookup returns a built-in genotype.
func Lookup(name string) (Genotype, error) {
	name = strings.ToLower(name)
	if !slices.Contains(Names(), name) {
		if name == "nasnet-b" || name == "nasnet-c" {
			return Genotype{}, fmt.Errorf("cells: the blocks of %s were published as a figure only and are not shipped; a genotype file can hold them (inputs: 4 and outputs for B, add_layer_norm and add_instance_norm for both)", name)
		}
		return Genotype{}, fmt.Errorf("cells: no built-in cell %q; there are %s, or give a genotype file", name, strings.Join(Names(), ", "))
	}
	text, err := zooFiles.ReadFile("zoo/" + name + ".yaml")
	if err != nil {
		return Genotype{}, fmt.Errorf("cells: %w", err)
	}
	g, err := Parse(text)
	if err != nil {
		return Genotype{}, fmt.Errorf("cells: built-in cell %s: %w", name, err)
	}
	return g, nil
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
