"""Writing by the chief: it alone writes, and every replica learns whether it could.

A replica that fails alone would leave the others in the next collective. So the error that the chief has met is sent
to all, and all raise it. Workers around parameter servers do not meet: there the chief's error is its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from distrib.base.errors import ConfigError, StorageError
from distrib.base.logs import LOGGER
from distrib.cluster.launcher_env import run_name
from distrib.host.disk_space import check_writable
from distrib.io.series_lock import SeriesLock, confirm_owned, own
from distrib.strategies.strategy import Strategy
from distrib.training.interface import ModelInterface


def write_alone(strategy: Strategy, write: Callable[[], None]) -> None:
    """Write on the chief; all replicas return when it has. Collective.

    Args:
        strategy: of the replicas.
        write: writes.

    Raises:
        StorageError, ConfigError: on every replica, if `write` raises it on the chief.
    """
    failure = ""
    if strategy.is_chief:
        try:
            write()
        except (StorageError, ConfigError) as error:
            failure = f"{type(error).__name__} {error}"
    failure = strategy.gather_bytes(failure.encode())[0].decode()
    kind, _, message = failure.partition(" ")
    if kind:
        raise {"StorageError": StorageError, "ConfigError": ConfigError}[kind](message)


def claim_folder(model: ModelInterface, folder: Path, name: str) -> SeriesLock | None:
    """Find out before training whether the chief can save a model in a folder, and be the one who does. Collective.

    Args:
        model: to be saved.
        folder: where.
        name: of the checkpoints.

    Returns:
        What the chief has to release; None elsewhere.

    Raises:
        StorageError: on every replica: it cannot, or a living run writes these checkpoints there.
    """
    num_bytes = sum(variable.value.nbytes for variable in model.variables)
    owner: SeriesLock | None = None

    def claim() -> None:
        nonlocal owner
        check_writable(folder, num_bytes)
        owner = own(folder, name, run_name())

    write_alone(model.strategy, claim)
    return owner


def confirmed(strategy: Strategy, path: Path) -> Callable[[], None]:
    """Return a check that raises `PeerLostError` if this process may no longer write: the others gave it up, or
    another has replaced it.
    """

    def confirm() -> None:
        strategy.confirm()
        confirm_owned(path)

    return confirm


def say_unwritten(strategy: Strategy, path: Path) -> None:
    """Warn, on the chief, about paths of other ranks: one model is saved, where the chief says. Collective."""
    paths = [os.fsdecode(each) for each in strategy.gather_bytes(os.fsencode(path))]
    others = sorted({each for each in paths if each != paths[0]})
    if others and strategy.is_chief:
        LOGGER.warning(
            "The model is the same on every rank, and the chief alone writes it, to %s. Not written: %s.",
            path,
            ", ".join(others[:3]) + (", ..." if len(others) > 3 else ""),
        )


def check_free(path: Path, overwrite: bool) -> None:
    """Raise `ConfigError` if there is something that may not be replaced."""
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists, and overwrite=False. Choose another name.")
