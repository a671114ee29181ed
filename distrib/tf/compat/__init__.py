"""`distrib.tf.compat`: `v1`, the names of TensorFlow 1."""
