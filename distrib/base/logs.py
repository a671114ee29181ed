"""Logging: one logger, lines that say which rank speaks.

`logging.getLogger("distrib").setLevel("INFO")` shows what is chosen, such as the collectives. `DISTRIB_DEBUG=1` in
the environment shows that too, and every collective call, as `r0 | all_reduce #12 float32[79510] 1.3 ms`.
"""

from __future__ import annotations

import logging
import socket

from distrib.base import environment

LOGGER = logging.getLogger("distrib")

DEBUG = environment.flag(environment.DEBUG)


def tell(line: str) -> None:
    """Print a line that was asked for, at any log level."""
    if not LOGGER.handlers:
        enable(0, socket.gethostname())
    LOGGER.handle(LOGGER.makeRecord(LOGGER.name, logging.INFO, "", 0, line, (), None))


def enable(rank: int, host: str) -> None:
    """Print this process's log lines to stderr, prefixed `[r<rank> <host>]`.

    Does nothing where the application has configured the logger itself; the level that it has set stays.
    """
    if LOGGER.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"[r{rank} {host}] %(levelname)s %(message)s"))
    LOGGER.addHandler(handler)
    if DEBUG or LOGGER.level == logging.NOTSET:
        LOGGER.setLevel(logging.DEBUG if DEBUG else logging.WARNING)
    LOGGER.propagate = False
