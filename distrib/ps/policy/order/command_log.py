"""Command log: the decisions of the sequencer, which every ps executes in the same order."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from distrib.ps.policy.identity import PushId


class Apply(NamedTuple):
    """Add these gradients in this order, and update the values to `version`."""

    pushes: tuple[PushId, ...]
    scale: float
    learning_rate: float
    version: int


class Discard(NamedTuple):
    """Forget a gradient."""

    push: PushId


class Keep(NamedTuple):
    """Copy a gradient: its worker goes on before it is applied."""

    push: PushId


class Install(NamedTuple):
    """Take these values, those of the chief; with a version, its slots too, and go on from there."""

    push: PushId
    version: int | None = None


class Pull(NamedTuple):
    """Give a worker the values as they are now, as the answer to its call; with `state`, the slots too."""

    worker: int
    call: int
    version: int
    state: bool = False


class Cut(NamedTuple):
    """Save what is kept at this position of the log."""

    number: int


Entry: TypeAlias = Apply | Discard | Keep | Install | Pull | Cut
