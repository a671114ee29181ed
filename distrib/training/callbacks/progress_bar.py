"""ProgressBar: Keras' progress display, on the chief.

    Epoch 1/5
    469/469 ━━━━━━━━━━━━━━━━━━━━ 2s 4ms/step - accuracy: 0.8312 - loss: 0.4817 - val_accuracy: ...

A bar that moves is drawn with rich; where nobody watches (a file, a pipe, a launcher's log) each epoch is one line.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distrib.training.callbacks.base import Callback, Logs

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_REFRESH_S = 0.1


def is_interactive() -> bool:
    """Whether a person watches this process's output on a terminal.

    `DISTRIB_TTY=1` or `0` decides. Otherwise a process of an MPI job is not watched: Open MPI gives every rank
    a terminal even when mpirun writes to a file.
    """
    told = os.environ.get("DISTRIB_TTY", "")
    if told:
        return told != "0"
    launched = any(name in os.environ for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"))
    return not launched and sys.stdout.isatty()


class ProgressBar(Callback):
    """Shows steps, time and metrics.

    Args:
        verbose: 1 for a bar, 2 for one line an epoch.
    """

    stops_in_batch = False

    reads_test_logs = False  # the chief alone has a bar

    def __init__(self, verbose: int = 1) -> None:
        super().__init__()
        self._moving = verbose == 1
        self._training = False
        self._bar: _Bar | None = None
        self._begin = 0.0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close_bar()
        self._training = False

    def on_train_failed(self, error: BaseException) -> None:
        self._close_bar()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        print(f"Epoch {epoch + 1}/{self.params['epochs']}", flush=True)
        self._open()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._bar is not None:
            self._bar.show(batch + 1, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._close(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._training:
            self._open()

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._bar is not None and not self._training:
            self._bar.show(batch + 1, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._training:
            self._close(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._open()

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._bar is not None:
            self._bar.show(batch + 1, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._close(logs)

    def _open(self) -> None:
        self._begin = time.monotonic()
        if self._moving:
            self._bar = _Bar(self.params["steps"])

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _close(self, logs: Logs | None) -> None:
        self._close_bar()
        steps = self.params["steps"]
        print(_line(steps, steps, time.monotonic() - self._begin, logs), flush=True)


class _Bar:
    """The bar of one epoch, redrawn at most ten times a second."""

    def __init__(self, steps: int) -> None:
        from rich.console import Console  # 30 ms that a run without a bar does not spend
        from rich.progress import BarColumn, Progress, TextColumn

        console: Console = Console(force_terminal=True)
        columns = (
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            BarColumn(20),
            TextColumn("{task.fields[line]}"),
        )
        self._progress: Progress = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._task: TaskID = self._progress.add_task("", total=steps, line="")
        self._progress.start()
        self._begin = self._shown_at = time.monotonic()

    def show(self, done: int, logs: Logs | None) -> None:
        """Draw `done` steps, if the last drawing is old enough."""
        now = time.monotonic()
        if now - self._shown_at >= _REFRESH_S:
            self._shown_at = now
            line = _figures(done, now - self._begin, logs)
            self._progress.update(self._task, completed=done, line=line, refresh=True)

    def close(self) -> None:
        """Wipe the bar; its last state is printed as a line."""
        self._progress.stop()


def _line(done: int, steps: int, elapsed_s: float, logs: Logs | None) -> str:
    return f"{done}/{steps} {'━' * 20} {_figures(done, elapsed_s, logs)}"


def _figures(done: int, elapsed_s: float, logs: Logs | None) -> str:
    per_step = elapsed_s / max(1, done)
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if per_step * factor >= 1 or unit == "us":
            break
    parts = [f"{elapsed_s:.0f}s {per_step * factor:.0f}{unit}/step"]
    parts += [f"{name}: {value:.4f}" for name, value in sorted((logs or {}).items())]
    return " - ".join(parts)
