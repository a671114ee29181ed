"""Background threads that report their errors: none ends silently."""

from __future__ import annotations

import threading
from collections.abc import Callable

from distrib.base.logs import LOGGER


def start(
    target: Callable[[], None], name: str, when_dead: Callable[[BaseException], None] | None = None
) -> threading.Thread:
    """Start a daemon thread. If `target` raises, an error is logged that names the thread.

    Args:
        target: runs in the thread.
        name: of the thread.
        when_dead: called in the thread with what `target` has raised, so that no other thread waits for it.
    """

    def run() -> None:
        try:
            target()
        except BaseException as error:
            LOGGER.exception("The thread '%s' has ended with an unexpected error.", name)
            if when_dead is not None:
                when_dead(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
