"""What an optimizer keeps, in the order in which Keras' files have it.

Number of updates, learning rate (but for a schedule, and not in Keras 2), averages, accumulated gradients, slots: all
slots of a variable before those of the next, but for RMSprop, which lists one slot of all variables before the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import StorageError

_BY_SLOT = {"RMSprop"}
_LAST = {"velocity_hat"}
"""Slots that are listed by themselves, after the others."""


def optimizer_arrays(
    class_name: str,
    config: Mapping[str, Any],
    step: int,
    slots: Mapping[str, Sequence[Array]],
    shapes: Mapping[str, Shape],
    dtype: np.dtype[Any],
) -> dict[str, Array]:
    """What an optimizer of Keras keeps, by names of Keras, in its order.

    Args:
        class_name: of the optimizer.
        config: its arguments.
        step: number of its updates.
        slots: arrays of all variables that are trained, by the names of slots, in the order of `shapes`.
        shapes: of the variables, by name.
        dtype: of the variables.
    """
    own, accumulated = class_name.lower(), config.get("gradient_accumulation_steps")
    found = {"iteration": np.asarray(step * (accumulated or 1), np.int32)}
    if isinstance(config["learning_rate"], float):
        found["learning_rate"] = np.asarray(config["learning_rate"], np.float32)
    index_of = {name: index for index, name in enumerate(shapes)}
    for name, shape, what in _places(class_name, config, list(slots), shapes):
        found[f"{name}_{what}"] = _slot_to_keras(class_name, what, slots, index_of[name], shape, dtype)
    if class_name == "Nadam":
        found["u_product"] = np.asarray(_u_product(config, step), np.float32)
    return {f"{own}/{name}": array for name, array in found.items()}


def slots_from_keras(
    class_name: str,
    config: Mapping[str, Any],
    slot_names: Sequence[str],
    shapes: Mapping[str, Shape],
    arrays: Sequence[Array],
    file: str,
) -> tuple[int, float | None, dict[str, Array]]:
    """The number of updates, the learning rate, and the slots as `<slot>/<variable>`.

    Args:
        class_name: of the optimizer.
        config: its arguments.
        slot_names: names of its slots.
        shapes: of the variables that are trained, by name.
        arrays: in the order of Keras.
        file: name of the file, for errors.

    Raises:
        StorageError: other arrays.
    """
    places = list(_places(class_name, config, slot_names, shapes))
    fixed = 1 + len(places) + (class_name == "Nadam")
    has_rate = isinstance(config["learning_rate"], float) and len(arrays) != fixed
    count = fixed + has_rate
    if len(arrays) != count or arrays[0].shape or (has_rate and arrays[1].shape):
        raise StorageError(f"{file}: expected {count} arrays of {class_name}. Received: {len(arrays)}.")
    iteration, rate = arrays[0], float(arrays[1]) if has_rate else 0.0
    if iteration.dtype.kind not in "iu" or iteration < 0 or not 0 <= rate < math.inf:
        raise StorageError(f"{file}: expected a count and a learning rate. Received: {iteration}, {rate}.")
    step = int(iteration) // int(config.get("gradient_accumulation_steps") or 1)
    found: dict[str, Array] = {}
    for (name, shape, what), array in zip(places, arrays[1 + has_rate :], strict=False):
        if array.shape != shape:
            raise StorageError(
                f"{file}: expected the shape {shape} for {what} of {name} in the optimizer. Received: {array.shape}."
            )
        _slot_from_keras(found, class_name, what, name, array, shapes[name])
    return step, rate if has_rate else None, found


def _places(
    class_name: str, config: Mapping[str, Any], slot_names: Sequence[str], shapes: Mapping[str, Shape]
) -> Iterator[tuple[str, Shape, str]]:
    """The arrays of variables in Keras' order: variable, shape, and which slot."""
    if config.get("use_ema"):
        yield from ((name, shape, "average") for name, shape in shapes.items())
    if config.get("gradient_accumulation_steps"):
        yield from ((name, shape, "gradient_accumulator") for name, shape in shapes.items())
    if class_name == "Adafactor":
        for name, shape in shapes.items():
            yield name, shape[:-1] if len(shape) > 1 else (), "r"
            yield name, (*shape[:-2], shape[-1]) if len(shape) > 1 else (), "c"
            yield name, shape, "v"
        return
    own = [slot for slot in slot_names if slot != "average"]
    if class_name in _BY_SLOT:
        yield from ((name, shape, slot) for slot in own for name, shape in shapes.items())
        return
    together, last = [each for each in own if each not in _LAST], [each for each in own if each in _LAST]
    yield from ((name, shape, slot) for name, shape in shapes.items() for slot in together)
    yield from ((name, shape, slot) for slot in last for name, shape in shapes.items())


def _slot_to_keras(
    class_name: str,
    what: str,
    slots: Mapping[str, Sequence[Array]],
    index: int,
    shape: Shape,
    dtype: np.dtype[Any],
) -> Array:
    if what == "gradient_accumulator":
        return np.zeros(shape, dtype)
    if class_name != "Adafactor" or what == "average":
        return slots[what][index]
    rows, columns = slots["rows"][index], slots["columns"][index]
    if rows.ndim < 2:
        return rows if what == "v" else np.zeros(shape, rows.dtype)
    if what == "v":
        return np.zeros(shape, rows.dtype)  # is computed from the others
    size = int(np.prod(shape))
    return (rows if what == "r" else columns).reshape(-1)[:size].reshape(shape)


def _slot_from_keras(
    found: dict[str, Array], class_name: str, what: str, name: str, array: Array, shape: Shape
) -> None:
    if what == "gradient_accumulator":
        return
    if class_name != "Adafactor" or what == "average":
        found[f"{what}/{name}"] = array
        return
    for slot in ("rows", "columns"):
        found.setdefault(f"{slot}/{name}", np.zeros(shape, array.dtype))
    if len(shape) < 2 and what == "v":
        found[f"rows/{name}"][...] = array
    elif len(shape) >= 2 and what != "v":
        found[f"{'rows' if what == 'r' else 'columns'}/{name}"].reshape(-1)[: array.size] = array.reshape(-1)


def _u_product(config: Mapping[str, Any], step: int) -> float:
    """The product of Nadam's momentum coefficients so far, which Keras keeps and distrib computes."""
    steps = np.arange(1, step + 1)
    return float(np.prod(config["beta_1"] * (1.0 - 0.5 * np.power(0.96, steps))))
