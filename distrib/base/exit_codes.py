"""Exit codes of plain Python processes, as the README lists them.

Python ends with 1 after any uncaught exception. Here an error of this library ends the process with the code of its
class; other exceptions do so with 70 where TF_CONFIG describes the process as a task of a cluster, since whatever
started the tasks looks at their codes. Traceback and clean-up are Python's own. An interactive interpreter goes on.
"""

from __future__ import annotations

import sys
from types import TracebackType

from distrib.base import environment
from distrib.base.errors import DistribError, exit_code_of

_chosen: SystemExit | None = None


def note(error: BaseException | None) -> None:
    """Remember that training was left by `sys.exit`, which Python does not record anywhere.

    Args:
        error: what has left it; None where it begins.
    """
    global _chosen
    _chosen = error if isinstance(error, SystemExit) and exit_code_of(error) else None


def chosen() -> SystemExit | None:
    """The `sys.exit` that has left the last training, with a code other than 0; None if there was none."""
    return _chosen


def install() -> None:
    """Make uncaught exceptions end this process with their exit codes."""
    previous = sys.excepthook

    def on_exception(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        previous(kind, error, traceback)
        if isinstance(error, KeyboardInterrupt) or _is_interactive():
            return  # after Ctrl-C Python ends by SIGINT, which shells show as 130
        if isinstance(error, DistribError) or environment.text(environment.TF_CONFIG):
            raise SystemExit(exit_code_of(error))  # from here Python takes the code, and still calls atexit

    sys.excepthook = on_exception


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or bool(sys.flags.interactive or sys.flags.inspect)
