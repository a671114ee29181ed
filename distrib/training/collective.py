"""Advice for scripts that make a collective call on some ranks only, as under `if rank == 0:`."""

from __future__ import annotations

from types import TracebackType

from distrib.base.errors import DistribError

_ADVICE = {
    "save": "every rank calls it, and the chief alone writes",
    "save_weights": "every rank calls it, and the chief alone writes",
    "evaluate": "every rank calls it, and computes a part of the examples; predict may be called on one rank",
    "train_on_batch": "every rank calls it with the whole batch, and takes a part",
    "fit": "every rank calls it, and whatever its callbacks or the script call meanwhile is called on every rank",
}


class collective:  # noqa: N801
    """Within, errors about ranks that make other calls name this one, and say how it is meant to be called.

    Args:
        call: a method of a model.
    """

    def __init__(self, call: str) -> None:
        self._call = call

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, DistribError) and error.calls_differ:
            error.calls_differ = False  # the innermost call is the one to name
            message = f"This rank is in {self._call}(), which is collective: {_ADVICE[self._call]}."
            error.args = (f"{error} {message}",)
