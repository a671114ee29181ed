"""Trains the seed model with TensorFlow's ParameterServerStrategy and legacy Keras; started by `scripts/bench/ps.py`.

The coordinator starts one ps and the workers itself.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    import contender

    options = contender.parse(parser)
    helpers = start_helpers(options.workers) if "TF_CONFIG" not in os.environ else []

    import tensorflow as tf
    import tf_keras as keras

    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if resolver.task_type in ("worker", "ps"):
        server = tf.distribute.Server(
            resolver.cluster_spec(),
            job_name=resolver.task_type,
            task_index=resolver.task_id,
            protocol="grpc",
            start=True,
        )
        server.join()
    strategy = tf.distribute.ParameterServerStrategy(resolver)
    x, y = contender.images()

    def dataset(context: object) -> object:
        return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(10_000).repeat().batch(100).prefetch(4)

    with strategy.scope():
        model = keras.Sequential(
            [
                keras.layers.Dense(options.hidden, activation="relu", input_shape=(784,)),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"], steps_per_execution=50)
    data = keras.utils.experimental.DatasetCreator(dataset)
    seconds: list[float] = []
    ends: list[float] = []

    class Epochs(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            self.begin = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            seconds.append(time.perf_counter() - self.begin)
            ends.append(time.time())

    # One call of fit: each makes new iterators, which fill their shuffle buffers anew. The first epoch warms up.
    epochs = options.epochs + 1
    model.fit(data, epochs=epochs, steps_per_epoch=len(x) // 100, verbose=0, callbacks=[Epochs()])
    contender.report(options, len(x), seconds[1:], ends[0], [contender.pss_bytes()])
    for helper in helpers:
        helper.kill()
    os._exit(0)  # its threads wait for the servers


def start_helpers(num_workers: int) -> list[subprocess.Popen[bytes]]:
    """One ps and the workers: the same program."""
    addresses = []
    for _ in range(num_workers + 2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            addresses.append(f"127.0.0.1:{probe.getsockname()[1]}")
    cluster = {"chief": addresses[:1], "ps": addresses[1:2], "worker": addresses[2:]}

    def config(kind: str, index: int) -> str:
        return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})

    tasks = [("ps", 0), *(("worker", index) for index in range(num_workers))]
    helpers = [
        subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "TF_CONFIG": config(*task)})
        for task in tasks
    ]
    os.environ["TF_CONFIG"] = config("chief", 0)
    return helpers


if __name__ == "__main__":
    main()
