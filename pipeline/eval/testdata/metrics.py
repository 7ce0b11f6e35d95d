"""Metrics of random predictions by scikit-learn, statsmodels and numpy.

Reads {"logits", "labels", "other", "real", "bins"} from a file and prints the
figures that package eval is compared with, as JSON.
"""
import json
import sys

import numpy as np
from scipy.special import log_softmax
from sklearn import metrics
from sklearn.calibration import calibration_curve
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

d = json.load(open(sys.argv[1]))
x, y, bins = np.float64(np.float32(d["logits"])), np.array(d["labels"]), d["bins"]
k, n = x.shape[1], len(y)
logp = log_softmax(x, axis=1)
p, pred = np.exp(logp), x.argmax(axis=1)
right = pred == y
wilson = lambda a, b: list(map(float, proportion_confint(a, b, 0.05, "wilson")))

top5 = metrics.top_k_accuracy_score(y, x, k=5, labels=range(k)) if k > 5 else 1.0
confusion = metrics.confusion_matrix(y, pred, labels=range(k))
images, predicted = confusion.sum(1), confusion.sum(0)
recall = metrics.recall_score(y, pred, labels=range(k), average=None, zero_division=0)
precision = metrics.precision_score(y, pred, labels=range(k), average=None, zero_division=0)

# The 95 % interval of the mean recall: Wilson's limits, variance recovery.
some = images > 0
limits = np.array([wilson(r, m) for r, m in zip(confusion.diagonal()[some], images[some])])
mean = recall[some].mean()
ci = [mean - np.sqrt(((recall[some] - limits[:, 0]) ** 2).sum()) / some.sum(),
      mean + np.sqrt(((limits[:, 1] - recall[some]) ** 2).sum()) / some.sum()]

confidence = p.max(axis=1)
which = np.clip(np.searchsorted(np.linspace(0, 1, bins + 1), confidence, side="left") - 1, 0, bins - 1)
gaps = [(np.abs(right[which == b].mean() - confidence[which == b].mean()), (which == b).mean()) for b in range(bins) if (which == b).any()]
share_right, mean_confidence = calibration_curve(right, confidence, n_bins=bins, strategy="uniform")

other = np.array(d["other"]) == y
b, c = int((right & ~other).sum()), int((~right & other).sum())
table = [[int((right & other).sum()), b], [c, int((~right & ~other).sum())]]
exact, chi = mcnemar(table, exact=True), mcnemar(table, exact=False, correction=True)
difference = right.astype(float) - other
half = 1.959963984540054 * difference.std() / np.sqrt(n)

# google-research/reassessed-imagenet: an image without labels does not count.
real = [float(q in r) for q, r in zip(pred, d["real"]) if len(r) > 0]

print(json.dumps({
    "top1": metrics.accuracy_score(y, pred), "top5": top5, "top1_ci95": wilson(right.sum(), n),
    "loss": metrics.log_loss(y, p, labels=range(k)), "confusion": confusion.tolist(),
    "recall": recall.tolist(), "precision": precision.tolist(),
    "recall_ci95": [wilson(r, m) if m else [0, 1] for r, m in zip(confusion.diagonal(), images)],
    "mean_recall": metrics.balanced_accuracy_score(y, pred), "mean_recall_ci95": ci,
    "mean_precision": precision[predicted > 0].mean(),
    "ece": sum(g * w for g, w in gaps), "mce": max(g for g, _ in gaps),
    "bin_right": share_right.tolist(), "bin_confidence": mean_confidence.tolist(),
    "p_exact": exact.pvalue, "chi_square": chi.statistic, "p_chi_square": chi.pvalue,
    "difference": difference.mean(), "difference_ci95": [difference.mean() - half, difference.mean() + half],
    "real_top1": float(np.mean(real)), "real_images": len(real),
    "worst": [int(i) for i in sorted(np.flatnonzero(~right), key=lambda i: logp[i, y[i]])[:50]],
}, default=float))
