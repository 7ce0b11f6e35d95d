"""Writes Keras NASNets with random weights, an input and their logits: argv is
the directory, then one of mobile, large, or N,penultimate,pixels,skip."""
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
from keras.src.applications.nasnet import NASNet

directory, which = sys.argv[1], sys.argv[2]
rng = np.random.default_rng(5)
keras.utils.set_random_seed(5)
options = {"weights": None, "classifier_activation": None}
if which == "mobile":
    model = keras.applications.NASNetMobile(**options)
elif which == "large":
    model = keras.applications.NASNetLarge(**options)
else:
    blocks, penultimate, pixels, skip = map(int, which.split(","))
    model = NASNet(
        input_shape=(pixels, pixels, 3), num_blocks=blocks, penultimate_filters=penultimate,
        stem_block_filters=32, skip_reduction=bool(skip), classes=10, **options,
    )
for layer in model.layers:  # statistics and scales that are not all zeros and ones
    if isinstance(layer, keras.layers.BatchNormalization):
        n = layer.gamma.shape[0]
        layer.set_weights([rng.uniform(0.5, 1.5, n), rng.normal(0, 0.3, n), rng.normal(0, 0.3, n), rng.uniform(0.5, 1.5, n)])

images = rng.uniform(-1, 1, (2,) + model.input_shape[1:]).astype("float32")
np.save(f"{directory}/images.npy", images)
np.save(f"{directory}/logits.npy", model.predict_on_batch(images))
# As in docs/weights.md.
np.savez(f"{directory}/weights.npz", **{
    f"{layer.name}/{w.name}": np.asarray(w) for layer in model.layers for w in layer.weights
})
