"""Inference of the networks of this project by other programs, as peers to time against.

Prints one JSON document. torch, onnxruntime and openvino run the network of torch_child.py, which has the layers of
ours; the latter two get it as ONNX and fold and fuse it as they do by default. timm has NASNet-A large alone, keras
keras.applications' NASNetMobile.

    python infer.py --by openvino --precision bf16 --batch 16 --pixels 224 --runs 20
"""
import argparse
import json
import os
import resource
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np  # noqa: E402


def images(a):
    return np.random.default_rng(0).uniform(-1, 1, (a.batch, a.pixels, a.pixels, 3)).astype("float32")


def torch_network(a):
    import torch
    from torch_child import Network
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    return Network(a.normal_cells, a.filters, a.classes, a.pixels, True).eval()


def by_torch(a):
    import torch
    return torch_runner(a, torch_network(a)), torch.__version__


def by_timm(a):
    import timm
    import torch
    torch.set_num_threads(a.threads)
    return torch_runner(a, timm.create_model("nasnetalarge", num_classes=a.classes).eval()), timm.__version__


def torch_runner(a, model):
    import torch
    model = model.to(memory_format=torch.channels_last)
    x = torch.from_numpy(images(a)).permute(0, 3, 1, 2)  # channels last already
    if a.compile:
        model = torch.compile(model)

    def run():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=a.precision == "bf16"):
            model(x)
    return run


def onnx_file(a, folder):
    """The network as ONNX, images [N,C,H,W] of the batch's size."""
    import torch
    path = os.path.join(folder, "network.onnx")
    x = torch.from_numpy(images(a)).permute(0, 3, 1, 2).contiguous()
    torch.onnx.export(torch_network(a), x, path, input_names=["images"], opset_version=17, dynamo=False)
    return path, {"images": x.numpy()}


def by_onnxruntime(a):
    import onnxruntime
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads = a.threads
    with tempfile.TemporaryDirectory() as folder:
        path, feeds = onnx_file(a, folder)
        session = onnxruntime.InferenceSession(path, o, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feeds), onnxruntime.__version__


def by_openvino(a):
    import openvino
    with tempfile.TemporaryDirectory() as folder:
        path, feeds = onnx_file(a, folder)
        # One stream for latency at one image, as many as pay for throughput is not what one call of a batch can use.
        model = openvino.compile_model(path, "CPU", {
            "INFERENCE_PRECISION_HINT": a.precision, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": str(a.threads)})
    request = model.create_infer_request()
    return lambda: request.infer(feeds), openvino.__version__.split("-")[0]


def by_keras(a):
    import keras
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(a.threads)
    model = keras.applications.NASNetMobile((a.pixels, a.pixels, 3), weights=None, classifier_activation=None)
    x = tf.constant(images(a))
    call = tf.function(lambda x: model(x, training=False), jit_compile=a.compile)
    return lambda: call(x).numpy(), keras.__version__


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--by", required=True, choices=["keras", "torch", "timm", "onnxruntime", "openvino"])
    p.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    p.add_argument("--compile", action="store_true", help="torch.compile, or Keras' jit_compile")
    p.add_argument("--normal-cells", type=int, default=12)
    p.add_argument("--filters", type=int, default=44)
    p.add_argument("--classes", type=int, default=1000)
    p.add_argument("--pixels", type=int, default=224)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--runs", type=int, default=20, help="timed, after five for warming up")
    a = p.parse_args()
    run, version = globals()["by_" + a.by](a)
    for _ in range(5):
        run()
    seconds = []
    for _ in range(a.runs):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    print(json.dumps({"peer": a.by, "precision": a.precision, "version": version, "images_per_second": a.batch / statistics.median(seconds),
                      "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
