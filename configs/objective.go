package configs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Costs are what an objective may name.
var costs = []string{"params", "macs", LatencyCost}

// LatencyCost is the cost that must be measured.
const LatencyCost = "latency_ms"

// Parse reads the penalties.
func (o Objective) Parse() ([]Penalty, error) {
	var list []Penalty
	for _, text := range o.Penalties {
		cost, rest, ok := strings.Cut(text, ">")
		target, weight, ok2 := strings.Cut(rest, ":")
		p := Penalty{Cost: strings.TrimSpace(cost)}
		var err, err2 error
		p.Target, err = strconv.ParseFloat(strings.TrimSpace(target), 64)
		p.Weight, err2 = strconv.ParseFloat(strings.TrimSpace(weight), 64)
		if !ok || !ok2 || err != nil || err2 != nil || !(p.Target > 0) || !(p.Weight > 0) || !slices.Contains(costs, p.Cost) {
			return nil, fmt.Errorf("%q; want COST>TARGET:WEIGHT, a cost of %s, and numbers above 0", text, strings.Join(costs, ", "))
		}
		list = append(list, p)
	}
	return list, nil
}

// Latency reports whether children must be timed.
func (o Objective) Latency() bool {
	list, _ := o.Parse()
	return slices.Contains(o.Front, LatencyCost) || slices.ContainsFunc(list, func(p Penalty) bool { return p.Cost == LatencyCost })
}
