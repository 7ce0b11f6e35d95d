package main

import (
	"fmt"
	"math"

	"github.com/nasnet-go/nasnet/cells/model"
	"github.com/nasnet-go/nasnet/cells/network"
	"github.com/nasnet-go/nasnet/internal/engine/api"
	"github.com/nasnet-go/nasnet/pipeline/train"
	"github.com/nasnet-go/nasnet/tfgraph"
	"github.com/nasnet-go/nasnet/tfgraph/nn"
	"github.com/nasnet-go/nasnet/tfgraph/optim"
)

// trainingPlan plans a network as the recipe trains it: an auxiliary head whose
// loss has no weight would get no gradient and is left out.
func trainingPlan(m model.Model, t api.Training) (*model.Plan, error) {
	m.AuxHead = m.AuxHead && t.AuxWeight > 0
	return model.Build(m)
}

// tower builds the planned network in training, with its auxiliary head; plain
// is network.Options'.
func tower(plan *model.Plan, t api.Training, plain bool) train.Build {
	return func(s *tfgraph.Scope, st *tfgraph.Store, in train.Inputs) train.Tower {
		ls := s.Sub("loss")
		targets := nn.Targets(ls, in.Labels, int32(plan.Model.Classes), float32(t.LabelSmoothing))
		if t.Mixup > 0 {
			in.Images, targets = nn.Mixup(s.Sub("mixup"), in.Images, targets, in.Noise, float32(t.Mixup))
		}
		if t.CutMix > 0 {
			in.Images, targets = nn.CutMix(s.Sub("cutmix"), in.Images, targets, in.Noise, float32(t.CutMix))
		}
		out := network.Build(s, st, plan, in.Images, network.Options{Training: true, Keep: in.Keep, Noise: in.Noise, Plain: plain})
		ce := nn.CrossEntropy(ls, out.Logits, targets)
		loss, parts := ce, map[string]tfgraph.Tensor{"loss_ce": ce}
		if out.AuxLogits.Valid() {
			parts["loss_aux"] = tfgraph.Scale(ls, nn.CrossEntropy(ls.Sub("aux"), out.AuxLogits, targets), float32(t.AuxWeight))
			loss = tfgraph.Add(ls, ce, parts["loss_aux"])
		}
		return train.Tower{Loss: loss, Parts: parts, Accuracy: nn.Accuracy(ls, out.Logits, in.Labels), Updates: out.Updates, Decayed: out.Decayed}
	}
}

// trainOptions translates a recipe for a data set of n images.
func trainOptions(plan *model.Plan, t api.Training, n int64, seed int64, th api.Threads) (train.Options, error) {
	steps := t.Steps
	if steps == 0 {
		steps = int64(math.Ceil(t.Epochs * float64(n) / float64(max(1, t.Batch))))
	}
	rule, err := rule(t.Optimizer)
	if err != nil {
		return train.Options{}, err
	}
	rate, err := schedule(t.Schedule, steps, float64(n)/float64(max(1, t.Batch)))
	if err != nil {
		return train.Options{}, err
	}
	session := sessionOptions(th)
	session.XLA = false // the step is one compiled function instead
	return train.Options{
		XLA: th.XLA, Batch: t.Batch, Steps: steps, Epoch: n, Rule: rule, Rate: rate,
		WeightDecay: float32(t.WeightDecay), ClipNorm: float32(t.ClipNorm), EMA: float32(t.EMA),
		DropPath: train.DropPath{Keep: plan.Model.DropPathKeep, Version: t.DropPathVersion, Cells: plan.TotalCells, Steps: steps},
		Seed:     seed, CheckpointSteps: t.CheckpointSteps, KeepCheckpoints: t.KeepCheckpoints, ReportSteps: t.ReportSteps,
		Session: session,
	}, nil
}

func rule(o api.Optimizer) (optim.Rule, error) {
	beta1, beta2, epsilon := float32(o.Beta1), float32(o.Beta2), float32(o.Epsilon)
	switch o.Name {
	case "momentum", "":
		return optim.Momentum{Momentum: float32(o.Momentum), Nesterov: o.Nesterov}, nil
	case "sgd":
		return optim.SGD{}, nil
	case "rmsprop":
		return optim.RMSProp{Decay: float32(o.Decay), Momentum: float32(o.Momentum), Epsilon: epsilon}, nil
	case "adam":
		return optim.Adam{Beta1: beta1, Beta2: beta2, Epsilon: epsilon}, nil
	case "adamw":
		return optim.AdamW{Beta1: beta1, Beta2: beta2, Epsilon: epsilon}, nil
	case "lamb":
		return optim.LAMB{Beta1: beta1, Beta2: beta2, Epsilon: epsilon}, nil
	}
	return nil, fmt.Errorf("unknown optimizer %q; want momentum, sgd, rmsprop, adam, adamw or lamb", o.Name)
}

func schedule(c api.Schedule, steps int64, stepsAnEpoch float64) (optim.Schedule, error) {
	var s optim.Schedule
	switch c.Name {
	case "cosine", "":
		s = optim.Cosine(c.Rate, steps, 0)
	case "constant":
		s = optim.Constant(c.Rate)
	case "exponential":
		s = optim.Exponential(c.Rate, max(1, int64(c.DecayEpochs*stepsAnEpoch)), c.DecayRate, true)
	case "steps":
		at := make([]int64, len(c.Boundaries))
		for i, epochs := range c.Boundaries {
			at[i] = int64(epochs * stepsAnEpoch)
		}
		for _, step := range c.AtSteps {
			at = append(at, int64(step))
		}
		s = optim.Steps(c.Rate, at, c.Factor)
	default:
		return nil, fmt.Errorf("unknown learning rate schedule %q; want cosine, exponential, steps or constant", c.Name)
	}
	if c.WarmupSteps > 0 {
		s = optim.Warmup(c.WarmupSteps, s)
	}
	return s, nil
}
