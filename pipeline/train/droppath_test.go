package train_test

import (
	"encoding/csv"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/nasnet-go/nasnet/internal/reftest"
	"github.com/nasnet-go/nasnet/pipeline/train"
)

// Every row of slim's table of keep probabilities.
func TestDropPathAgainstSlim(t *testing.T) {
	f, err := os.Open(reftest.Shared(t, "golden", "slim", "droppath.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, row := range rows[1:] {
		num := func(name string) float64 {
			x, err := strconv.ParseFloat(row[column[name]], 64)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		d := train.DropPath{
			Keep: num("drop_path_keep_prob"), Version: row[column["version"]],
			Cells: int(num("total_num_cells")), Steps: int64(num("total_training_steps")),
		}
		got := d.At(int64(num("step")))[int(num("cell_num"))]
		if math.Abs(float64(got)-num("keep_prob")) > 1e-6 {
			t.Errorf("%v: keep probability %g", row, got)
		}
	}
}

// The last cell ends at the configured probability, the first keeps nearly all;
// slim's CIFAR network has 20 cells (reference nasnet.md section 4).
func TestDropPathEndsWhereThePaperSays(t *testing.T) {
	d := train.DropPath{Keep: 0.6, Cells: 20, Steps: 1000}
	for step, want := range map[int64][2]float64{0: {1, 1}, 500: {0.99, 0.8}, 1000: {0.98, 0.6}, 2000: {0.98, 0.6}} {
		keep := d.At(step)
		if got := [2]float64{float64(keep[0]), float64(keep[19])}; math.Abs(got[0]-want[0])+math.Abs(got[1]-want[1]) > 1e-6 {
			t.Errorf("step %d: %v, want %v", step, got, want)
		}
	}
}
