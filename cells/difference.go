package cells

// Difference tells two cells apart by what their states compute, not by their
// numbers: two states are the same if they are made of the same operations on
// the same inputs.
type Difference struct {
	OnlyA, OnlyB []int // blocks without a counterpart, by place
	ConcatOnlyA  []int // states that leave one cell, and none like them the other
	ConcatOnlyB  []int
	Blocks       int // of a, that have a counterpart
}

// Same reports cells that compute the same.
func (d Difference) Same() bool {
	return len(d.OnlyA)+len(d.OnlyB)+len(d.ConcatOnlyA)+len(d.ConcatOnlyB) == 0
}

// Differences compares two cells of the same number of inputs.
func Differences(a, b Cell, inputs int) Difference {
	ea, eb := a.expressions(inputs), b.expressions(inputs)
	var d Difference
	d.OnlyA = without(ea[inputs:], eb[inputs:])
	d.OnlyB = without(eb[inputs:], ea[inputs:])
	d.Blocks = len(a.Blocks) - len(d.OnlyA)
	pick := func(expr []string, states []int) []string {
		list := make([]string, len(states))
		for i, s := range states {
			list[i] = expr[s]
		}
		return list
	}
	outA, outB := pick(ea, a.leaving()), pick(eb, b.leaving())
	for _, i := range without(outA, outB) {
		d.ConcatOnlyA = append(d.ConcatOnlyA, a.leaving()[i])
	}
	for _, i := range without(outB, outA) {
		d.ConcatOnlyB = append(d.ConcatOnlyB, b.leaving()[i])
	}
	return d
}

// without lists the places in a that have no counterpart in b, one for one.
func without(a, b []string) []int {
	left := map[string]int{}
	for _, x := range b {
		left[x]++
	}
	var places []int
	for i, x := range a {
		if left[x] == 0 {
			places = append(places, i)
			continue
		}
		left[x]--
	}
	return places
}
