package network_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
)

// The training graph of NASNet-A large with all gradients: time and growth of
// the resident memory.
//
//	go test ./cells/network -run xxx -bench BuildLarge -benchtime 10x
func BenchmarkBuildLargeWithGradients(b *testing.B) {
	m, err := model.Preset("nasnet-a-large")
	if err != nil {
		b.Fatal(err)
	}
	m.DropPathKeep, m.DropoutKeep = 1, 1
	before, nodes := resident(b), 0
	var keep []*tfgraph.Graph // graphs are freed by finalizers, at times of their own
	for b.Loop() {
		p, err := model.Build(m)
		if err != nil {
			b.Fatal(err)
		}
		g := tfgraph.New()
		s, st := g.Root(), tfgraph.NewStore(1)
		images := tfgraph.Placeholder(s, "images", tfgraph.Float32, tfgraph.Shape{8, 331, 331, 3})
		labels := tfgraph.Placeholder(s, "labels", tfgraph.Int64, tfgraph.Shape{8})
		out := network.Build(s, st, p, images, network.Options{Training: true})
		targets := nn.Targets(s, labels, 1000, 0.1)
		loss := tfgraph.Add(s, nn.CrossEntropy(s, out.Logits, targets), tfgraph.Scale(s, nn.CrossEntropy(s, out.AuxLogits, targets), 0.4))
		var weights []tfgraph.Tensor
		for _, v := range st.Trainable() {
			weights = append(weights, v.Read)
		}
		tfgraph.Gradients(s, []tfgraph.Tensor{loss}, weights)
		if g.Err() != nil {
			b.Fatal(g.Err())
		}
		nodes = g.NodeCount()
		keep = append(keep, g)
	}
	b.ReportMetric(float64(resident(b)-before)/float64(len(keep))/(1<<20), "MiB/graph")
	b.ReportMetric(float64(nodes), "nodes")
}

// resident is the process's resident memory in bytes.
func resident(tb testing.TB) int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		tb.Skip("no /proc here")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
