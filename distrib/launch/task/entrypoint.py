"""Entry point of every task: runs the user's script as Python would, and reports how it ended.

    python -m distrib.launch.task.entrypoint [-m] train.py --epochs 5
    python -m distrib.launch.task.entrypoint --json '["train.py", "--epochs", "5"]'

- An exception ends the process with the exit code of `distrib/base/errors.py`; its traceback begins at the script.
- The record (`launch/task/exit_record.py`) is printed after everything else, so under MPI after all ranks have ended.
- Output is written line by line, also with PYTHONUNBUFFERED, which would tear lines of several tasks to pieces.
- SIGUSR1 means "save now" and SIGTERM "save and end". A script that saves on them installs its own handlers; for the
  others SIGUSR1 does nothing here. Open MPI does not pass SIGTERM on, but SIGUSR2, which is turned into it.
- A rank of an MPI job learns which task of TF_CONFIG it is.
- Standard input is empty: mpirun would keep it open, and a script that reads it would wait for ever.
- mpirun takes a word `:` for the beginning of another program, so it gets the script's arguments as one word of JSON.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from distrib.base import environment
from distrib.base.errors import exit_code_of
from distrib.cluster.spec import ClusterSpec
from distrib.launch.task import exit_record
from distrib.strategies.parameter_server import close_all

_LONGEST_WHAT = 2000
_AS_JSON = "--json"


def main() -> None:
    """Run the script of the command line."""
    command = json.loads(sys.argv[2]) if sys.argv[1:2] == [_AS_JSON] else sys.argv[1:]
    as_module = command[:1] == ["-m"]
    arguments = command[as_module:]
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing:
        os.dup2(nothing, 0)
        os.close(nothing)
    config = json.loads(environment.text(environment.TF_CONFIG))
    rank = environment.mpi_rank()
    if rank is not None:
        config["task"] = task_of_rank(ClusterSpec(config["cluster"]), int(rank))
        os.environ["TF_CONFIG"] = json.dumps(config)
    end = _End(f"{config['task']['type']} {config['task']['index']}", os.environ)
    sys.excepthook = end.on_exception
    atexit.register(end.at_exit)  # the first one, so it is called last
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]
    # mpirun may have been started with some blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR2})
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.signal(signal.SIGUSR2, lambda *_: signal.raise_signal(signal.SIGTERM))
    sys.argv = arguments
    try:
        if as_module:
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(arguments[0]).resolve().parent)
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as error:
        end.on_exit(error)
        raise


def in_one_word(command: Sequence[str]) -> list[str]:
    """The command of a task with the arguments of the script quoted, so that none has a special meaning.

    Args:
        command: interpreter, `-m`, this module, and what it is to run.
    """
    return [*command[:3], _AS_JSON, json.dumps(command[3:])]


def task_of_rank(cluster: ClusterSpec, rank: int) -> dict[str, object]:
    """The task, as in TF_CONFIG, that is this rank: the chief first, then the workers.

    Args:
        cluster: all tasks.
        rank: which process of the MPI job.
    """
    tasks = [
        (job, index)
        for job in ("chief", "worker")
        if job in cluster.jobs
        for index in cluster.task_indices(job)
    ]
    job, index = tasks[rank]
    return {"type": job, "index": index}


class _End:
    """Remembers what ended the script, and says it at the end."""

    def __init__(self, task: str, environ: Mapping[str, str]) -> None:
        self._task = task
        self._run = exit_record.run_of(environ)
        self._code, self._what = 0, ""
        self._error: BaseException | None = None
        self._has_said = False
        self._pid = os.getpid()

    def on_exit(self, error: SystemExit) -> None:
        """The script has called sys.exit."""
        self._code = exit_code_of(error)
        if self._code:
            self._error, self._what = error, f"sys.exit({error.code!r})"[:_LONGEST_WHAT]
            self._say()  # now: the others will not wait for the end of a rank that leaves them

    def on_exception(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        """The script has raised."""
        self._error, self._code, self._what = (
            error,
            exit_code_of(error),
            f"{kind.__name__}: {error}"[:_LONGEST_WHAT],
        )
        ours = (__file__, runpy.__file__, "<frozen runpy>")
        while traceback is not None and traceback.tb_frame.f_code.co_filename in ours:
            traceback = traceback.tb_next
        sys.__excepthook__(kind, error.with_traceback(traceback), traceback)
        self._say()

    def at_exit(self) -> None:
        """All is done."""
        if os.getpid() != self._pid:
            return
        close_all(self._error)  # strategies, which would do so by themselves after this
        self._say()
        if self._code:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self._code)

    def _say(self) -> None:
        if self._has_said:
            return
        self._has_said = True
        sys.stdout.flush()
        exit_record.say(self._task, self._code, self._what, self._run)


if __name__ == "__main__":
    main()
