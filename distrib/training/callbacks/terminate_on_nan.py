"""TerminateOnNaN: ends training when the loss becomes NaN."""

from __future__ import annotations

import math

from distrib.base.console import show
from distrib.base.errors import NonFiniteError
from distrib.training.callbacks.callback import Callback, Logs


class TerminateOnNaN(Callback):
    """Stops training after the batch whose loss is NaN or Inf, or raises.

    A model looks for NaN and Inf in its gradients itself, and raises a `NonFiniteError` that names the variable; so
    this is for those compiled with `on_nonfinite="allow"`. Under `ParameterServerStrategy` all workers stop together,
    at the end of the epoch.

    Args:
        raise_error: raise `NonFiniteError` instead of stopping in good order.

    Raises:
        NonFiniteError: from `fit`, with `raise_error`.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error
        self._found = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._found = False

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._check(f"Batch {batch}", f"batch {batch}", logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._check(f"Epoch {epoch + 1}", f"the end of epoch {epoch + 1}", logs)

    def _check(self, when: str, where: str, logs: Logs | None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if self._found or math.isfinite(loss):
            return
        self._found = True
        if self.raise_error:
            raise NonFiniteError(
                f"NaN or Inf loss encountered at {where}. Loss value: {loss}. Terminating training immediately."
            )
        if self.model.strategy.is_chief:
            show(f"{when}: Invalid loss, terminating training")
        self.model.stop_training = True
