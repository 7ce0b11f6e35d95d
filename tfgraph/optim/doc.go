// Package optim updates variables from gradients: momentum, RMSProp, Adam;
// weight decay, clipping, moving averages; and learning-rate schedules.
//
//	gradients ─► Decay ─► Clip ─► Rule.Apply(rate) ─► slots and variables
//
// Schedules are plain Go functions of the step. The loop computes them and
// feeds the result, so one formula is tested, logged and plotted.
//
// Caveat: RMSProp is TF1's, with epsilon inside the root and mean squares that
// start at one. With the paper's epsilon of 1.0 both matter.
package optim
