"""Seconds from process start to the end of the first training step: nasnet beside Keras, by turns, in one run.

The net is NASNet-A, 6 normal cells (N=2), 32 filters, batch 32, on 32x32 images. Writes medians and every run as CSV.

    make build peers
    PEERS/bin/python bench/first_step.py --rounds 5 --out docs/results/first-step.csv

PEERS is what `make peers` prints.
"""
import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def nasnet():
    begin = time.time()
    out = subprocess.run([os.path.join(ROOT, "bin/nasnet"), "bench", "first-step", "--json"], check=True, capture_output=True)
    doc = json.loads(out.stdout)
    return time.time() - begin, doc["trainable_params"] if "trainable_params" in doc else doc["params"]


def keras(jit):
    env = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    env["BENCH_START"] = repr(time.time())
    out = subprocess.run([sys.executable, os.path.join(ROOT, "bench/peers/keras_child.py"), "--jit", jit],
                         check=True, capture_output=True, env=env)
    doc = json.loads(out.stdout.splitlines()[-1])
    return doc["seconds_to_first_step"], doc["trainable_params"]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    peers = {"nasnet": nasnet, "keras jit_compile=auto": lambda: keras("auto"), "keras jit_compile=off": lambda: keras("off")}
    seconds = {name: [] for name in peers}
    params = {}
    for _ in range(a.rounds):
        for name, run in peers.items():
            s, params[name] = run()
            seconds[name].append(s)
    assert len(set(params.values())) == 1, params
    ours = statistics.median(seconds["nasnet"])
    with open(a.out, "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(["what", "median_seconds", "ratio_to_nasnet", "min_seconds", "max_seconds", "rounds", "trainable_params"])
        for name, s in seconds.items():
            m = statistics.median(s)
            w.writerow([name, f"{m:.2f}", f"{m / ours:.2f}", f"{min(s):.2f}", f"{max(s):.2f}", len(s), params[name]])
    print(open(a.out).read(), end="")


if __name__ == "__main__":
    main()
