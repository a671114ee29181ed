"""Advice for scripts that make a collective call on some ranks only, as under `if rank == 0:`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distrib.errors import DistribError

_ADVICE = {
    "save": "every rank calls it, and the chief alone writes",
    "save_weights": "every rank calls it, and the chief alone writes",
    "evaluate": "every rank calls it, and computes a part of the examples; predict may be called on one rank",
    "train_on_batch": "every rank calls it with the whole batch, and takes a part",
    "fit": "every rank calls it, and whatever its callbacks or the script call meanwhile is called on every rank",
}


@contextmanager
def collective(call: str) -> Iterator[None]:
    """Within, errors about ranks that make other calls name this one, and say how it is meant to be called.

    Args:
        call: a method of a model.
    """
    try:
        yield
    except DistribError as error:
        if error.calls_differ:
            error.calls_differ = False  # the innermost call is the one to name
            error.args = (f"{error} This rank is in {call}(), which is collective: {_ADVICE[call]}.",)
        raise
