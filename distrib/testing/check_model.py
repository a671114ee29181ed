"""check_model: all checks of a model in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from distrib.base.arguments import checked
from distrib.testing import checks
from distrib.testing.report import Report, Result
from distrib.testing.subject import MakeModel, Subject

_ROWS = 12

_CHECKS: Mapping[str, Callable[[Subject], Result]] = {
    "shapes": checks.check_shapes,
    "finite": checks.check_finite,
    "loss is not zero": checks.check_loss,
    "every variable has a gradient": checks.check_gradients,
    "gradient is the slope": checks.check_slope,
    "two halves are the batch": checks.check_halves,
    "an empty part is zero": checks.check_empty,
    "examples do not mix": checks.check_rows,
    "same output twice": checks.check_repeats,
    "same training twice": checks.check_training_repeats,
    "learns": checks.check_learns,
}


@checked
def check_model(
    make_model: MakeModel,
    x: Any,
    y: Any,
    strategies: Sequence[str] = ("default", "mirrored:2", "mirrored:3", "ps-sync:2"),
    bounds: tuple[float, float] | None = None,
    skip: Sequence[str] = (),
    raises: bool = True,
) -> Report:
    """Check that a model computes what can be trained, on any number of replicas.

    The first examples are used. Nothing is left behind: models are new ones, and their names and seeds are counted
    apart.

    Args:
        make_model: returns a compiled model, another one at each call.
        x: inputs, as `fit` takes them.
        y: targets, likewise; of data that can be learnt, such as that of `easy_classification`.
        strategies: what is trained on besides one process, each with the number of replicas, which are threads.
        bounds: of the outputs, such as `(0, 1)`; not checked by default.
        skip: names of checks to leave out.
        raises: whether to raise an error that shows all answers if one is not good.

    Returns:
        The answers.

    Raises:
        AssertionError: see `raises`.
    """
    x, y = _first(x), _first(y)
    every = dict(_CHECKS)
    if bounds is not None:
        every["bounds"] = partial(checks.check_bounds, bounds=bounds)
    for strategy in strategies:
        if strategy != "default":
            every[f"{strategy} trains the same"] = partial(checks.check_replicas, strategy=strategy)
    results = [_answer(name, check, make_model, x, y) for name, check in every.items() if name not in skip]
    report = Report(results)
    if raises and not report.is_ok:
        raise AssertionError(f"The model does not pass {', '.join(report.failed)}:\n{report}")
    return report


def _answer(name: str, check: Callable[[Subject], Result], make_model: MakeModel, x: Any, y: Any) -> Result:
    """That of a check of a new model. What the model raises is an answer, too."""
    try:
        return check(Subject(make_model, x, y))
    except Exception as error:
        return Result(name, False, f"{type(error).__name__}: {error}", "See the error.")


def _first(data: Any) -> Any:
    """The first examples, of arrays in any structure."""
    if isinstance(data, dict):
        return {name: _first(each) for name, each in data.items()}
    if isinstance(data, list | tuple) and any(hasattr(each, "__array__") for each in data):
        return [_first(each) for each in data]
    return np.asarray(data)[:_ROWS]
