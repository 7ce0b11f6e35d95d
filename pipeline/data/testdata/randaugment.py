"""Writes randaugment.npz: torchvision's RandAugment operations on one picture.

python randaugment.py   (torchvision 0.20, Pillow)
"""
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.autoaugment import _apply_op

MAGNITUDE = 0.9
H, W = 24, 32
OPERATIONS = [
    ("Identity", 0.0), ("ShearX", 0.3 * MAGNITUDE), ("ShearY", 0.3 * MAGNITUDE),
    ("TranslateX", 150 / 331 * W * MAGNITUDE), ("TranslateY", 150 / 331 * H * MAGNITUDE), ("Rotate", 30 * MAGNITUDE),
    ("Brightness", 0.9 * MAGNITUDE), ("Color", 0.9 * MAGNITUDE), ("Contrast", 0.9 * MAGNITUDE), ("Sharpness", 0.9 * MAGNITUDE),
    ("Posterize", 8 - round(4 * MAGNITUDE)), ("Solarize", 255 * (1 - MAGNITUDE)), ("AutoContrast", 0), ("Equalize", 0),
]
SIGNED = range(1, 10)

rng = np.random.RandomState(3)
rows, columns = np.mgrid[0:H, 0:W]
picture = np.stack([40 + 5 * columns, 230 - 7 * rows, 90 + 3 * rows + 2 * columns], -1) + rng.randint(-25, 25, (H, W, 3))
picture = np.clip(picture, 10, 240).astype(np.uint8)
out = {"picture": picture}
for number, (name, magnitude) in enumerate(OPERATIONS):
    for sign in (1, -1) if number in SIGNED else (1,):
        value = int(magnitude) if name == "Posterize" else sign * magnitude
        out[f"{number}_{'plus' if sign > 0 else 'minus'}"] = np.asarray(
            _apply_op(Image.fromarray(picture), name, value, InterpolationMode.NEAREST, None))
np.savez_compressed("randaugment.npz", **{k: v.astype(np.float32) for k, v in out.items()})
