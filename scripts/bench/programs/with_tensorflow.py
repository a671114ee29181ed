"""Trains the seed model with TensorFlow's legacy Keras and a strategy; started by `scripts/bench/train.py`.

Without `--strategy`: plain fit. `MirroredStrategy` and `CentralStorageStrategy` use two virtual CPU devices;
`MultiWorkerMirroredStrategy` starts its second worker itself.
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
    parser.add_argument("--strategy", default="")
    parser.add_argument("--steps-per-execution", type=int, default=50)
    import contender

    options = contender.parse(parser)
    second = start_second_worker() if options.strategy == "MultiWorkerMirroredStrategy" else None

    import tensorflow as tf
    import tf_keras as keras

    virtual = options.strategy in ("MirroredStrategy", "CentralStorageStrategy")
    if virtual:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    if options.strategy == "MirroredStrategy":
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    elif options.strategy == "CentralStorageStrategy":
        strategy = tf.distribute.experimental.CentralStorageStrategy(["CPU:0", "CPU:1"], "CPU:0")
    elif options.strategy == "MultiWorkerMirroredStrategy":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    x, y = contender.images()
    batch_size = 100 * strategy.num_replicas_in_sync
    with strategy.scope():
        model = keras.Sequential(
            [
                keras.layers.Dense(options.hidden, activation="relu", input_shape=(784,)),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(
            "adam",
            "sparse_categorical_crossentropy",
            ["accuracy"],
            steps_per_execution=options.steps_per_execution,
        )
    model.fit(x[: 10 * batch_size], y[: 10 * batch_size], batch_size=batch_size, verbose=0)
    first_step = time.time()
    seconds: list[float] = []

    class Epochs(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            self.begin = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            seconds.append(time.perf_counter() - self.begin)

    model.fit(x, y, batch_size=batch_size, epochs=options.epochs, verbose=0, callbacks=[Epochs()])
    if json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]["index"] == 0:
        contender.report(options, len(x), seconds, first_step, [contender.pss_bytes()])
    if second is not None:
        second.wait(60)


def start_second_worker() -> subprocess.Popen[bytes] | None:
    """The same program as worker 1; None in that one itself."""
    if "TF_CONFIG" in os.environ:
        return None
    addresses = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            addresses.append(f"127.0.0.1:{probe.getsockname()[1]}")

    def config(index: int) -> str:
        return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})

    second = subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "TF_CONFIG": config(1)})
    os.environ["TF_CONFIG"] = config(0)
    return second


if __name__ == "__main__":
    main()
