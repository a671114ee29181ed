"""TensorBoard: the run as files that TensorBoard shows, with Keras' folders and tags.

    logs/train/        epoch_loss, epoch_<metric>, batch_<metric>, epoch_learning_rate, histograms, the model, speed
    logs/validation/   epoch_loss, epoch_<metric>, evaluation_<metric>_vs_iterations

All replicas have the same logs and, after a step, the same weights. So the chief writes what it has, and no other
replica writes or waits.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from distrib.base.errors import ConfigError
from distrib.cluster.resolve import resolve
from distrib.host.disk_space import check_writable
from distrib.io.event_file import SummaryWriter, event_files, require_tensorboard, rewind_event_files
from distrib.training.callbacks.callback import Callback, Logs
from distrib.training.checkpoints.chief_writes import write_alone

_PS_COUNTERS = ("pushed", "applied", "dropped", "scaled", "staleness_mean", "effective_batch")


class TensorBoard(Callback):
    """Writes the run for TensorBoard: `tensorboard --logdir logs`.

    Besides what Keras writes there are, for each epoch: `epoch_examples_per_second` (of training, without
    validation); what the chief sent and how long it took, in that time (`comm/bytes_sent`, `comm/..._seconds`); and
    under `ParameterServerStrategy` what became of the job's pushes so far (`ps/pushed`, `ps/applied`, `ps/dropped`,
    `ps/scaled`, `ps/staleness_mean`, `ps/effective_batch`).

    Args:
        log_dir: folder of the run; made if it is missing.
        histogram_freq: number of epochs from one histogram of all weights to the next; 0 for none.
        write_graph: write the model: its graph, and its summary and configuration as text.
        write_images: not supported.
        write_steps_per_second: write steps a second, of epochs and with `update_freq` of batches.
        update_freq: `"epoch"`; or `"batch"`, or a number of batches, to write the running logs that often as well.
        profile_batch: not supported.
        embeddings_freq: not supported.
        embeddings_metadata: not supported.

    Raises:
        ConfigError: tensorboardX is not installed, or an argument is invalid.
        StorageError: from `fit`, on every replica: the files cannot be written, and that is known at the beginning.
            Later a warning says so, and training goes on.
    """

    stops_in_batch = False
    only_records = True

    def __init__(
        self,
        log_dir: str | Path = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: int | Literal["epoch", "batch"] = "epoch",
        profile_batch: int | tuple[int, int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: None = None,
    ) -> None:
        super().__init__()
        require_tensorboard()
        unsupported = {
            "write_images": write_images,
            "profile_batch": profile_batch,
            "embeddings_freq": embeddings_freq,
            "embeddings_metadata": embeddings_metadata,
        }
        for name, value in unsupported.items():
            if value:
                raise ConfigError(
                    f"TensorBoard does not support {name}. Received: {name}={value!r}. Leave it out."
                )
        if not _is_count(histogram_freq, at_least=0):
            raise ConfigError(
                f"TensorBoard expects histogram_freq as a number of epochs, or 0. Received: {histogram_freq!r}."
            )
        if update_freq not in ("epoch", "batch") and not _is_count(update_freq, at_least=1):
            raise ConfigError(
                f'TensorBoard expects update_freq "epoch", "batch" or a number of batches. Received: {update_freq!r}.'
            )
        self.log_dir = str(log_dir)
        self.histogram_freq, self.write_graph = histogram_freq, write_graph
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self._writers: dict[str, SummaryWriter] = {}
        self._is_training = self._is_held = False
        self._batch = 0
        self._others: list[str] = []
        self._batch_began = 0.0
        self._epoch_began = 0.0
        self._counters: dict[str, float] = {}
        self._steps = 0
        self._speed: dict[str, float] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a file is open."""
        return bool(self._writers)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._is_training, self._batch = True, 0
        self._others = list(event_files(self.log_dir))
        write_alone(self.model.strategy, self._begin)

    def get_state(self) -> dict[str, Any]:
        if not self.model.strategy.is_chief:
            return {}
        for writer in self._writers.values():
            writer.flush()
        sizes = event_files(self.log_dir)
        own = {name: size for name, size in sizes.items() if name not in self._others}
        return {"batch": self._batch, "files": own, "others": self._others}

    def set_state(self, state: dict[str, Any]) -> None:
        self._batch = state["batch"]
        if self.model.strategy.is_chief:
            # What the interrupted training has written since is written again.
            self._close()
            self._others = state["others"]
            rewind_event_files(self.log_dir, state["files"], self._others)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._speed = None
        self._counters = _flat(self.model.strategy.counters)
        self._steps = self.model.optimizer.iterations
        self._epoch_began = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._batch += 1
        self._batch_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if isinstance(self.update_freq, int) and self._batch % self.update_freq == 0:
            if not self.model.strategy.is_chief:
                return
            values = dict(logs or {})
            if self.write_steps_per_second:
                values["steps_per_second"] = 1.0 / (time.perf_counter() - self._batch_began)
            for name, value in values.items():
                self._writer("train").scalar(f"batch_{name}", value, self._batch)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if self._is_training:
            self._speed = self._measured()

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self.model.strategy.is_chief:
            return
        for name, value in (logs or {}).items():
            tag = f"evaluation_{name}_vs_iterations"
            self._writer("validation").scalar(tag, value, self.model.optimizer.iterations)
        if not self._is_training and not self._is_held:
            self._close()

    @contextmanager
    def held_open(self) -> Iterator[None]:
        """One file for all evaluations meanwhile, not one for each."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            self._close()

    def write_validation(self, epoch: int, logs: Logs) -> None:
        """Write what was measured after an epoch, as `epoch_...` in `validation/`.

        Args:
            epoch: from 0.
            logs: those that begin with `val_` are written.
        """
        for name, value in logs.items():
            if name.startswith("val_"):
                self._writer("validation").scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if not self.model.strategy.is_chief:
            return
        speed = self._measured() if self._speed is None else self._speed
        values = {name: value for name, value in (logs or {}).items() if not name.startswith("val_")}
        values["learning_rate"] = self.model.optimizer.learning_rate
        train = self._writer("train")
        for tag, value in {**{f"epoch_{name}": value for name, value in values.items()}, **speed}.items():
            train.scalar(tag, value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for variable in self.model.variables:
                train.histogram(f"{self.model.name}/{variable.name}/histogram", variable.value, epoch)
        self.write_validation(epoch, logs or {})

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._is_training = False
        self._close()

    def on_train_failed(self, error: BaseException) -> None:
        self._is_training = False
        self._close()

    def _begin(self) -> None:
        """Make the first file, before there is anything to lose."""
        check_writable(Path(self.log_dir))
        train = self._writer("train")
        if self.write_graph:
            self._write_model()
        train.flush()

    def _writer(self, name: str) -> SummaryWriter:
        """The file in the folder `name`, made when something is first written to it."""
        if name not in self._writers:
            role = "evaluator-0" if resolve().type == "evaluator" else "chief-0"
            self._writers[name] = SummaryWriter(Path(self.log_dir) / name, role)
        return self._writers[name]

    def _close(self) -> None:
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            writer.close()

    def _measured(self) -> dict[str, float]:
        """Speed and communication of the epoch until now, by tag."""
        took = time.perf_counter() - self._epoch_began
        before, counters = self._counters, _flat(self.model.strategy.counters)
        speed = {"epoch_examples_per_second": self.model.num_examples / took}
        if self.write_steps_per_second:
            speed["epoch_steps_per_second"] = (self.model.optimizer.iterations - self._steps) / took
        for name, value in counters.items():
            if name in _PS_COUNTERS:
                speed[f"ps/{name}"] = value
            else:
                speed[f"comm/{name}"] = value - before.get(name, 0)
        return speed

    def _write_model(self) -> None:
        model = self.model
        layers = [{"class_name": type(each).__name__, "config": each.get_config()} for each in model.layers]
        config = {"name": model.name, "dtype": model.dtype.name, "layers": layers}
        described = {"class_name": type(model).__name__, "config": config}
        lines: list[str] = []
        model.summary(print_fn=lines.append)
        train = self._writer("train")
        train.keras_model(described)
        train.text("model/summary", _as_code("\n".join(lines)))
        train.text("model/config", _as_code(json.dumps(described, indent=2)))


def _is_count(value: Any, at_least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def _flat(counters: dict[str, Any]) -> dict[str, float]:
    """The counters of a strategy by name: pushes, bytes, and seconds."""
    numbers = {name: counters[name] for name in (*_PS_COUNTERS, "bytes_sent") if name in counters}
    return numbers | {f"{name}_seconds": value for name, value in counters.get("seconds", {}).items()}


def _as_code(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
