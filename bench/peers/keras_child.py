"""The CIFAR-style NASNet-A of this project, written with Keras, as a peer to time against.

Prints one JSON document. Seconds to the first step count from the start of the process (the caller passes it), so
they hold the import of TensorFlow and Keras, building, and the first training step, as a user waits for them.

    python keras_child.py --normal-cells 6 --filters 32 --batch 32 --steps 30
"""
import argparse
import json
import os
import resource
import time

START = float(os.environ.get("BENCH_START", time.time()))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np  # noqa: E402
import keras  # noqa: E402
from keras import layers as L  # noqa: E402

from nasnet_cells import NORMAL, OPS, REDUCTION  # noqa: E402


def norm(x):
    return L.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def conv(x, filters, kernel=1, stride=1):
    return norm(L.Conv2D(filters, kernel, stride, "same", use_bias=False)(x))


def relu_conv(x, filters):
    return conv(L.ReLU()(x), filters)


def separable(x, filters, kernel, stride):
    for step in (stride, 1):
        x = L.ReLU()(x)
        x = norm(L.SeparableConv2D(filters, kernel, step, "same", use_bias=False)(x))
    return x


def factorized(x, filters):
    a = L.Conv2D(filters // 2, 1, use_bias=False)(L.AveragePooling2D(1, 2, "valid")(x))
    b = L.Cropping2D(((1, 0), (1, 0)))(L.ZeroPadding2D(((0, 1), (0, 1)))(x))
    b = L.Conv2D(filters - filters // 2, 1, use_bias=False)(L.AveragePooling2D(1, 2, "valid")(b))
    return norm(L.Concatenate()([a, b]))


def branch(x, op, filters, stride):
    if op in OPS:
        return separable(x, filters, OPS[op], stride)
    if op == "none":
        return x if stride == 1 and x.shape[-1] == filters else relu_conv(x, filters)
    pool = L.AveragePooling2D if op == "avg" else L.MaxPooling2D
    x = pool(3, stride, "same")(x)
    return x if x.shape[-1] == filters else conv(x, filters)


def cell(cur, prev, spec, filters, stride):
    states = [relu_conv(cur, filters)]
    if prev is None:
        states.append(cur)
    elif prev.shape[1] != cur.shape[1]:
        states.append(factorized(L.ReLU()(prev), filters))
    else:
        states.append(prev if prev.shape[-1] == filters else relu_conv(prev, filters))
    for (i, a), (j, b) in spec["blocks"]:
        left = branch(states[i], a, filters, stride if i < 2 else 1)
        right = branch(states[j], b, filters, stride if j < 2 else 1)
        states.append(L.Add()([left, right]))
    out = [states[i] if states[i].shape[-1] == filters else conv(states[i], filters) for i in spec["concat"]]
    return L.Concatenate()(out)


def child(normal_cells, filters, classes=10):
    image = L.Input((32, 32, 3))
    cur, prev = conv(image, 3 * filters, 3), None
    third = normal_cells // 3
    for i in range(normal_cells):
        if i in (third, 2 * third):
            filters *= 2
            reduced = cell(cur, prev, REDUCTION, filters, 2)
            cur, prev = reduced, cur
        cur, prev = cell(cur, prev, NORMAL, filters, 1), cur
    x = L.GlobalAveragePooling2D()(L.ReLU()(cur))
    return keras.Model(image, L.Dense(classes)(x))


def children(count, images=4000, held_out=1000):
    """The loop of a search in one process: build, train an epoch, measure, again. Seconds a child."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(images, 32, 32, 3)).astype("float32"), rng.integers(0, 10, images)
    vx, vy = rng.normal(size=(held_out, 32, 32, 3)).astype("float32"), rng.integers(0, 10, held_out)
    begin = time.time()
    for _ in range(count):
        keras.backend.clear_session()
        model = child(3, 8)
        rate = keras.optimizers.schedules.CosineDecay(0.05, images // 64)
        model.compile(keras.optimizers.SGD(rate, momentum=0.9, global_clipnorm=5.0),
                      keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        model.fit(x, y, batch_size=64, epochs=1, verbose=0)
        model.evaluate(vx, vy, batch_size=100, verbose=0)
    return (time.time() - begin) / count


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--normal-cells", type=int, default=6)
    p.add_argument("--filters", type=int, default=32)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--steps", type=int, default=0, help="timed steps after ten for warming up")
    p.add_argument("--mobile", action="store_true", help="keras.applications' NASNetMobile instead of the child")
    p.add_argument("--pixels", type=int, default=32)
    p.add_argument("--jit", choices=["auto", "on", "off"], default="auto", help="Keras' jit_compile")
    p.add_argument("--children", type=int, default=0, help="instead: seconds a child of a loop of so many")
    a = p.parse_args()
    if a.children:
        print(json.dumps({"peer": "keras", "seconds_per_child": children(a.children),
                          "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
        return
    rng = np.random.default_rng(0)
    images = rng.normal(size=(a.batch, a.pixels, a.pixels, 3)).astype("float32")
    labels = rng.integers(0, 10, a.batch)
    if a.mobile:
        model = keras.applications.NASNetMobile((a.pixels, a.pixels, 3), weights=None, classifier_activation=None)
    else:
        model = child(a.normal_cells, a.filters)
    model.compile(keras.optimizers.SGD(0.025, momentum=0.9, global_clipnorm=5.0),
                  keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"],
                  jit_compile={"auto": "auto", "on": True, "off": False}[a.jit])
    model.train_on_batch(images, labels)
    doc = {"peer": "keras", "jit": a.jit, "seconds_to_first_step": time.time() - START,
           "trainable_params": int(sum(np.prod(w.shape) for w in model.trainable_weights)),
           "versions": {"keras": keras.__version__, "tensorflow": __import__("tensorflow").__version__}}
    if a.steps:
        for _ in range(10):
            model.train_on_batch(images, labels)
        begin = time.time()
        for _ in range(a.steps):
            model.train_on_batch(images, labels)
        doc["images_per_second"] = a.batch * a.steps / (time.time() - begin)
    doc["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(doc))


if __name__ == "__main__":
    main()
