// Package optim updates variables from gradients: SGD, momentum, RMSProp, Adam,
// AdamW, LAMB; weight decay, clipping, moving averages; learning-rate schedules.
//
//	gradients ─► Decay ─► Norms ─► Clip ─► Rule.Apply(rate) ─► slots and variables ─► Averages
//
// Schedules are plain Go functions of the step. The loop computes them and
// feeds the result, so one formula is tested, logged and plotted.
//
// Caveat: RMSProp is TF1's, with epsilon inside the root and mean squares that
// start at one. With the paper's epsilon of 1.0 both matter.
package optim
