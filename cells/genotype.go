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

// Operations of other published cells.
const (
	Max2x2          Op = "max2x2"                 // AmoebaNet
	Conv3x3Narrow   Op = "conv3x3_bottleneck"     // AmoebaNet: 1x1 to a quarter of the filters, 3x3, 1x1 back
	Conv1x7Narrow   Op = "conv1x7_7x1_bottleneck" // AmoebaNet: the same around 1x7, then 7x1
	Skip            Op = "skip"                   // DARTS: identity; a factorised reduction where it strides
	DilSeparable3x3 Op = "dilsep3x3"              // DARTS: depthwise-separable with dilation 2, once
	DilSeparable5x5 Op = "dilsep5x5"
)

// Ops are all operations that a genotype may name.
func Ops() []Op {
	return append(NASNetOps(), Max2x2, Conv3x3Narrow, Conv1x7Narrow, Skip, DilSeparable3x3, DilSeparable5x5)
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

// Cell is a list of blocks and what leaves it: the states in Concat as one
// output, or, as in NASNet-B, the states in Outputs one by one, the first to the
// next cell, the second to the one after it, and so on.
type Cell struct {
	Blocks  []Block
	Concat  []int
	Outputs []int // instead of Concat: one for each input of the genotype
}

// leaving are the states that leave the cell, in either way.
func (c Cell) leaving() []int {
	if len(c.Outputs) > 0 {
		return c.Outputs
	}
	return c.Concat
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
