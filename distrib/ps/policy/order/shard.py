"""Shard: one ps's range of the model: values, optimizer slots, and gradients that wait.

It executes the sequencer's log, entry by entry; it decides nothing. No I/O.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from distrib.base.arrays import Array, aligned_vector, training_dtype
from distrib.base.errors import ConfigError, ProtocolError
from distrib.base.logs import LOGGER
from distrib.base.ranges import Range
from distrib.nn import constraints, optimizers, regularizers
from distrib.nn.optimizers import Optimizer
from distrib.nn.optimizers.registry import completed
from distrib.nn.optimizers.tensor_part import TensorPart
from distrib.nn.regularizers import Regularizer
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.command_log import Apply, Cut, Discard, Entry, Install, Keep, Pull
from distrib.ps.policy.ranges import ranges_of

MOST_TRAININGS = 8


class Shard:
    """Values and slots of one range.

    Args:
        index: which ps.
        count: number of ps.

    Attributes:
        index: which ps.
        own: the range of the flat vector.
        values: `(own.size,)`.
        version: updates so far.
        description: of the model that is trained, see `prepare`; empty before there is one.
    """

    def __init__(self, index: int, count: int) -> None:
        self.index, self._count = index, count
        self.own = Range(0, 0)
        self.values = np.empty(0, np.float32)
        self.version = 0
        self.description: dict[str, Any] = {}
        self._kind: tuple[Any, ...] = ()
        self._optimizer: Optimizer | None = None
        self._newest_training = -1
        self._trainings: dict[int, tuple[tuple[Any, ...], Optimizer]] = {}
        self._penalties: list[tuple[Regularizer, Range]] = []
        self._staged: dict[PushId, Array] = {}
        self._models: dict[PushId, dict[str, Any]] = {}  # of the values that wait there to be installed
        self._layout: list[tuple[str, int, int]] = []

    def prepare(self, description: dict[str, Any]) -> None:
        """Make room for a model; slots stay if it is the one before.

        Args:
            description: `size`, `dtype`, `optimizer` (its config) and `penalties` (config, begin,
                end) and `layout` (name, begin, end); may have `shapes` of the layout,
                `constraints` (name -> config) and `undecayed` (names).

        Raises:
            ConfigError: an optimizer or a regularizer that is not built in.
        """
        self.description = description
        size, dtype = int(description["size"]), training_dtype(description["dtype"])
        config = {
            key: value
            for key, value in completed(description["optimizer"]).items()
            if key not in ("learning_rate", "iterations")
        }
        self.own = ranges_of(description, self._count)[self.index]
        tensors = _tensors(description, self.own)
        training = int(description.get("training", 0))
        limits = {key: description.get(key) for key in ("layout", "shapes", "constraints", "undecayed")}
        of_tensors = json.dumps(limits, sort_keys=True)  # the same for a description that a checkpoint holds
        kind = (size, dtype, sorted(config.items(), key=str), of_tensors, training)
        self._layout = description["layout"]
        self._penalties = []
        for penalty, begin, end in description["penalties"]:
            part = self.own.intersect(Range(begin, end))
            if part.size:
                shifted = Range(part.begin - self.own.begin, part.end - self.own.begin)
                self._penalties.append((regularizers.from_config(penalty), shifted))
        if kind == self._kind:
            return
        former, optimizer = self._trainings.pop(training, ((), None))
        if optimizer is None and training <= self._newest_training:
            LOGGER.warning(
                "ps:%d no longer has the moments of training %d of the script, which goes on: they begin anew. A ps "
                "keeps those of the last %d trainings, and a checkpoint those of the last one.",
                self.index,
                training,
                MOST_TRAININGS,
            )
        if former != kind or optimizer is None:
            optimizer = optimizers.from_config(description["optimizer"])
            optimizer.iterations = int(description.get("iterations", 0))
            optimizer.build(self.own.size, dtype, tensors=tensors)
        self._trainings[training] = kind, optimizer
        self._newest_training = max(training, self._newest_training)
        if len(self._trainings) > MOST_TRAININGS:
            del self._trainings[next(iter(self._trainings))]  # the one that was trained longest ago
        self.values = aligned_vector(self.own.size, dtype)
        self._optimizer, self._kind = optimizer, kind
        self._staged.clear()

    def snapshot(self) -> dict[str, Array]:
        """Copies of the values and of the optimizer's slots."""
        assert self._optimizer is not None
        return {
            "values": self.values.copy(),
            **{name: slot.copy() for name, slot in self._optimizer.slots.items()},
        }

    def restore(self, description: dict[str, Any], vectors: dict[str, Array], version: int) -> None:
        """Take this ps's part of saved vectors of the whole model.

        Args:
            description: see `prepare`.
            vectors: `values` and the slots, each `(size,)`.
            version: updates they have seen.
        """
        self._newest_training = int(description.get("training", 0)) - 1
        self.prepare(description)
        assert self._optimizer is not None
        for name, slot in {"values": self.values, **self._optimizer.slots}.items():
            slot[...] = vectors[name][self.own.slice]
        self._optimizer.iterations = self.version = version

    def check(self, gradient: Array, allow_nonfinite: bool) -> None:
        """Raise `ProtocolError` for a gradient of another model, or with NaN or Inf where they are not allowed."""
        if gradient.shape != self.values.shape or gradient.dtype != self.values.dtype:
            raise ProtocolError(
                f"A gradient of another model than the one that is trained. Expected: {self.values.size} elements of "
                f"{self.values.dtype} on ps:{self.index}. Received: {gradient.size} of {gradient.dtype}."
            )
        if allow_nonfinite or math.isfinite(np.dot(gradient, gradient)) or np.isfinite(gradient).all():
            return
        index = self.own.begin + int(np.flatnonzero(~np.isfinite(gradient))[0])
        names = [name for name, begin, end in self._layout if begin <= index < end]
        raise ProtocolError(
            f"NaN or Inf in the gradient of {', '.join(names)}, in a push that says it is finite."
        )

    def put(self, push: PushId, vector: Array) -> None:
        """Keep a gradient, or the chief's values, until an entry says what to do. It may be overwritten then."""
        self._staged[push] = vector

    def put_model(self, push: PushId, vector: Array, description: dict[str, Any]) -> None:
        """Keep what the chief brings. Only an entry makes it the model that is trained: it may be refused yet.

        Raises:
            ConfigError: several ps cannot train it.
        """
        if description["optimizer"].get("global_clipnorm") is not None and self._count > 1:
            raise ConfigError("global_clipnorm needs the whole gradient on one ps. Received: several ps.")
        optimizer = optimizers.from_config(_without_iterations(description["optimizer"]))
        needs_whole = optimizer.whole_tensors or description.get("constraints")
        if needs_whole and self._count > 1 and not description.get("whole_tensors"):
            raise ConfigError(
                f"{type(optimizer).__name__} needs whole tensors (Lamb, Adafactor, clipnorm, constraints). "
                f"Received: {self._count} ps that cut them."
            )
        self._models[push] = description
        self.put(push, vector)

    @property
    def waiting(self) -> frozenset[PushId]:
        """The vectors that are kept until an entry says what to do with them."""
        return frozenset(self._staged) | frozenset(self._models)

    def execute(self, entry: Entry) -> None:
        """Execute the next entry of the log."""
        if isinstance(entry, Apply):
            self.apply(entry)
        elif isinstance(entry, Discard):
            self._staged.pop(entry.push, None)
            self._models.pop(entry.push, None)
        elif isinstance(entry, Keep):
            self._staged[entry.push] = self._staged[entry.push].copy()
        elif isinstance(entry, Install):
            brought = self._staged.pop(entry.push)
            self.prepare(self._models.pop(entry.push, self.description))
            self._install(brought, entry.version)
        else:
            assert isinstance(entry, Pull | Cut)

    def state(self) -> Array:
        """A copy of the values, followed by the slots, as the chief registers them."""
        return np.concatenate(list(self.snapshot().values()))

    def _install(self, brought: Array, version: int | None) -> None:
        assert self._optimizer is not None
        self.values[...] = brought[: self.own.size]
        if version is not None:
            vectors = brought.reshape(-1, self.own.size)[1:]
            for slot, vector in zip(self._optimizer.slots.values(), vectors, strict=True):
                slot[...] = vector
            self._optimizer.iterations = self.version = version

    def apply(self, entry: Apply) -> None:
        """Make the gradients of these pushes one update of the values."""
        optimizer = self._optimizer
        assert optimizer is not None
        first, *others = (self._staged.pop(push) for push in entry.pushes)
        for other in others:
            first += other
        for penalty, part in self._penalties:
            penalty.add_gradient(self.values[part.slice], first[part.slice], 1.0 / entry.scale)
        scale = entry.scale
        if optimizer.global_clipnorm is not None:
            scale *= optimizer.clipping(float(np.dot(first, first)) * scale * scale)
        optimizer.learning_rate = entry.learning_rate
        optimizer.apply_range(self.values, first, scale)
        self.version = entry.version


def _without_iterations(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "iterations"}


def _tensors(description: dict[str, Any], own: Range) -> list[TensorPart]:
    """The tensors in a range, or parts of them; of a description without shapes, none."""
    limits, undecayed, parts = description.get("constraints", {}), description.get("undecayed", []), []
    for (name, begin, end), shape in zip(description["layout"], description.get("shapes", []), strict=False):
        part = own.intersect(Range(begin, end))
        if part.size:
            whole = part.size == end - begin
            parts.append(
                TensorPart(
                    name,
                    tuple(shape) if whole else (part.size,),
                    Range(part.begin - own.begin, part.end - own.begin),
                    constraints.from_config(limits[name]) if name in limits else None,
                    name not in undecayed,
                )
            )
    return parts


def num_brought(description: dict[str, Any]) -> int:
    """How many vectors the chief brings: the values and, where it goes on from a checkpoint, the slots."""
    if "start" not in description:
        return 1
    return 1 + len(optimizers.from_config(description["optimizer"]).state_names)
