"""Replay: what a ps must keep, computed from the log of ps:0 alone."""

import numpy as np

from distrib.nn.optimizers import SGD


def replayed(log, part, gradient):
    """The values of a range after SGD, from zeros, bit for bit.

    Args:
        log: the updates, in their order.
        part: the range.
        gradient: of the whole model, by its push.
    """
    values, optimizer = np.zeros(part.size, np.float32), SGD()
    optimizer.build(part.size, values.dtype)
    for entry in log:
        first, *others = (gradient(push)[part.slice].copy() for push in entry.pushes)
        for other in others:
            first += other
        optimizer.learning_rate = entry.learning_rate
        optimizer.apply_range(values, first, entry.scale)
    return values
