"""BackupAndRestore: resumes an interrupted training exactly where it was.

A backup holds values, slots, step, and where `fit` is: epoch, what is left of it, running means, History, and what
the other callbacks remember. The chief reads it; all others get it from the chief, so only the chief needs the files.

A signal reaches one replica, or several at different times; all must act after the same step. So a replica puts what
it was asked for into the batch sums of its next step. Their sum reaches every replica with the gradients
anyway: eight bytes more in a message that is sent in any case, and no message more.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from distrib.base.errors import PeerLostError
from distrib.base.logs import LOGGER
from distrib.io.checkpoint_folder import latest_whole
from distrib.io.series_lock import SeriesLock
from distrib.training.callbacks.callback import Callback, Logs
from distrib.training.callbacks.model_checkpoint import SaveFreq, check_freq
from distrib.training.checkpoints.chief_writes import claim_folder
from distrib.training.checkpoints.manager import CheckpointManager

_NAME = "backup"

_SAVE = 1
_END = 1 << 32  # more than requests to save that are added up

_HANDLED = (signal.SIGUSR1, signal.SIGTERM)


class BackupAndRestore(Callback):
    """Saves where training is, and goes on from there when the script is started again. As Keras' callback.

    Also saves at the beginning, so that training goes on whenever it is interrupted; at the end of the step after
    SIGUSR1; and after SIGTERM, where every replica then ends with exit code 75 (worth a restart). Runs after all
    other callbacks, wherever it stands in the list. Files that `CSVLogger` and `TensorBoard` write are the same as
    without an interruption; callbacks of your own learn of one in `on_train_resume`.

    Args:
        backup_dir: where; on the chief.
        save_freq: `"epoch"`, or a number of batches.
        double_checkpoint: keep the one before the newest too, for when the disk damages the newest.
        delete_checkpoint: remove all when `fit` ends well.

    Raises:
        ConfigError: an invalid argument.
        StorageError: from `fit`: it cannot be written, or all that there are are damaged, or of another model.
    """

    stops_in_batch = False

    def __init__(
        self,
        backup_dir: str | Path,
        save_freq: SaveFreq = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        check_freq("BackupAndRestore", save_freq)
        self.backup_dir, self.save_freq = Path(backup_dir), save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self._num_batches = 0
        self._series_lock: SeriesLock | None = None
        self._former: dict[signal.Signals, Any] = {}
        # Only the handler writes these, so no signal is lost between reading and writing.
        self._signals = dict.fromkeys(_HANDLED, 0)
        self._answered = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        kept = 2 if self.double_checkpoint else 1
        self._manager = CheckpointManager(self.model, self.backup_dir, kept, checkpoint_name=_NAME)
        self._num_batches = self._answered = 0
        self._signals = dict.fromkeys(_HANDLED, 0)
        self._series_lock = claim_folder(self.model, self.backup_dir, _NAME)
        is_chief = self.model.strategy.is_chief
        if not self.model.files.resume(latest_whole(self.backup_dir, _NAME) if is_chief else None):
            self._save()  # so that what callbacks write before the next one is known, too
        if threading.current_thread() is threading.main_thread():
            self._former = {each: signal.signal(each, self.save_and_exit) for each in _HANDLED}

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        assert self.model.run is not None
        asks = self._signals[signal.SIGUSR1] > self._answered
        self.model.run.request = _END if self._signals[signal.SIGTERM] else _SAVE * asks

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        run = self.model.run
        assert run is not None
        requested = run.requested
        self._num_batches += 1
        is_due = self.save_freq != "epoch" and self._num_batches >= self.save_freq
        if not (requested or is_due) or not run.is_settled:
            return
        if run.request:
            self._answered = self._signals[signal.SIGUSR1]
        self._save()
        if requested >= _END:
            LOGGER.warning("SIGTERM: training is saved in %s, and ends.", self.backup_dir)
            raise SystemExit(PeerLostError.exit_code)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            self._manager.clear()
        self._let_go()
        if self._signals[signal.SIGTERM]:
            signal.raise_signal(signal.SIGTERM)  # it came after the last step: there is nothing to be saved

    def on_train_failed(self, error: BaseException) -> None:
        self._let_go()

    def _let_go(self) -> None:
        """Of signals and folder."""
        if self._series_lock is not None:
            self._manager.release()
            self._series_lock.release()
            self._series_lock = None
        for each, handler in self._former.items():
            signal.signal(each, handler)
        self._former = {}
        if self.model.run is not None:
            self.model.run.request = 0

    def save_and_exit(self, number: int, frame: FrameType | None) -> None:
        """A signal asks all replicas to save after the next step and to exit. A signal handler.

        Args:
            number: of the signal.
            frame: what was interrupted.
        """
        self._signals[signal.Signals(number)] += 1

    def _save(self) -> None:
        self._num_batches = 0
        self._manager.save()
