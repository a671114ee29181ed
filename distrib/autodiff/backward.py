"""Backward: one way back through the records of a tape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distrib.autodiff.operations import TAKES_MEMORY, Dispatch
from distrib.autodiff.recorder import (
    Node,
    Pullback,
    Record,
    RecordingOn,
    Tape,
    open_tapes,
    refuse,
)
from distrib.autodiff.tensor import as_tensor, tracked
from distrib.autodiff.whole import recorded
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError


class Backward:
    """One way back through the records of a tape.

    Args:
        tape: whose records.
        seeds: the gradients of the targets, by the keys of their nodes.
        wanted: the keys of the sources; None for what no tape tracks.
        into: see `GradientTape.gradients`.
        is_recorded: whether other tapes record it, for second derivatives.
    """

    def __init__(
        self,
        tape: Tape,
        seeds: dict[Any, Any],
        wanted: list[Any],
        into: Mapping[Any, Array],
        is_recorded: bool,
    ) -> None:
        self._tape, self._wanted, self._into, self._is_recorded = tape, wanted, into, is_recorded
        self._gradients = {key: seed if is_recorded else np.asarray(seed) for key, seed in seeds.items()}
        self._own: set[int] = set()  # keys whose gradient is memory of its own, which can be added to
        self._kept = {key for key in wanted if isinstance(key, Node)}  # results that are sources as well

    def run(self) -> list[Any]:
        """The gradients of the sources."""
        gradients, kept = self._gradients, self._kept
        for record in reversed(self._tape.records):
            node = record.node
            d_y = gradients.get(node) if node in kept else gradients.pop(node, None)
            if d_y is not None:
                self._through(record, d_y)
        results: list[Any] = []
        taken: set[int] = set()
        for key in self._wanted:
            gradient = None if key is None else gradients.get(key)
            if gradient is not None and not self._is_recorded and key not in self._into:
                if id(key) not in self._own and (id(gradient) in taken or not _is_own_memory(gradient)):
                    gradient = np.array(gradient)
                taken.add(id(gradient))
            results.append(None if gradient is None else as_tensor(gradient))
        return results

    def _through(self, record: Record, d_y: Any) -> None:
        """From the gradient of a result to those of its operands."""
        gradients, args, y = record.gradients, record.args, record.value
        if isinstance(gradients, Pullback):
            self._pull_back(record, gradients, d_y)
            return
        if self._is_recorded:
            args, y = self._as_tensors(record)
        kwargs, into = record.kwargs, self._into
        for index, node in record.sources:
            gradient = gradients[index] if index < len(gradients) else None
            if gradient is None or self._tape not in node.tapes:
                continue
            if into and gradient in TAKES_MEMORY and node.key in into and node.key not in self._gradients:
                d_x = gradient(d_y, y, *args, into=into[node.key], **kwargs)
            elif kwargs:
                d_x = gradient(d_y, y, *args, **kwargs)
            else:
                d_x = gradient(d_y, y, *args)
            self._add(node, d_x, record)

    def _pull_back(self, record: Record, gradients: Pullback, d_y: Any) -> None:
        if self._is_recorded and gradients.form is not None:
            for (_, node), d_x in zip(
                record.sources, self._through_form(record, gradients.form, d_y), strict=True
            ):
                if d_x is not None and self._tape in node.tapes:
                    self._add(node, d_x, record)
            return
        memory = {} if self._is_recorded else self._into_unused()
        found = list(gradients.function(d_y, memory) if gradients.takes_memory else gradients.function(d_y))
        for index, node in record.sources:
            d_x = found[index]
            if d_x is None or self._tape not in node.tapes:
                continue
            if self._tape.is_persistent and d_x is not memory.get(node.key):
                d_x = np.array(d_x)  # what was written by hand may use the same memory the next time
            if self._is_recorded:
                d_x = _not_differentiable(d_x, record, d_y)
            self._add(node, d_x, record)

    def _through_form(self, record: Record, form: Callable[..., Any], d_y: Any) -> list[Any]:
        """The gradients of an operation that is written by hand, as those of the same operation in other words."""
        inner = Dispatch.tape(watch_accessed_variables=False)
        operands = list(record.args)
        wanted = []
        for index, node in record.sources:
            operands[index] = tracked(operands[index], Node((*node.tapes, inner), node.key, node.version))
            wanted.append(operands[index])
        with RecordingOn((*open_tapes(), inner)):
            y = form(*operands)
        found: list[Any] = inner.gradients([y], wanted, [d_y])
        return found

    def _into_unused(self) -> Mapping[Any, Array]:
        return {key: memory for key, memory in self._into.items() if key not in self._gradients}

    def _as_tensors(self, record: Record) -> tuple[tuple[Any, ...], Any]:
        args = list(record.args)
        for index, node in record.sources:
            args[index] = tracked(args[index], node)
        return tuple(args), tracked(record.value, record.node)

    def _add(self, node: Node, d_x: Any, record: Record) -> None:
        key: Any = node
        if node.origin is not None:
            key = node.origin
            if node.version != key.version:
                raise ConfigError(
                    f"Variable '{key.name}' was assigned after {record.name} had used it, and before gradient(). "
                    "Compute gradients first."
                )
        gradients = self._gradients
        before = gradients.get(key)
        memory = self._into.get(key) if self._into else None
        if memory is not None:
            if before is not None:
                memory += d_x
            elif d_x is not memory:
                np.copyto(memory, d_x)
            gradients[key] = memory
        elif before is None:
            gradients[key] = d_x
        elif self._is_recorded:
            gradients[key] = before + d_x
        elif id(key) in self._own:
            before += d_x
        else:
            gradients[key] = np.asarray(np.add(before, d_x))
            self._own.add(id(key))


def _not_differentiable(d_x: Any, record: Record, d_y: Any) -> Any:
    """The gradient of an operation whose gradient is written by hand, and has none itself."""

    def refused(d: Any) -> list[Any]:
        raise refuse(f"The gradient of {record.name}")

    operands = [d_y, *(tracked(record.value, node) for _, node in record.sources)]
    return recorded(f"gradient of {record.name}", np.asarray(d_x), operands, refused)


def _is_own_memory(array: Any) -> bool:
    return array.base is None and array.flags.writeable
