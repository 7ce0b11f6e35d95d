package table

import (
	"fmt"
	"slices"
	"strings"
)

// separators stand between the decisions of a spelling: NAS-Bench-201's bars and
// pluses, lists, paths.
const separators = "|+,;/: \t()[]{}<>"

// maxWord is the length up to which a word of digits may be a code, one digit a
// decision.
const maxWord = 64

// decisions reads off what there is to decide in spellings of networks. A
// spelling is split into words; words of digits of several kinds and equal
// meaning (codes such as 22212202) are split into digits. A place where all
// spellings agree decides nothing. It returns the choices of each spelling and
// the number of choices of each decision.
func decisions(texts []string) (codes [][]int, sizes []int, err error) {
	words := make([][]string, len(texts))
	for i, text := range texts {
		words[i] = strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(separators, r) })
	}
	if sameLength(words) && len(words[0]) == 1 { // one word: perhaps a finer separator
		for _, sep := range []string{"-", "_"} {
			finer := make([][]string, len(texts))
			for i := range words {
				finer[i] = strings.Split(words[i][0], sep)
			}
			if sameLength(finer) && len(finer[0]) > 1 {
				words = finer
				break
			}
		}
	}
	for i := range words {
		if len(words[i]) != len(words[0]) || len(words[i]) == 0 {
			return nil, nil, fmt.Errorf("network %q has %d parts, %q has %d", texts[i], len(words[i]), texts[0], len(words[0]))
		}
	}
	var places [][]string // [place][network]
	for p := range words[0] {
		column := make([]string, len(words))
		for i := range words {
			column[i] = words[i][p]
		}
		places = append(places, split(column)...)
	}
	codes = make([][]int, len(texts))
	for _, column := range places {
		choices := distinct(column)
		if len(choices) == 1 {
			continue
		}
		sizes = append(sizes, len(choices))
		for i, word := range column {
			at, _ := slices.BinarySearch(choices, word)
			codes[i] = append(codes[i], at)
		}
	}
	if len(sizes) == 0 {
		return nil, nil, fmt.Errorf("all networks are spelled alike")
	}
	return codes, sizes, nil
}

func sameLength(words [][]string) bool {
	for _, w := range words {
		if len(w) != len(words[0]) {
			return false
		}
	}
	return true
}

func distinct(column []string) []string {
	list := slices.Clone(column)
	slices.Sort(list)
	return slices.Compact(list)
}

// split divides a column of codes into a column a digit; shorter codes lack
// their last digits. Underscores within codes are left out.
func split(column []string) [][]string {
	longest, kinds := 0, distinct(column)
	for _, word := range kinds {
		if strings.Trim(word, "0123456789_") != "" || word == "" || len(word) > maxWord {
			return [][]string{column}
		}
		longest = max(longest, len(word))
	}
	if longest == 1 || len(kinds) <= 16 { // a few numbers, such as widths, are choices themselves
		return [][]string{column}
	}
	out := make([][]string, longest)
	for d := range out {
		out[d] = make([]string, len(column))
		for i, word := range column {
			if d < len(word) {
				out[d][i] = word[d : d+1]
			}
		}
	}
	return out
}
