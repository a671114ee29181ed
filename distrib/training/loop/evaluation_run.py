"""EvaluationRun: one evaluation or prediction, with scratch memory, sums and metrics of its own.

It shares the variables with the training and nothing else. So it may happen within a callback of `fit`, or in another
thread, and training goes on as if nothing had been measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from distrib.base.arrays import Array, columns
from distrib.nn.batch_sums import BatchSums
from distrib.nn.joint_objective import AnyObjective
from distrib.nn.network import Network
from distrib.strategies.update.feed import AnySchedule, Data, Feed
from distrib.training.callbacks.callback import Logs
from distrib.training.callbacks.callback_list import CallbackList
from distrib.training.loop.means import means_of


class EvaluationRun:
    """Measures or predicts, once.

    Args:
        network: this replica's network, apart from the one that is trained (`Network.apart`).
        callbacks: called at each batch.
    """

    def __init__(self, network: Network, callbacks: CallbackList) -> None:
        self._network, self._callbacks = network, callbacks

    def evaluate(self, objective: AnyObjective, feed: Feed, dataset: Data, schedule: AnySchedule) -> Logs:
        """Loss and metrics, with every example once, spread over the replicas. Collective.

        The sums are combined once, at the end; after each batch only where a callback asks for the running logs.

        Args:
            objective: what is measured; left as it is.
            feed: hands out the examples and combines the sums.
            dataset: all examples.
            schedule: which of them make up the batches.
        """
        network, called = self._network, self._callbacks
        objective = objective.twin(network.output_layers)
        means = means_of(objective)
        own = BatchSums(0, np.zeros_like(objective.batch_sums.sums))
        called.call("on_test_begin")
        for step, batch in enumerate(feed.test_batches(dataset, schedule, own.sums.size)):
            called.call("on_test_batch_begin", step)
            batch_sums = network.test_on(batch.x, batch.y, batch.weight, objective)
            own.sums += batch_sums.sums
            feed.tested(batch_sums)
            if called.reads_test_batches:
                means.reset()
                means.add(feed.total(own))
            called.call("on_test_batch_end", step, means.logs() if called.reads_test_batches else {})
        means.reset()
        means.add(feed.total(own))
        logs: Logs = means.logs()
        called.call("on_test_end", logs=logs)
        return logs

    def predict(self, batches: Iterable[tuple[Array, ...]]) -> list[Array]:
        """The outputs, computed on this replica alone.

        Args:
            batches: `(examples, *input_shape)`, for each input.

        Returns:
            `(examples, *output_shape)` in the network's dtype, for each output.
        """
        network, called = self._network, self._callbacks
        parts: list[tuple[Array, ...]] = []
        called.call("on_predict_begin")
        for step, given in enumerate(batches):
            called.call("on_predict_batch_begin", step)
            batch = tuple(np.ascontiguousarray(each, network.dtype) for each in given)
            outputs = tuple(each.copy() for each in columns(network.forward(batch)))
            parts.append(outputs)
            called.call(
                "on_predict_batch_end", step, {"outputs": outputs[0] if len(outputs) == 1 else outputs}
            )
        called.call("on_predict_end")
        return [np.concatenate(each) for each in zip(*parts, strict=True)]


def in_batches(arrays: tuple[Array, ...], batch_size: int) -> Iterator[tuple[Array, ...]]:
    """Arrays in parts of so many rows."""
    for begin in range(0, len(arrays[0]), batch_size):
        yield tuple(each[begin : begin + batch_size] for each in arrays)
