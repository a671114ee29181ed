"""Validates the descriptions that workers send as JSON, before they are used."""

from __future__ import annotations

import math
from typing import Any

from distrib.base.arrays import training_dtype
from distrib.base.errors import ConfigError, ProtocolError
from distrib.base.parse_json import parse_json
from distrib.nn import constraints, optimizers, regularizers
from distrib.ps.policy.admission.rules import MAX_STREAMS, Rules, rules_from_config
from distrib.ps.policy.order.phases import LARGEST_RATE
from distrib.ps.policy.ranges import ranges_of

_MODEL = {
    "size": int,
    "dtype": str,
    "optimizer": dict,
    "learning_rate": (int, float),
    "penalties": list,
    "layout": list,
    "rules": dict,
    "ps": list,
}
_PHASE = {"kind": str, "num_examples": int, "batch_size": int, "steps_per_epoch": int, "num_sums": int}
_MAX_SUMS = 4096
_MAX_NUMBER = 1 << 53
_MAX_PASSES = 100_000
"""Passes over the data in an epoch. A span is kept for each."""


def model_description(text: str) -> tuple[dict[str, Any], Rules]:
    """The description of a model, and its rules. Raises `ProtocolError` or `ConfigError` for any other text."""
    description = _parsed(text, _MODEL)
    rules = rules_from_config(description["rules"])
    training_dtype(description["dtype"])
    if not 0 <= description["learning_rate"] <= LARGEST_RATE:
        raise ProtocolError(
            f"Expected a learning rate of 0 to {LARGEST_RATE:g}. Received: {description['learning_rate']}."
        )
    if rules.num_workers + len(description["ps"]) > MAX_STREAMS:
        raise ConfigError(
            f"A ps serves {MAX_STREAMS} workers and other ps at most. Received: {rules.num_workers} workers, "
            f"{len(description['ps'])} ps."
        )
    try:
        optimizers.from_config(_without_state(description["optimizer"]))
        for config, begin, end in description["penalties"]:
            regularizers.from_config(config)
            _positions(begin, end)
        for name in ("training", "iterations"):
            _positions(0, description.get(name, 0))
        if "start" in description:
            start = description["start"]
            rate = float(start["learning_rate"])
            if not (type(start["step"]) is int and start["step"] >= 0 and 0 <= rate <= LARGEST_RATE):
                raise ProtocolError(f"Expected a step and a learning rate. Received: {str(start)[:80]}.")
            str(start["origin"])
        shapes, limits = description.get("shapes", []), description.get("constraints", {})
        for (_, begin, end), shape in zip(description["layout"], shapes, strict=False):
            if math.prod(map(int, shape)) != end - begin or min(shape, default=0) < 0:
                raise ProtocolError(
                    f"Expected a shape of {end - begin} elements. Received: {str(shape)[:80]}."
                )
        for config in limits.values():
            constraints.from_config(config)
        for name, begin, end in description["layout"]:
            str(name)
            _positions(begin, end)
        ranges_of(description, len(description["ps"]) or 1)
    except ConfigError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise ProtocolError(f"The description of the model is invalid: {error}") from None
    return description, rules


def phase_description(text: str) -> dict[str, Any]:
    """The description of an epoch, or of the vote after it. Raises `ProtocolError` for any other text."""
    description = _parsed(text, _PHASE)
    numbers = [description[name] for name in ("num_examples", "batch_size", "steps_per_epoch")]
    num_examples, batch_size, num_steps = numbers
    epoch, rate = description.get("epoch", 0), description.get("learning_rate", 0.0)
    if (
        not isinstance(epoch, int)
        or epoch < 0
        or description["kind"] not in ("train", "test", "vote", "loop", "join")
        or min(numbers) < 1
        or max(*numbers, epoch) > _MAX_NUMBER
        or num_steps > _MAX_PASSES * -(-num_examples // batch_size)
        or not isinstance(rate, (int, float))
        or not 0 <= rate <= LARGEST_RATE
        or not isinstance(description.get("stops", False), bool)
    ):
        raise ProtocolError(f"The description of an epoch is invalid: {str(description)[:400]}.")
    try:
        for index, begin, end in description.get("undone", []):
            _positions(index, index)
            _positions(begin, end)
        totals = [float(each) for each in description.get("totals", [])]
    except (TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"The remaining positions of an epoch are invalid: {error}") from None
    if totals and len(totals) != description["num_sums"]:
        raise ProtocolError(f"Expected {description['num_sums']} sums. Received: {len(totals)}.")
    if not 0 < description["num_sums"] <= _MAX_SUMS:
        raise ProtocolError(f"Expected 1 to {_MAX_SUMS} sums. Received: {description['num_sums']}.")
    return description


def _without_state(optimizer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in optimizer.items() if key != "iterations"}


def _positions(begin: Any, end: Any) -> None:
    if not (isinstance(begin, int) and isinstance(end, int) and 0 <= begin <= end):
        raise ProtocolError(f"Expected a range of positions. Received: {begin!r} to {end!r}.")


def _parsed(text: str, expected: dict[str, Any]) -> dict[str, Any]:
    try:
        description = parse_json(text, finite=True)
    except ValueError as error:
        raise ProtocolError(f"Expected a description as JSON: {error}") from None
    if not isinstance(description, dict):
        raise ProtocolError("Expected a description as a JSON object.")
    for name, kind in expected.items():
        value = description.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ProtocolError(f"The description lacks a proper {name}. Received: {str(value)[:80]!r}.")
    return description
