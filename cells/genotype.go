package cells

// Op names one operation of a block.
type Op string

// The thirteen operations of the NASNet search space (paper, section 3).
const (
	Identity    Op = "identity"
	Conv1x3_3x1 Op = "conv1x3_3x1" // 1x3, then 3x1
	Conv1x7_7x1 Op = "conv1x7_7x1" // 1x7, then 7x1
	Dil3x3      Op = "dil3x3"      // 3x3 with dilation 2
	Avg3x3      Op = "avg3x3"
	Max3x3      Op = "max3x3"
	Max5x5      Op = "max5x5"
	Max7x7      Op = "max7x7"
	Conv1x1     Op = "conv1x1"
	Conv3x3     Op = "conv3x3"
	Sep3x3      Op = "sep3x3" // depthwise-separable, applied twice
	Sep5x5      Op = "sep5x5"
	Sep7x7      Op = "sep7x7"
)

// NASNetOps are the operations of the paper's space, in its order.
func NASNetOps() []Op {
	return []Op{Identity, Conv1x3_3x1, Conv1x7_7x1, Dil3x3, Avg3x3, Max3x3, Max5x5, Max7x7, Conv1x1, Conv3x3, Sep3x3, Sep5x5, Sep7x7}
}

// Combine names how a block joins its two branches.
type Combine string

// Ways to combine; an empty one counts as Add. The norms are NASNet-B's and -C's.
const (
	Add             Combine = "add"
	Concat          Combine = "concat"
	AddLayerNorm    Combine = "add_layer_norm"
	AddInstanceNorm Combine = "add_instance_norm"
)

// Branch is one operation on one state. From counts the cell's inputs first
// (0 = current, 1 = previous), then the blocks.
type Branch struct {
	From int
	Op   Op
}

// Block joins two branches.
type Block struct {
	Left, Right Branch
	Combine     Combine
}

// Cell is a list of blocks and the states that are concatenated to its output.
type Cell struct {
	Blocks []Block
	Concat []int
}

// Genotype is the architecture that a search finds: a normal cell and the cell
// that halves the map.
type Genotype struct {
	Name   string
	Source string // where it was published or found
	Inputs int    // states that a cell receives; 0 means 2
	Normal Cell
	// Reduction is used with stride 2 on the cell's inputs. A one-cell
	// genotype has it equal to Normal.
	Reduction Cell
}

// States returns how many inputs a cell receives, 2 unless said otherwise.
func (g Genotype) States() int {
	if g.Inputs == 0 {
		return 2
	}
	return g.Inputs
}
