package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
)

// Digest identifies what a search sampled and found: the SHA-256 over its
// trials in the given order. It covers what does not depend on time, workers,
// attempts or on which of two equal cells was trained.
func Digest(trials []*Trial) string {
	h := sha256.New()
	for _, t := range trials {
		reward := uint64(0)
		if t.State == Done {
			reward = math.Float64bits(t.Reward)
		}
		fmt.Fprintf(h, "%s|%d|%v|%q|%s|%016x|%s\n", t.Arm, t.Index, t.Choices, t.Genotype, t.State, reward, t.Cause)
	}
	return hex.EncodeToString(h.Sum(nil))
}
