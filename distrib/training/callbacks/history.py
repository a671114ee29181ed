"""History: the logs of every epoch. `fit` returns one."""

from __future__ import annotations

from typing import Any

from distrib.training.callbacks.callback import Callback, Logs


class History(Callback):
    """Collects the logs of every epoch.

    Attributes:
        epoch: the epochs, counted from 0.
        history: name -> one value an epoch.
        counters: what became of gradients, where the strategy has more to say (`ParameterServerStrategy.counters`).
    """

    stops_in_batch = False

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.counters: dict[str, Any] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []
        self.history = {}

    def get_state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "history": self.history}

    def set_state(self, state: dict[str, Any]) -> None:
        self.epoch, self.history = state["epoch"], state["history"]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
