"""Stages that a pipeline begins with. A stage yields blocks of elements, and knows how many there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from distrib.base.errors import ConfigError, DataError, DistribError
from distrib.data.pipeline.blocks import Block, Slices, Values
from distrib.data.pipeline.iteration import Iteration
from distrib.data.pipeline.spec import Spec
from distrib.data.pipeline.structure import as_component, leaves, mapped

INFINITE, UNKNOWN = -1, -2
"""Numbers of elements, as `tf.data` has them."""

Elements = Iterator[Block]


class Stage(ABC):
    """One step of a pipeline.

    Attributes:
        place: how many stages are before it.
    """

    place = 0

    @property
    @abstractmethod
    def cardinality(self) -> int:
        """How many elements there are; `INFINITE` or `UNKNOWN`."""

    @abstractmethod
    def blocks(self, iteration: Iteration) -> Elements:
        """The elements of a pass, in order."""


class SliceStage(Stage):
    """Rows of arrays. Raises `DataError` for arrays of different lengths, or none."""

    def __init__(self, tensors: Any) -> None:
        self._arrays = mapped(_as_rows, tensors)
        lengths = [len(each) for each in leaves(self._arrays)]
        if not lengths or len(set(lengths)) > 1:
            raise DataError(f"from_tensor_slices expects arrays of one length. Received: {lengths}.")
        self._count = lengths[0]

    @property
    def cardinality(self) -> int:
        return self._count

    def blocks(self, iteration: Iteration) -> Elements:
        yield Slices(self._arrays)


class ValueStage(Stage):
    """Elements that are there: those of `from_tensors`, of a window, or of a list."""

    def __init__(self, values: Block) -> None:
        self._values = values

    @property
    def cardinality(self) -> int:
        return len(self._values)

    def blocks(self, iteration: Iteration) -> Elements:
        yield self._values


class RangeStage(Stage):
    """Integers, or numbers of another dtype."""

    def __init__(self, numbers: range, dtype: Any) -> None:
        self._numbers, self._dtype = numbers, np.dtype(dtype)

    @property
    def cardinality(self) -> int:
        return len(self._numbers)

    def blocks(self, iteration: Iteration) -> Elements:
        numbers, size = self._numbers, 4096
        for begin in range(0, len(numbers), size):
            part = numbers[begin : begin + size]
            yield Slices(np.arange(part.start, part.stop, part.step, dtype=np.int64).astype(self._dtype))


class GeneratorStage(Stage):
    """What a generator yields, read in every pass from its beginning.

    Args:
        generator: returns an iterable.
        args: passed to it.
        signature: what each element is like; None to take that of the first.
    """

    def __init__(
        self, generator: Callable[..., Iterable[Any]], args: tuple[Any, ...], signature: Any
    ) -> None:
        if not callable(generator):
            raise ConfigError(
                f"from_generator expects a function that returns an iterable. Received: {type(generator).__name__}. "
                "Pass lambda: ..., for the data is read again in every epoch."
            )
        self._generator, self._args, self._signature = generator, args, signature

    @property
    def cardinality(self) -> int:
        return UNKNOWN

    def blocks(self, iteration: Iteration) -> Elements:
        signature, number = self._signature, 0
        source = iter(self._generator(*self._args))
        while True:
            try:
                value = next(source)
            except StopIteration:
                return
            except DistribError:
                raise
            except Exception as error:
                raise DataError(
                    f"The generator of a Dataset failed at element {number}: {type(error).__name__}: {error}"
                ) from error
            element = _checked(value, signature, number)
            if signature is None:
                signature = mapped(lambda each: Spec((None,) * each.ndim, each.dtype), element)
            yield Values([element])
            number += 1


def _checked(value: Any, signature: Any, number: int) -> Any:
    """An element of a generator. Raises `DataError` unless it is as the signature says."""
    if signature is None:
        return mapped(as_component, value)
    if isinstance(signature, tuple) and isinstance(value, list):
        value = tuple(value)

    def check(spec: Spec, each: Any) -> Any:
        array = as_component(each)
        if array.dtype != spec.dtype and np.can_cast(array.dtype, spec.dtype, "same_kind"):
            array = array.astype(spec.dtype)
        if not spec.fits(array):
            raise DataError(
                f"Element {number} of a generator: expected {spec}. Received: {array.dtype} of shape {array.shape}."
            )
        return array

    try:
        return mapped(check, signature, value)
    except DataError as error:
        if str(error).startswith("Element"):
            raise
        raise DataError(f"Element {number} of a generator: {error}") from None


def _as_rows(value: Any) -> Any:
    array = as_component(value) if not isinstance(value, np.memmap) else value
    if array.ndim == 0:
        raise DataError("from_tensor_slices expects arrays with rows. Received: a number. Use from_tensors.")
    return array
