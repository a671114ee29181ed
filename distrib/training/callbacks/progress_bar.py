"""ProgressBar: Keras' progress display, on the chief.

    Epoch 1/5
    469/469 ━━━━━━━━━━━━━━━━━━━━ 2s 4ms/step - accuracy: 0.8312 - loss: 0.4817 - val_accuracy: ...

On a terminal the line is updated; in a file or a pipe it is written once, at the end of the epoch.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from distrib.base.console import MovingLine, is_watched, show
from distrib.training.callbacks.callback import Callback, Logs

_REFRESH_S = 0.1
_WIDTH = 20


class ProgressBar(Callback):
    """Shows steps, time and metrics.

    Args:
        verbose: 1 for a bar, 2 for one line an epoch without one.
    """

    stops_in_batch = False

    reads_test_logs = False  # the chief alone has a bar

    def __init__(self, verbose: int = 1) -> None:
        super().__init__()
        self._has_bar = verbose == 1
        self._training = False
        self._line: MovingLine | None = None
        self._begin = self._shown_at = 0.0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close_bar()
        self._training = False

    def on_train_failed(self, error: BaseException) -> None:
        self._close_bar()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.params["epochs"] > 1:
            show(f"Epoch {epoch + 1}/{self.params['epochs']}")
        self._open()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._move(batch + 1, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._close(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._training:
            self._open()

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._training:
            self._move(batch + 1, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._training:
            self._close(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._open()

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._move(batch + 1, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._close(logs)

    def _open(self) -> None:
        self._begin = self._shown_at = time.monotonic()
        self._done = 0
        if self._has_bar and is_watched():
            self._line = MovingLine()

    def _move(self, done: int, logs: Logs | None) -> None:
        """Show that `done` steps are done, at most ten times a second."""
        now, self._done = time.monotonic(), done
        if self._line is not None and now - self._shown_at >= _REFRESH_S:
            self._shown_at = now
            self._line.show(self._text(done, now, logs))

    def _close_bar(self) -> None:
        if self._line is not None:
            self._line.clear()
            self._line = None

    def _close(self, logs: Logs | None) -> None:
        self._close_bar()
        steps = self._done if self.params["steps"] is None else self.params["steps"]
        show(self._text(steps, time.monotonic(), logs))

    def _text(self, done: int, now: float, logs: Logs | None) -> str:
        steps, elapsed_s = self.params["steps"], now - self._begin
        if steps is None and self._line is None:
            steps = done  # at the end of data whose length was not known
        if steps is None:
            parts = [f"{done}/Unknown {elapsed_s:.0f}s {_per_step(elapsed_s, done)}"]
            return " - ".join([*parts, *_figures(logs)])
        count = f"{done:>{len(str(steps))}}/{steps}"
        figures = _figures(logs)
        if not self._has_bar:
            return " - ".join([count, f"{elapsed_s:.0f}s", _per_step(elapsed_s, done), *figures])
        filled = _WIDTH * done // max(1, steps)
        bar = "━" * filled + "─" * (_WIDTH - filled)
        return " - ".join([f"{count} {bar} {elapsed_s:.0f}s {_per_step(elapsed_s, done)}", *figures])


def _figures(logs: Logs | None) -> list[str]:
    return [f"{name}: {_value(value)}" for name, value in sorted((logs or {}).items())]


def _per_step(elapsed_s: float, done: int) -> str:
    per_step = elapsed_s / max(1, done)
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if per_step * factor >= 1 or unit == "us":
            break
    return f"{per_step * factor:.0f}{unit}/step"


def _value(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"
