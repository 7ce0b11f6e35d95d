"""The NASNet-A networks of this project, written with PyTorch, as a peer to time against.

Prints one JSON document. Images are channels-last; the layers are those of keras_child.py, parameter for parameter.

    python torch_child.py --normal-cells 6 --filters 32 --batch 32 --steps 30 [--compile] [--mobile --pixels 96]
"""
import argparse
import json
import os
import resource
import time

START = float(os.environ.get("BENCH_START", time.time()))

import torch  # noqa: E402
from torch import nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from nasnet_cells import NORMAL, OPS, REDUCTION  # noqa: E402


class Same(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding."""

    def forward(self, x):
        pad = []
        for size, k, s in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1]):
            total = max((-(-size // s) - 1) * s + k - size, 0)
            pad += [total // 2, total - total // 2]
        if pad[0] == pad[1] and pad[2] == pad[3]:
            return F.conv2d(x, self.weight, None, self.stride, (pad[2], pad[0]), 1, self.groups)
        return F.conv2d(F.pad(x, pad), self.weight, None, self.stride, 0, 1, self.groups)


def conv(cin, cout, kernel=1, stride=1, relu=True):
    layers = [Same(cin, cout, kernel, stride, bias=False), nn.BatchNorm2d(cout, eps=1e-5)]
    return nn.Sequential(*([nn.ReLU()] if relu else []), *layers)


def separable(cin, cout, kernel, stride):
    layers = []
    for c, s in ((cin, stride), (cout, 1)):
        layers += [nn.ReLU(), Same(c, c, kernel, s, groups=c, bias=False), nn.Conv2d(c, cout, 1, bias=False),
                   nn.BatchNorm2d(cout, eps=1e-5)]
    return nn.Sequential(*layers)


class Pool(nn.Module):
    def __init__(self, kind, stride):
        super().__init__()
        self.kind, self.stride = kind, stride

    def forward(self, x):
        if self.stride == 1:
            if self.kind == "avg":
                return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            return F.max_pool2d(x, 3, 1, 1)
        # SAME at stride 2 on even maps pads behind; on odd ones on both sides.
        pad = (0, 1, 0, 1) if x.shape[2] % 2 == 0 else (1, 1, 1, 1)
        if self.kind == "avg":
            return F.avg_pool2d(F.pad(x, pad), 3, 2)
        return F.max_pool2d(F.pad(x, pad, value=float("-inf")), 3, 2)


class Factorized(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.a = nn.Conv2d(cin, cout // 2, 1, bias=False)
        self.b = nn.Conv2d(cin, cout - cout // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(cout, eps=1e-5)

    def forward(self, x):
        x = F.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.a(x[:, :, ::2, ::2]), self.b(shifted[:, :, ::2, ::2])], 1))


def branch(cin, op, cout, stride):
    if op in OPS:
        return separable(cin, cout, OPS[op], stride)
    if op == "none":
        return nn.Identity() if stride == 1 and cin == cout else conv(cin, cout, 1, stride)
    pool = Pool(op, stride)
    return pool if cin == cout else nn.Sequential(pool, conv(cin, cout, relu=False))


class Cell(nn.Module):
    def __init__(self, cur, prev, spec, filters, stride):
        """cur, prev: (channels, size) of the inputs; prev may be None."""
        super().__init__()
        self.begin = conv(cur[0], filters)
        if prev is None:
            self.fit, second = nn.Identity(), cur[0]
        elif prev[1] != cur[1]:
            self.fit, second = Factorized(prev[0], filters), filters
        else:
            self.fit, second = (nn.Identity() if prev[0] == filters else conv(prev[0], filters)), filters
        channels = [filters, second]
        self.spec, self.branches = spec, nn.ModuleList()
        for (i, a), (j, b) in spec["blocks"]:
            self.branches.append(branch(channels[i], a, filters, stride if i < 2 else 1))
            self.branches.append(branch(channels[j], b, filters, stride if j < 2 else 1))
            channels.append(filters)
        self.out = nn.ModuleList(nn.Identity() if channels[i] == filters else conv(channels[i], filters, relu=False) for i in spec["concat"])
        self.shape = (filters * len(spec["concat"]), -(-cur[1] // stride))

    def forward(self, cur, prev):
        states = [self.begin(cur), self.fit(cur if prev is None else prev)]
        for k, ((i, _), (j, _)) in enumerate(self.spec["blocks"]):
            states.append(self.branches[2 * k](states[i]) + self.branches[2 * k + 1](states[j]))
        return torch.cat([m(states[i]) for m, i in zip(self.out, self.spec["concat"])], 1)


class Network(nn.Module):
    def __init__(self, normal_cells, filters, classes, pixels, mobile):
        super().__init__()
        self.cells = nn.ModuleList()
        if mobile:
            self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32))
            cur, prev = (32, (pixels - 3) // 2 + 1), None
            for f in (filters // 4, filters // 2):
                cur, prev = self.add(cur, prev, REDUCTION, f, 2)
        else:
            self.stem = conv(3, 3 * filters, 3, relu=False)
            cur, prev = (3 * filters, pixels), None
        third = normal_cells // 3
        for i in range(normal_cells):
            if i in (third, 2 * third):
                filters *= 2
                cur, prev = self.add(cur, prev, REDUCTION, filters, 2)
            cur, prev = self.add(cur, prev, NORMAL, filters, 1)
        self.head = nn.Linear(cur[0], classes)

    def add(self, cur, prev, spec, filters, stride):
        self.cells.append(Cell(cur, prev, spec, filters, stride))
        return self.cells[-1].shape, cur

    def forward(self, x):
        cur, prev = self.stem(x), None
        for c in self.cells:
            cur, prev = c(cur, prev), cur
        return self.head(F.relu(cur).mean((2, 3)))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--normal-cells", type=int, default=6)
    p.add_argument("--filters", type=int, default=32)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--pixels", type=int, default=32)
    p.add_argument("--steps", type=int, default=20, help="timed steps after five for warming up")
    p.add_argument("--mobile", action="store_true")
    p.add_argument("--compile", action="store_true")
    a = p.parse_args()
    torch.manual_seed(0)
    classes = 1000 if a.mobile else 10
    model = Network(a.normal_cells, a.filters, classes, a.pixels, a.mobile).to(memory_format=torch.channels_last)
    params = sum(w.numel() for w in model.parameters())
    run = torch.compile(model) if a.compile else model
    optimizer = torch.optim.SGD(model.parameters(), 0.025, momentum=0.9)
    images = torch.randn(a.batch, 3, a.pixels, a.pixels).to(memory_format=torch.channels_last)
    labels = torch.randint(0, classes, (a.batch,))

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(run(images), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()

    step()
    doc = {"peer": "torch", "compiled": a.compile, "seconds_to_first_step": time.time() - START, "trainable_params": params,
           "versions": {"torch": torch.__version__}}
    for _ in range(5):
        step()
    begin = time.time()
    for _ in range(a.steps):
        step()
    doc["images_per_second"] = a.batch * a.steps / (time.time() - begin)
    doc["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(doc))


if __name__ == "__main__":
    main()
