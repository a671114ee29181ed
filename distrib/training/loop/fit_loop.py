"""FitLoop: one call of `fit`, from where it begins or goes on to its end.

Its position can be saved as JSON values (`progress`) at the end of every batch, and resumed from (`resume`): the
epoch, what is left of it, the sums that its running means are made of, and what the callbacks remember. Random
numbers need nothing more: they are a function of the seed, the epoch and the position of the example.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from distrib.base.errors import StorageError
from distrib.base.ranges import Range
from distrib.data.schedule import Positions
from distrib.data.streams.stream import BatchStream
from distrib.nn.network import Network
from distrib.strategies.update.coordination import State
from distrib.strategies.update.feed import AnySchedule, Data, Rest
from distrib.strategies.update.training import Training
from distrib.training.callbacks.callback import Logs
from distrib.training.callbacks.callback_list import CallbackList
from distrib.training.loop.epoch_loop import EpochLoop
from distrib.training.loop.evaluation_run import EvaluationRun

_REPORTED_SHARE, _REPORTED_S = 0.2, 0.1
"""Share of the time, and seconds, from which waiting for data is reported."""


class FitLoop:
    """The loop over epochs.

    Args:
        network: what is trained.
        trainer: trains it.
        training: what the strategy provides.
        dataset: what to train on.
        schedule: in which batches.
        callbacks: what happens besides.
        tests: what to test on after an epoch, if anything.
        validation_freq: number of epochs from one validation to the next.

    Attributes:
        epoch: the one that is trained, from 0.
        is_stopped: whether to end after the epoch.
        is_active: whether it has begun, and is not over.
    """

    def __init__(
        self,
        network: Network,
        trainer: EpochLoop,
        training: Training,
        dataset: Data,
        schedule: AnySchedule,
        callbacks: CallbackList,
        tests: tuple[Data, AnySchedule] | None,
        validation_freq: int,
    ) -> None:
        self._network, self.trainer, self.training = network, trainer, training
        self._dataset, self._schedule, self._callbacks = dataset, schedule, callbacks
        self._tests, self._validation_freq = tests, validation_freq
        self.epoch = 0
        self._rest: Rest | None = None
        self._seconds = 0.0
        self.is_stopped = self.is_active = False

    @property
    def request(self) -> int:
        """The request of this replica to all, sent with every step from now on."""
        return self.trainer.request

    @request.setter
    def request(self, request: int) -> None:
        self.trainer.request = request

    @property
    def requested(self) -> int:
        """The requests of all replicas in the last step, the same on all."""
        return self.trainer.requested

    @property
    def is_settled(self) -> bool:
        """Whether the values are those of whole updates, so that they can be saved."""
        return self.training.updater.is_settled

    def train(self, initial_epoch: int, epochs: int) -> None:
        """Train from `initial_epoch`, or from where a callback has resumed, until before `epochs`."""
        self.epoch, self.is_active, begin = initial_epoch, True, time.monotonic()
        try:
            self._train(epochs)
        finally:
            self.is_active = False
            self._seconds = time.monotonic() - begin

    def _train(self, epochs: int) -> None:
        called, logs = self._callbacks, Logs()
        called.call("on_train_begin")
        while self.epoch < epochs and not self.is_stopped:
            epoch = self.epoch
            called.call("on_epoch_begin", epoch)
            rest, self._rest = self._rest, None
            logs = self.trainer.train_epoch(self.training, self._dataset, self._schedule, epoch, called, rest)
            called.params["steps"] = self._schedule.steps_per_epoch  # of a stream it was not known before
            if self._tests is not None and (epoch + 1) % self._validation_freq == 0:
                tested = self.evaluate(*self._tests, called)
                logs = logs | {f"val_{name}": value for name, value in tested.items()}
            self.epoch, self.trainer.steps_done = epoch + 1, 0
            called.call("on_epoch_end", epoch, logs)
            if self.epoch < epochs:
                self.is_stopped = self.training.coordination.stops(self.is_stopped)
        self.training.updater.finalize()
        self.training.coordination.end()
        called.call("on_train_end", logs=logs)

    def evaluate(self, dataset: Data, schedule: AnySchedule, callbacks: CallbackList) -> Logs:
        """Loss and metrics over other examples, between two steps. Collective."""
        with self._network.apart() as network:
            run = EvaluationRun(network, callbacks)
            return run.evaluate(self.trainer.objective, self.training.feed, dataset, schedule)

    def report(self) -> str:
        """Text for people where steps have waited for data for long; empty otherwise."""
        if not isinstance(self._dataset, BatchStream):
            return ""
        waited, share = self._dataset.waited_s, self._dataset.waited_s / max(self._seconds, 1e-9)
        if share < _REPORTED_SHARE or waited < _REPORTED_S:
            return ""
        return (
            f"Steps waited for data {waited:.1f} s, {share:.0%} of the time. In the pipeline, prefetch(AUTOTUNE), "
            "map(..., num_parallel_calls=AUTOTUNE) and cache() help."
        )

    @property
    def data_counters(self) -> dict[str, Any]:
        """How long steps have waited for data that is read while the model is trained; empty for arrays."""
        if not isinstance(self._dataset, BatchStream):
            return {}
        return {"waited_for_data_s": round(self._dataset.waited_s, 6)}

    def progress(self, state: State) -> dict[str, Any]:
        """Where training is, as JSON values.

        Args:
            state: that of the training, now.
        """
        step = self.trainer.steps_done
        is_stream = isinstance(self._dataset, BatchStream)  # which goes on where it is, also in another epoch
        undone = [self._dataset.place] if isinstance(self._dataset, BatchStream) else state.undone
        sums = self.trainer.means.sums() if state.sums is None else state.sums
        return {
            "epoch": self.epoch,
            "step": step,
            "undone": [[pass_index, *part] for pass_index, part in undone] if step or is_stream else None,
            "sums": sums.tolist() if step else None,
            "data": self._data(),
            "stopped": self.is_stopped,
            "callbacks": self._callbacks.states(),
        }

    def resume(self, progress: dict[str, Any], folder: str) -> None:
        """Go on from there.

        Args:
            progress: what `progress` has returned.
            folder: where it was found, for the error message.

        Raises:
            StorageError: it was another order of other examples.
        """
        if progress["step"] and progress["data"] != self._data():
            raise StorageError(
                f"{folder} was saved within an epoch over {progress['data']}. Received: {self._data()}. Pass the "
                "same examples, shuffle and seed, or remove it."
            )
        self.epoch, self.trainer.steps_done = int(progress["epoch"]), int(progress["step"])
        undone = [Positions(index, Range(begin, end)) for index, begin, end in progress["undone"] or ()]
        if isinstance(self._dataset, BatchStream) and undone:
            self._dataset.go_on(undone[0])
        if progress["step"]:
            self._rest = Rest(undone, np.array(progress["sums"]), int(progress["step"]))
        self.is_stopped = bool(progress["stopped"])
        self._callbacks.resume(progress["callbacks"], self.epoch, self.trainer.steps_done)

    def _data(self) -> dict[str, Any]:
        return dict(self._schedule.identity())
