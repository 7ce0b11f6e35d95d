# Made tiny.index and tiny.data-* with TensorFlow 2.18.1: python3 make.py
import os
import tensorflow as tf

here = os.path.dirname(os.path.abspath(__file__))
tensors = {
    "cell_0/1x1/weights": tf.reshape(tf.range(24, dtype=tf.float32) / 8 - 1, [2, 3, 4]),
    "empty": tf.zeros([0, 5]),
    "global_step": tf.constant(12345678901, tf.int64),
    "half": tf.constant([1.5, -2], tf.float16),
    "names": tf.constant([["a", ""], ["b" * 300, "żółw"]]),
}
for i in range(60):  # more than one block of the index would hold at 4 KiB
    tensors["layer_%02d/%s" % (i, "very_long_scope_name_" * 4)] = tf.fill([3], float(i))
keys = sorted(tensors)
tf.raw_ops.SaveV2(prefix=os.path.join(here, "tiny"), tensor_names=keys, shape_and_slices=[""] * len(keys), tensors=[tensors[k] for k in keys])
