"""Trains the seed model with distrib; started by `scripts/bench/train.py`, alone or under mpirun."""

from __future__ import annotations

import argparse
import time

import distrib
import numpy as np

import contender
from stopwatch import Epochs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--strategy", default="MirroredStrategy")
    parser.add_argument("--implementation", default="auto")
    parser.add_argument("--examples", type=int, default=contender.EXAMPLES)
    options = contender.parse(parser)
    x, y = contender.images(options.examples)
    communication = distrib.CommunicationOptions(options.implementation)
    strategy = getattr(distrib, options.strategy)(communication)
    with strategy.scope():
        model = distrib.Sequential(
            [
                distrib.layers.Dense(options.hidden, activation="relu", input_shape=(784,)),
                distrib.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    batch_size = 100 * strategy.num_replicas_in_sync
    model.fit(x[:batch_size], y[:batch_size], batch_size=batch_size, verbose=0)
    first_step = time.time()
    epochs = Epochs()
    model.fit(x, y, batch_size=batch_size, epochs=options.epochs, verbose=0, callbacks=[epochs])
    pss = strategy.gather(np.array([contender.pss_bytes()]))
    if strategy.is_chief:
        contender.report(options, len(x), epochs.seconds, first_step, [int(n) for n in pss])


if __name__ == "__main__":
    main()
