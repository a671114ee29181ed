"""Dataset: a pipeline of examples, with the names, the defaults and the order of `tf.data.Dataset`."""

from __future__ import annotations

import glob
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distrib.autodiff.tensor import as_tensor
from distrib.base.arguments import checked
from distrib.base.errors import ConfigError, DataError
from distrib.data.pipeline.ahead import read_ahead
from distrib.data.pipeline.batching import BatchStage
from distrib.data.pipeline.blocks import Values
from distrib.data.pipeline.computing import (
    values_of,
)
from distrib.data.pipeline.iteration import Iteration
from distrib.data.pipeline.options import Options
from distrib.data.pipeline.ordering import (
    ZipStage,
)
from distrib.data.pipeline.sources import (
    INFINITE,
    UNKNOWN,
    GeneratorStage,
    RangeStage,
    SliceStage,
    Stage,
    ValueStage,
)
from distrib.data.pipeline.spec import Spec
from distrib.data.pipeline.structure import as_component, leaves, mapped
from distrib.data.pipeline.transformations import Transformations


class Count(int):
    """An integer that also has `numpy()`."""

    def numpy(self) -> np.int64:
        """The integer, as a number of NumPy."""
        return np.int64(self)


class Dataset(Transformations):
    """Elements in an order, which are read and computed when they are needed.

    An element is an array, or a tuple or dict of arrays, its components. Each method returns another data set; none
    changes the one that it is called on. Iterating yields tensors; `fit`, `evaluate` and `predict` take data sets of
    batches. On several replicas every one builds the same pipeline: the order is the same everywhere, and elements
    are computed only where they are used, as far as the pipeline allows it (see `docs/data.md`).

    The argument `name` of TensorFlow is taken and not looked at.

    Args:
        stage: the last step of the pipeline.
        options: see `with_options`.
        prefetched: how many elements are computed ahead by a thread, at least.

    Attributes:
        prefetched: as given; 0 for none.
    """

    def __init__(self, stage: Stage, options: Options | None = None, prefetched: int = 0) -> None:
        self._stage, self._options, self.prefetched = stage, options or Options(), prefetched
        self._num_begun = 0

    def followed_by(self, stage: Stage, prefetched: int = 0) -> Dataset:
        """See `Transformations`."""
        return Dataset(stage, self._options, max(prefetched, self.prefetched))

    # --- what it begins with ------------------------------------------------------------------------------------

    @staticmethod
    @checked
    def from_tensor_slices(tensors: Any, name: str | None = None) -> Dataset:
        """The rows of arrays.

        Args:
            tensors: an array, or a tuple or dict of arrays, `(rows, ...)`; a file that is mapped into memory
                (`np.load(..., mmap_mode="r")`) is read row by row.
            name: not looked at.

        Raises:
            DataError: their lengths differ.
        """
        return Dataset(SliceStage(tensors))

    @staticmethod
    @checked
    def from_tensors(tensors: Any, name: str | None = None) -> Dataset:
        """One element.

        Args:
            tensors: its components.
            name: not looked at.
        """
        return Dataset(ValueStage(Values([mapped(as_component, tensors)])))

    @staticmethod
    @checked
    def from_generator(
        generator: Callable[..., Iterable[Any]],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Sequence[Any] | None = None,
        output_signature: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """What a generator yields. Every replica reads all of it.

        Args:
            generator: returns an iterable; called for every pass over the data.
            output_types: a structure of dtypes; by default the first element says it.
            output_shapes: a structure of shapes, for `output_types`.
            args: passed to `generator`.
            output_signature: a structure of `TensorSpec`, instead of types and shapes.
            name: not looked at.

        Raises:
            DataError: while it is read: it has failed, or an element is not as described.
        """
        signature = output_signature
        if signature is None and output_types is not None:
            if output_shapes is None:
                signature = mapped(lambda dtype: Spec(None, dtype), output_types)
            else:
                shapes = iter(_in_order(output_shapes, output_types))
                signature = mapped(lambda dtype: Spec(next(shapes), dtype), output_types)
        return Dataset(GeneratorStage(generator, tuple(args or ()), signature))

    @staticmethod
    def range(*args: Any, output_type: Any = "int64", name: str | None = None) -> Dataset:
        """Integers, as the function `range` of Python.

        Args:
            args: `stop`, or `start, stop`, or `start, stop, step`.
            output_type: their dtype.
            name: not looked at.
        """
        return Dataset(
            RangeStage(range(*map(int, args)), getattr(output_type, "as_numpy_dtype", output_type))
        )

    @staticmethod
    def zip(*args: Any, datasets: Any = None, name: str | None = None) -> Dataset:
        """Elements of several data sets side by side, as many as the shortest has.

        Args:
            args: the data sets; or one tuple or dict of them.
            datasets: a tuple or dict of data sets.
            name: not looked at.
        """
        given = datasets if datasets is not None else args[0] if len(args) == 1 else args
        each = list(leaves(given))
        if not each or not all(isinstance(found, Dataset) for found in each):
            raise ConfigError("zip expects data sets, or a tuple or dict of them.")
        stages = mapped(lambda found: found._stage, given)
        return Dataset(ZipStage(stages), each[0]._options, max(found.prefetched for found in each))

    @staticmethod
    @checked
    def list_files(
        file_pattern: Any, shuffle: bool | None = None, seed: int | None = None, name: str | None = None
    ) -> Dataset:
        """The names of files, which a function of `map` may read.

        Args:
            file_pattern: with `*` and `?`, or several of these.
            shuffle: whether every pass has another order, as by default; otherwise they are sorted.
            seed: see `shuffle`.
            name: not looked at.

        Raises:
            DataError: there is no such file.
        """
        patterns = [file_pattern] if isinstance(file_pattern, str | Path) else list(file_pattern)
        found = sorted(path for each in patterns for path in glob.glob(str(each)))
        if not found:
            raise DataError(f"No files match {', '.join(map(str, patterns))}.")
        made = Dataset(SliceStage(np.array(found)))
        return made if shuffle is False else made.shuffle(len(found), seed)

    # --- what it is ---------------------------------------------------------------------------------------------

    @checked
    def with_options(self, options: Options, name: str | None = None) -> Dataset:
        """The same elements with other options.

        Args:
            options: see `Options`.
            name: not looked at.
        """
        return Dataset(self._stage, options, self.prefetched)

    def options(self) -> Options:
        """The options of this data set."""
        return self._options

    def cardinality(self) -> Count:
        """How many elements there are; `INFINITE_CARDINALITY` (-1) or `UNKNOWN_CARDINALITY` (-2)."""
        return Count(self._stage.cardinality)

    def __len__(self) -> int:
        count = self.cardinality()
        if count < 0:
            raise TypeError(
                f"The length of this Dataset is {'infinite' if count == INFINITE else 'unknown'}."
            )
        return count

    def __bool__(self) -> bool:
        return True

    @property
    def element_spec(self) -> Any:
        """Shapes and dtypes of an element, a structure of `TensorSpec`. The first element is computed for it."""
        iteration = Iteration()
        try:
            first = next(iter(self.take(1)._values(iteration)), None)
        finally:
            iteration.close()
        if first is None:
            raise DataError("element_spec of a Dataset without elements is unknown.")
        batches = isinstance(self._stage, BatchStage) and not self._stage.drop_remainder

        def spec(each: Any) -> Any:
            if isinstance(each, Dataset):
                return each.element_spec
            return Spec((None, *each.shape[1:]) if batches else each.shape, each.dtype)

        return mapped(spec, first)

    @checked
    def reduce(
        self, initial_state: Any, reduce_func: Callable[[Any, Any], Any], name: str | None = None
    ) -> Any:
        """What a function makes of a state and each element in turn.

        Args:
            initial_state: the first state.
            reduce_func: takes the state and an element, and returns the next state.
            name: not looked at.
        """
        state = mapped(as_component, initial_state)
        for element in self.as_numpy_iterator():
            state = mapped(as_component, reduce_func(state, element))
        return mapped(as_tensor, state)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements as plain arrays."""
        for element in self._pass():
            yield mapped(lambda each: each if isinstance(each, Dataset) else each[()], element)

    def __iter__(self) -> Iterator[Any]:
        for element in self._pass():
            yield mapped(lambda each: each if isinstance(each, Dataset) else as_tensor(each), element)

    def _pass(self) -> Iterator[Any]:
        iteration = Iteration(path=(self._num_begun,))
        self._num_begun += 1
        try:
            yield from read_ahead(self._values(iteration), self.prefetched)
        finally:
            iteration.close()

    def _values(self, iteration: Iteration) -> Generator[Any]:
        for values in values_of(self._stage.blocks(iteration)):
            yield from values

    @property
    def stage(self) -> Stage:
        """The last step of the pipeline, for what reads it block by block."""
        return self._stage

    def __repr__(self) -> str:
        count = {INFINITE: "without end", UNKNOWN: "of unknown length"}.get(self.cardinality())
        return f"<Dataset {count or f'of {self.cardinality()} elements'}>"


def _in_order(shapes: Any, types: Any) -> list[Any]:
    """The shapes at the places of a structure of dtypes."""
    if isinstance(types, tuple):
        return [each for shape, dtype in zip(shapes, types, strict=True) for each in _in_order(shape, dtype)]
    if isinstance(types, dict):
        return [each for key, dtype in types.items() for each in _in_order(shapes[key], dtype)]
    return [shapes]
