"""The logits of NASNet-A mobile with random weights on image files, in Keras.

argv: a directory, the images' directory. Writes weights.npz, and for both ways of
padding the stride-2 pools (keras: zeros; slim: SAME, as TensorFlow's slim has it)
keras.npy and slim.npy, float32 [N,1000] in the order of the files' names; and
names.txt. Images are prepared as slim evaluates (preprocessing/
inception_preprocessing.py): float in 0..1, the central 0.875 of each side,
TensorFlow 1's bilinear kernel to 224, -1..1.
"""
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import tensorflow as tf
from keras.src.applications import nasnet

directory, images = sys.argv[1], sys.argv[2]
names = sorted(os.listdir(images))
real_layers = nasnet.layers


class SlimLayers:
    """Keras' layers, but the 3x3 pools of a reduction pad as SAME does."""

    def __getattr__(self, name):
        return getattr(real_layers, name)

    def ZeroPadding2D(self, padding, name=None):
        return (lambda x: x) if name and name.startswith("reduction_pad") else real_layers.ZeroPadding2D(padding, name=name)

    def pool(self, kind, size, strides, padding, name):
        return kind(size, strides=strides, padding="same" if tuple(size) == (3, 3) else padding, name=name)

    def MaxPooling2D(self, size, strides=None, padding="valid", name=None):
        return self.pool(real_layers.MaxPooling2D, size, strides, padding, name)

    def AveragePooling2D(self, size, strides=None, padding="valid", name=None):
        return self.pool(real_layers.AveragePooling2D, size, strides, padding, name)


def prepared(path):
    x = tf.image.convert_image_dtype(tf.image.decode_jpeg(tf.io.read_file(path), channels=3), tf.float32)
    x = tf.image.central_crop(x, 0.875)
    x = tf.compat.v1.image.resize_bilinear(x[None], [224, 224], align_corners=False)[0]
    return (x - 0.5) * 2


def network(layers):
    nasnet.layers = layers
    return keras.applications.NASNetMobile(weights=None, classifier_activation=None)


keras.utils.set_random_seed(11)
rng = np.random.default_rng(11)
models = {"keras": network(real_layers), "slim": network(SlimLayers())}
for layer in models["keras"].layers:  # statistics and scales that are not all zeros and ones
    if isinstance(layer, keras.layers.BatchNormalization):
        n = layer.gamma.shape[0]
        layer.set_weights([rng.uniform(0.5, 1.5, n), rng.normal(0, 0.3, n), rng.normal(0, 0.3, n), rng.uniform(0.5, 1.5, n)])
models["slim"].set_weights(models["keras"].get_weights())
np.savez(f"{directory}/weights.npz", **{
    f"{layer.name}/{w.name}": np.asarray(w) for layer in models["keras"].layers for w in layer.weights
})

files = tf.data.Dataset.from_tensor_slices([f"{images}/{n}" for n in names])
batches = files.map(prepared, num_parallel_calls=2).batch(50)
logits = {name: [] for name in models}
for batch in batches:
    for name, model in models.items():
        logits[name].append(model.predict_on_batch(batch))
for name, parts in logits.items():
    np.save(f"{directory}/{name}.npy", np.concatenate(parts))
with open(f"{directory}/names.txt", "w") as f:
    f.write("\n".join(names))
