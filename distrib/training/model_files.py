"""ModelFiles: saving and loading of a model.

A model that takes a checkpoint has its values at once; what its optimizer knows waits for the next training, where
every replica gets its part of it.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distrib.base.arguments import checked
from distrib.base.arrays import Array, Shape
from distrib.base.attributes import HasAttributes
from distrib.base.errors import ConfigError
from distrib.io.checkpoint_folder import read_checkpoint, write_checkpoint
from distrib.nn.network import Network
from distrib.strategies.strategy import Strategy
from distrib.strategies.update.updater import Saved, Updater
from distrib.training.checkpoints.chief_writes import check_free, confirmed, say_unwritten, write_alone
from distrib.training.checkpoints.model_state import (
    MODEL_FILE,
    Files,
    assign,
    check_model,
    check_optimizer,
    contents,
    fitting,
)
from distrib.training.checkpoints.weights_file import (
    check_readable,
    folder_path,
    read_weights,
    weights_path,
    write_weights,
)
from distrib.training.collective import collective
from distrib.training.compile_config import CompileConfig
from distrib.training.loop.fit_loop import FitLoop


class ModelFiles(HasAttributes):
    """The part of a model that is about files.

    Attributes:
        name: of the model.
        strategy: the strategy that trains it.
        run: the last call of `fit`, or the one under way; None before the first.
    """

    name: str
    strategy: Strategy

    def __init__(self) -> None:
        self.run: FitLoop | None = None
        self._compile_config: CompileConfig | None = None
        self._updater: Updater | None = None  # of train_on_batch
        self._last_updater: Updater | None = None  # knows the optimizer's slots
        self._saved: Saved | None = None  # what the next training goes on from

    @abstractmethod
    def _built(self, example_shape: Shape | None = None) -> Network:
        """The network, built if it has to be: for the declared shape, or else for that of an example."""

    def contents(self) -> tuple[Files, dict[str, Any]]:
        """The files and the manifest that save this model. Collective.

        Raises:
            StorageError: NaN or Inf in the values.
        """
        self._check_whole("save")
        updater, run, slots, progress = self._last_updater, self.run, None, None
        if self._saved is not None:
            slots = self._saved.slots
        elif updater is not None and (state := updater.state()) is not None:
            slots = state.slots
            if run is not None and run.is_active and updater.is_settled:
                progress = run.progress(state)
        files, manifest = contents(self.name, self._built(), self._compile_config, slots)
        return files, manifest | {"progress": progress}

    def resume(self, found: tuple[Path, Files, dict[str, Any]] | None) -> bool:
        """Within `fit`, go on from what the chief has found. Collective.

        Args:
            found: folder, arrays and manifest of a checkpoint; None for none. What others pass is ignored.

        Returns:
            Whether there was anything, on every replica.

        Raises:
            StorageError: as of `take`; on the chief.
        """
        saved = None
        if found is not None and self.strategy.is_chief:
            self.take(*found)
            saved, self._saved = self._saved, None
            if saved is not None:
                saved = saved._replace(words=json.dumps([str(found[0]), found[2]["progress"]]))
        assert self._last_updater is not None
        assert self.run is not None
        words = self._last_updater.restore(saved)
        if words:
            folder, progress = json.loads(words)
            if progress is not None:
                self.run.resume(progress, folder)
        return bool(words)

    def take(self, folder: Path, files: Files, manifest: Mapping[str, Any]) -> None:
        """Take the values and, if compiled, what the optimizer knows, from a checkpoint. On this replica.

        The next training goes on from there. All is checked first; nothing is changed by what does not fit.

        Args:
            folder: where it was found, for the error message.
            files: its arrays.
            manifest: its manifest.

        Raises:
            StorageError: it is of another model or optimizer, or holds NaN or Inf.
        """
        network, compiled = self._built(), self._compile_config
        values = check_model(folder, network, files)
        if compiled is not None:
            saved = check_optimizer(folder, network, compiled.optimizer, files, manifest)
            compiled.optimizer.iterations = saved.step
            compiled.optimizer.learning_rate = saved.learning_rate
            self._saved, self._updater = saved, None
        self._has_new_values(values)

    def _has_new_values(self, values: Mapping[str, Array]) -> None:
        """Overwrite all variables. What made them useless is over."""
        network = self._built()
        assign(network, values)
        if network.damage and self._compile_config is not None and self._saved is None:
            self._compile_config.optimizer.forget()  # its slots have part of an update too
            self._updater = None
        network.damage = ""

    def _check_whole(self, call: str) -> None:
        """Raise `ConfigError` if the values are damaged."""
        network = self._built()
        if network.damage:
            raise ConfigError(
                f"The values of model '{self.name}' have {network.damage}, on all replicas. Received: {call}. Go on "
                "from a checkpoint (load_weights, or start again with BackupAndRestore), or set_weights."
            )

    @checked
    def save(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the model, what `compile` was told, and the optimizer's state, as a folder. Collective.

        `distrib.load_model` reads it, under any strategy. The chief writes.

        Args:
            filepath: the folder; an older one of that name is replaced as a whole.
            overwrite: whether there may be one.

        Raises:
            StorageError: on every replica: it cannot be written, or NaN or Inf in the values.
            ConfigError: there is one, and it may not be replaced.
        """
        path, confirm = folder_path(filepath), confirmed(self.strategy, Path(filepath))
        with collective("save"):
            say_unwritten(self.strategy, path)
            write_alone(self.strategy, lambda: check_free(path, overwrite))
            files, manifest = self.contents()
            write_alone(self.strategy, lambda: write_checkpoint(path, files, manifest, None, confirm))

    @checked
    def save_weights(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the values of all variables to one file. Collective. The chief writes.

        Args:
            filepath: ends in `.weights.safetensors`.
            overwrite: whether there may be one.

        Raises:
            ConfigError: another ending, or there is one that may not be replaced.
            StorageError: on every replica: it cannot be written, or NaN or Inf in the values.
        """
        path = weights_path(filepath)
        self._check_whole("save_weights")
        network = self._built()
        with collective("save_weights"):
            say_unwritten(self.strategy, path)
            write_alone(self.strategy, lambda: check_free(path, overwrite))
            write_alone(self.strategy, lambda: write_weights(path, network, confirmed(self.strategy, path)))

    @checked
    def load_weights(self, filepath: str | Path, skip_mismatch: bool = False) -> None:
        """Read the values of all variables, on this replica, from a file or from a folder that `save` has written.

        Args:
            filepath: ends in `.weights.safetensors`, or is a folder.
            skip_mismatch: leave a variable as it is if the file has none of its name, shape and dtype, and warn.

        Raises:
            ConfigError: another ending.
            StorageError: it is damaged, or of another model: the error shows where they differ.
        """
        check_readable(filepath)
        network, path = self._built(), Path(filepath)
        files = read_checkpoint(path)[0] if path.is_dir() else {MODEL_FILE: read_weights(weights_path(path))}
        if skip_mismatch:
            files = {MODEL_FILE: fitting(path, network, files.get(MODEL_FILE, {}))}
        self._has_new_values(check_model(path, network, files))
