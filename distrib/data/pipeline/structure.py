"""Structures of components: tuples and dicts, inside each other. A list is an array, as in `tf.data`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from distrib.autodiff.tensor import Tensor
from distrib.base.errors import DataError


def leaves(structure: Any) -> Iterator[Any]:
    """The components, in order."""
    if isinstance(structure, Mapping):
        for each in structure.values():
            yield from leaves(each)
    elif isinstance(structure, tuple):
        for each in structure:
            yield from leaves(each)
    else:
        yield structure


def mapped(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """The same structure, with what `function` returns for the components at each place.

    Raises:
        DataError: the structures differ.
    """
    if not others:  # the case of every element, without checks
        if type(first) is np.ndarray:
            return function(first)
        if type(first) is tuple:
            return tuple([function(e) if type(e) is np.ndarray else mapped(function, e) for e in first])
    if isinstance(first, Mapping):
        _check(
            all(isinstance(each, Mapping) and each.keys() == first.keys() for each in others), first, others
        )
        return {key: mapped(function, first[key], *(each[key] for each in others)) for key in first}
    if isinstance(first, tuple):
        _check(all(isinstance(each, tuple) and len(each) == len(first) for each in others), first, others)
        found = [mapped(function, *each) for each in zip(first, *others, strict=True)]
        return type(first)(*found) if hasattr(first, "_fields") else tuple(found)
    _check(not any(isinstance(each, tuple | Mapping) for each in others), first, others)
    return function(first, *others)


def as_component(value: Any) -> Any:
    """An array of a component. Other data sets, which windows are, stay as they are."""
    if type(value) is np.ndarray or isinstance(value, np.generic):
        return value
    if isinstance(value, np.ndarray):
        return value.view(np.ndarray) if isinstance(value, Tensor) else value
    if hasattr(value, "as_numpy_iterator"):
        return value
    found = np.asarray(value)
    if found.dtype == object:
        raise DataError(f"An element of a Dataset has arrays and numbers. Received: {type(value).__name__}.")
    if found.dtype == np.float64 and not hasattr(value, "dtype"):
        return found.astype(np.float32)  # numbers of Python, as in TensorFlow
    if found.dtype == np.int64 and not hasattr(value, "dtype"):
        return found.astype(np.int32)
    return found


def stacked(elements: list[Any]) -> Any:
    """One structure with the elements along a new first axis.

    Raises:
        DataError: they differ in structure or shape.
    """
    return mapped(_stack, *elements)


def described(structure: Any) -> str:
    """Shapes and dtypes as text."""
    return str(
        mapped(
            lambda each: f"{each.dtype}{list(each.shape)}" if hasattr(each, "dtype") else "Dataset", structure
        )
    )


def _stack(*arrays: Any) -> Any:
    if not isinstance(arrays[0], np.ndarray | np.generic):
        raise DataError("Data sets, as of window, cannot be put into a batch. Use flat_map to batch each.")
    shapes = {each.shape for each in arrays}
    if len(shapes) > 1:
        raise DataError(
            f"The elements of a batch have one shape. Received: {' and '.join(map(str, list(shapes)[:3]))}. Use "
            "padded_batch, or make them alike in map."
        )
    return np.stack(arrays)


def _check(is_same: bool, first: Any, others: Any) -> None:
    if not is_same:
        other = next((each for each in others if type(each) is not type(first)), others[0])
        raise DataError(f"Expected elements of one structure. Received: {_shape(first)} and {_shape(other)}.")


def _shape(structure: Any) -> str:
    if isinstance(structure, Mapping):
        return f"a dict with {', '.join(map(str, structure))}"
    return f"a tuple of {len(structure)}" if isinstance(structure, tuple) else "one array"
