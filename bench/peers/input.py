"""The training input of this project, with Python's tf.data or torchvision, as a peer to time against.

tf.data does the same operations in the same order. torchvision does its own usual ones: RandomResizedCrop, mirror, brightness and saturation, by a
DataLoader with worker processes, on the image files. Prints one JSON document.

    python input.py --kind tfdata --size 224 --batch 32 --images 3000 RECORDS...
    python input.py --kind torch --workers 2 --size 224 --batch 32 --images 3000 DIRECTORY
"""
import argparse
import json
import os
import resource
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def tfdata(a):
    import tensorflow as tf

    def prepare(record):
        x = tf.io.parse_single_example(record, {"image/encoded": tf.io.FixedLenFeature([], tf.string),
                                                "image/class/label": tf.io.FixedLenFeature([], tf.int64)})
        shape = tf.io.extract_jpeg_shape(x["image/encoded"])
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            shape, tf.constant([[[0.0, 0.0, 1.0, 1.0]]]), min_object_covered=0.1, aspect_ratio_range=(0.75, 1.33), area_range=(0.05, 1.0),
            max_attempts=100, use_image_if_no_bounding_boxes=True)
        image = tf.io.decode_and_crop_jpeg(x["image/encoded"], tf.concat([begin[:2], size[:2]], 0), channels=3)
        image = tf.compat.v1.image.resize_bilinear(image[None], [a.size, a.size])[0] / 255.0
        image = tf.image.random_flip_left_right(image)

        def bright(v):
            return tf.image.random_brightness(v, 32.0 / 255)

        def saturated(v):
            return tf.image.random_saturation(v, 0.5, 1.5)

        image = tf.cond(tf.random.uniform([]) < 0.5, lambda: saturated(bright(image)), lambda: bright(saturated(image)))
        return (tf.clip_by_value(image, 0.0, 1.0) - 0.5) * 2.0, x["image/class/label"]

    d = tf.data.TFRecordDataset(a.paths).shuffle(1000).repeat().map(prepare, tf.data.AUTOTUNE).batch(a.batch, True).prefetch(4)
    return iter(d)


def torch(a):
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms as t
    steps = t.Compose([t.RandomResizedCrop(a.size, (0.05, 1.0), (0.75, 1.33)), t.RandomHorizontalFlip(),
                       t.ColorJitter(brightness=32 / 255, saturation=0.5), t.ToTensor(), t.Normalize([0.5] * 3, [0.5] * 3)])
    loader = DataLoader(datasets.ImageFolder(a.paths[0], steps), a.batch, shuffle=True, num_workers=a.workers, drop_last=True, persistent_workers=True)

    def forever():
        while True:
            yield from loader
    return forever()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--kind", choices=["tfdata", "torch"], required=True)
    p.add_argument("--size", type=int, default=224)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--images", type=int, default=3000)
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("paths", nargs="+")
    a = p.parse_args()
    batches = {"tfdata": tfdata, "torch": torch}[a.kind](a)
    next(batches)
    begin, done = time.time(), 0
    while done < a.images:
        next(batches)
        done += a.batch
    print(json.dumps({"images_per_second": done / (time.time() - begin), "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
