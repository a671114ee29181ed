"""ExitRecord: a line at the end of a task's error output that says how its script ended.

Exit codes do not: mpirun returns 0 when a host is lost, and the code of any rank when several fail. So each task says
itself how it ended, after all else, and a run is a success only if the record says so. The launcher takes the records
out of the output and does not show them.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from distrib.base import environment
from distrib.base.parse_json import parse_json

MARK = "\x1edistrib-end "
_LARGEST_CODE = 255


class ExitRecord(NamedTuple):
    """How a task has ended.

    Attributes:
        run: which start of which run it belongs to.
        task: such as `worker 1`.
        host: where it ran.
        code: exit code.
        what: the exception that ended it; empty for a good end.
    """

    run: str
    task: str
    host: str
    code: int
    what: str


def run_of(environ: Mapping[str, str]) -> str:
    """Which start of which run this process belongs to."""
    return f"{environment.text(environment.RUN_ID, environ)}.{environment.text(environment.START, environ)}"


def say(task: str, code: int = 0, what: str = "", run: str | None = None) -> None:
    """Write the exit record of this task.

    Args:
        task: such as `worker 1`.
        code: exit code.
        what: the exception that ended it; empty for a good end.
        run: which start of which run; by default what the environment says.
    """
    record = ExitRecord(run_of(os.environ) if run is None else run, task, socket.gethostname(), code, what)
    sys.stderr.write(f"{to_line(record)}\n")
    sys.stderr.flush()


def to_line(record: ExitRecord) -> str:
    """The line that says it."""
    return f"{MARK}{json.dumps(record._asdict())}"


def from_line(line: str) -> tuple[str, ExitRecord | None]:
    """The visible part of a line, and the record at its end; None where there is none."""
    shown, mark, text = line.partition(MARK)
    if mark:
        try:
            return shown, ExitRecord(**_checked(parse_json(text)))
        except (ValueError, TypeError):
            pass  # a line of another program
    return line, None


def _checked(fields: Any) -> dict[str, Any]:
    """The fields of a record, if they are of the right types. Raises `ValueError`."""
    kinds = {"run": str, "task": str, "host": str, "code": int, "what": str}
    if not isinstance(fields, dict) or any(
        type(fields.get(name)) is not kind for name, kind in kinds.items()
    ):
        raise ValueError("not a record")
    if not 0 <= fields["code"] <= _LARGEST_CODE:
        raise ValueError("not an exit code")
    return fields
