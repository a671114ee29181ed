"""GradientTape: records what is computed, and goes back through it.

    with GradientTape() as tape:
        loss = np.mean(np.square(x @ w - y))
    d_w = tape.gradient(loss, w)

The records lie in the order in which they were made, so a result comes behind everything it was computed from. Going
backwards through them, the gradient of each result is complete when its record comes, and its rule gives the
contributions to the gradients of the operands, which add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from distrib.autodiff.backward import Backward
from distrib.autodiff.operations import Dispatch
from distrib.autodiff.recorder import (
    Node,
    Readable,
    Record,
    RecordingOn,
    enter,
    leave,
    open_tapes,
)
from distrib.autodiff.structures import flat, in_structure
from distrib.autodiff.tensor import Tensor, as_tensor, node_of
from distrib.base.arguments import HasArguments, checked
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError


class GradientTape(HasArguments):
    """Records operations for automatic differentiation, with TensorFlow's names.

    Variables that are trainable are tracked when they are read, and tensors after `watch`. NumPy functions,
    operators, and the functions of `distrib.tf` are recorded; so are layers and losses, each as one operation.

    Args:
        persistent: whether `gradient` may be called several times. Memory is then kept until the tape is gone.
        watch_accessed_variables: whether variables are tracked without `watch`.

    Attributes:
        records: what was recorded.
        is_persistent: as given.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self.records: list[Record] = []
        self.watches_variables = watch_accessed_variables
        self.is_persistent, self._is_used = persistent, False
        self._watched: dict[int, Any] = {}
        self._read: dict[int, Any] = {}

    def __enter__(self) -> GradientTape:
        if self in open_tapes():
            raise ConfigError("This GradientTape records already. Make one for each with statement.")
        enter(self)
        return self

    def __exit__(self, *error: object) -> None:
        leave(self)

    def watch(self, tensor: Any) -> None:
        """Track a tensor, or a variable; or a list of these.

        Raises:
            ConfigError: something else, such as an array of NumPy: make a tensor of it with `constant`.
        """
        for each in flat(tensor):
            if isinstance(each, Readable):
                self._watched[id(each)] = each
            elif not isinstance(each, Tensor):
                raise ConfigError(
                    f"GradientTape.watch expects tensors or variables. Received: {type(each).__name__}. Make a "
                    "tensor of it: x = distrib.constant(x)."
                )
            elif each.dtype.kind != "f":
                raise ConfigError(
                    f"GradientTape.watch expects tensors of floats. Received: dtype {each.dtype}. Use tf.cast."
                )
            elif each.node is None:
                each.node = Node((self,))
            elif self not in each.node.tapes:
                each.node.tapes = (*each.node.tapes, self)

    def watched_variables(self) -> tuple[Any, ...]:
        """The variables that were read so far, in order."""
        return tuple(self._read.values())

    def tracks(self, variable: Any) -> bool:
        """Whether it tracks a variable that is being read."""
        is_tracked = id(variable) in self._watched or (self.watches_variables and variable.trainable)
        if is_tracked:
            self._read[id(variable)] = variable
        return is_tracked

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """A pause of this tape."""
        with RecordingOn(tuple(each for each in open_tapes() if each is not self)):
            yield

    def reset(self) -> None:
        """Forget all records."""
        self.records.clear()
        self._read.clear()
        self._is_used = False

    @checked
    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """The gradient of the sum of a target's elements.

        Args:
            target: a tensor, or a structure of tensors, whose gradients are added.
            sources: variables, or tensors that were watched or computed; one, or a list, tuple or dict.
            output_gradients: weights of the target's elements, in the structure of `target`; 1 by default.
            unconnected_gradients: what there is for a source that the target does not depend on: `"none"` for None,
                or `"zero"` for zeros.

        Returns:
            Tensors of the shape and dtype of the sources, in their structure.

        Raises:
            ConfigError: the tape was used up, a target that has no floats, or a variable was assigned since.
        """
        if unconnected_gradients not in ("none", "zero", "NONE", "ZERO"):
            raise ConfigError(
                f'Expected unconnected_gradients "none" or "zero". Received: {unconnected_gradients!r}.'
            )
        wanted = flat(sources)
        found = self.gradients(
            flat(target), wanted, None if output_gradients is None else flat(output_gradients)
        )
        if unconnected_gradients in ("zero", "ZERO"):
            for index, (source, gradient) in enumerate(zip(wanted, found, strict=True)):
                if gradient is None:
                    found[index] = as_tensor(np.zeros(source.shape, source.dtype))
        return in_structure(sources, found)

    def gradients(
        self,
        targets: Sequence[Any],
        sources: Sequence[Any],
        output_gradients: Sequence[Any] | None = None,
        into: Mapping[Any, Array] | None = None,
    ) -> list[Any]:
        """See `gradient`, for lists.

        Args:
            targets: tensors.
            sources: variables and tensors.
            output_gradients: of the targets; None for 1.
            into: variable -> memory to write its gradient to; the result has it, or None, as without.
        """
        self._check_unused()
        try:
            return self._back(targets, sources, output_gradients, into)
        finally:
            if not self.is_persistent:
                self.records.clear()

    def _check_unused(self) -> None:
        if self._is_used and not self.is_persistent:
            raise ConfigError(
                "A GradientTape computes gradients once. Received: another call of gradient. Use "
                "GradientTape(persistent=True)."
            )
        self._is_used = True

    def _back(
        self,
        targets: Sequence[Any],
        sources: Sequence[Any],
        output_gradients: Sequence[Any] | None = None,
        into: Mapping[Any, Array] | None = None,
    ) -> list[Any]:
        keys = [_key_of(each) for each in sources]
        seeds: dict[Any, Any] = {}
        for number, target in enumerate(targets):
            node = node_of(target.read() if isinstance(target, Readable) else target)
            if node is None:
                continue
            given = None if output_gradients is None else output_gradients[number]
            seed = as_tensor(np.ones(target.shape, target.dtype) if given is None else given)
            if seed.shape != target.shape:
                seed = as_tensor(np.broadcast_to(seed, target.shape))
            key = node.key
            seeds[key] = seeds[key] + seed if key in seeds else seed
        others = tuple([each for each in open_tapes() if each is not self])
        with RecordingOn(others):
            found: list[Any] = Backward(self, seeds, keys, into or {}, bool(others)).run()
        return found

    @checked
    def jacobian(self, target: Any, sources: Any, unconnected_gradients: str = "none", **kwargs: Any) -> Any:
        """The derivatives of each element of a target.

        Args:
            target: a tensor.
            sources: see `gradient`.
            unconnected_gradients: see `gradient`.
            kwargs: `parallel_iterations` and `experimental_use_pfor`, without effect.

        Returns:
            `(*target.shape, *source.shape)` for each source, in their structure.
        """
        wanted = flat(sources)
        rows: list[list[Any]] = []
        self._check_unused()
        is_persistent, self.is_persistent = self.is_persistent, True
        for index in range(target.size):
            seed = np.zeros(target.size, target.dtype)
            seed[index] = 1
            rows.append(self._back([target], wanted, [seed.reshape(target.shape)]))
        self.is_persistent = is_persistent
        if not is_persistent:
            self.records.clear()
        found: list[Any] = []
        for source, column in zip(wanted, zip(*rows, strict=True), strict=True):
            if column[0] is None and unconnected_gradients in ("zero", "ZERO"):
                found.append(as_tensor(np.zeros((*target.shape, *source.shape), source.dtype)))
            else:
                is_none = column[0] is None
                found.append(
                    None if is_none else np.reshape(np.stack(column), (*target.shape, *source.shape))
                )
        return in_structure(sources, found)

    @checked
    def batch_jacobian(
        self, target: Any, source: Any, unconnected_gradients: str = "none", **kwargs: Any
    ) -> Any:
        """The derivatives of each example's outputs by its own inputs.

        Args:
            target: `(batch, ...)`; each row depends on the same row of `source` only.
            source: `(batch, ...)`.
            unconnected_gradients: see `gradient`.
            kwargs: see `jacobian`.

        Returns:
            `(batch, *target.shape[1:], *source.shape[1:])`.
        """
        whole = self.jacobian(
            np.sum(np.asarray(target), 0) if node_of(target) is None else _summed(target), source
        )
        if whole is None:
            return (
                None
                if unconnected_gradients in ("none", "NONE")
                else as_tensor(np.zeros((len(target), *target.shape[1:], *source.shape[1:]), source.dtype))
            )
        return np.moveaxis(whole, target.ndim - 1, 0)


Dispatch.tape = GradientTape


def _summed(target: Any) -> Any:
    """The sum over the batch, recorded by the tapes that track the target."""
    with RecordingOn(target.node.tapes):
        return np.sum(target, 0)


def _key_of(source: Any) -> Any:
    if isinstance(source, Readable):
        return source
    node = node_of(source)
    if node is None and not isinstance(source, np.ndarray):
        raise ConfigError(
            f"GradientTape.gradient expects variables or tensors as sources. Received: {type(source).__name__}."
        )
    return None if node is None else node.key
