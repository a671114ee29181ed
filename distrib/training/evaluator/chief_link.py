"""ChiefLink: the chief's callback that talks to the evaluator."""

from __future__ import annotations

import atexit
from pathlib import Path

from distrib.base.logs import LOGGER
from distrib.training.callbacks.callback import Callback, Logs
from distrib.training.checkpoints.evaluator_mailbox import EvaluatorMailbox


class ChiefLink(Callback):
    """Says that the run is finished when the script has ended well, and hears when the evaluator would stop it.

    Args:
        directory: where the checkpoints are.
    """

    stops_in_batch = False

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._mailbox = EvaluatorMailbox(directory)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._mailbox.begin()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._mailbox.is_asked_to_stop and not self.model.stop_training:
            LOGGER.warning("The evaluator sees no more improvement: training ends after epoch %d.", epoch + 1)
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        # The script may go on, and train more; the run is finished when it ends.
        atexit.register(self._mailbox.finish)

    def on_train_failed(self, error: BaseException) -> None:
        atexit.unregister(self._mailbox.finish)
