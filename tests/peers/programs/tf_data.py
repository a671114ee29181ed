"""Run by TensorFlow's Python: the elements of random pipelines, as JSON lines. Arguments: first seed, number."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
import tensorflow as tf
from helpers.pipelines import applied, drawn, outcome

for seed in range(int(sys.argv[1]), int(sys.argv[1]) + int(sys.argv[2])):
    steps = drawn(seed)
    tile = lambda x: tf.repeat(x, tf.math.floormod(x, 4) + 1)  # noqa: E731
    try:
        found = outcome(applied(tf.data.Dataset, steps, tf.int64, tile))
    except tf.errors.InvalidArgumentError as error:
        found = {"error": str(error)[:200]}
    print(json.dumps([seed, steps, found]), flush=True)
