"""ModelFiles: saving and loading of a model.

A model that takes a checkpoint has its values at once; what its optimizer knows waits for the next training, where
every replica gets its part of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.formats.keras.objects import shortest
from distrib.io.checkpoint_folder import read_checkpoint, write_checkpoint
from distrib.nn.network import Network
from distrib.strategies.strategy import Strategy
from distrib.training.checkpoints import own_optimizers
from distrib.training.checkpoints.chief_writes import check_free, confirmed, say_unwritten, write_alone
from distrib.training.checkpoints.keras_files import (
    WEIGHTS_ENDING,
    KerasFile,
    is_keras_file,
    keras_file,
    read_keras_file,
)
from distrib.training.checkpoints.model_state import (
    MODEL_FILE,
    OPTIMIZER_FILE,
    OWN_OPTIMIZERS_FILE,
    Files,
    check_model,
    check_optimizer,
    contents,
    fitting,
)
from distrib.training.checkpoints.model_state import assign as assign_values
from distrib.training.checkpoints.weights_file import (
    model_path,
    read_weights,
    weights_path,
    write_file,
    write_weights,
)
from distrib.training.collective import collective
from distrib.training.loop.training_session import TrainingSession


class HasFiles(Protocol):
    """A model whose files these are.

    Attributes:
        name: of the model.
        strategy: the strategy that trains it.
        has_own_optimizer: whether `compile` was given an optimizer.
    """

    name: str
    strategy: Strategy
    has_own_optimizer: bool

    @property
    def network(self) -> Network:
        """Its network, which is built if it has to be."""

    def described(self) -> dict[str, Any]:
        """Its layers, as JSON values."""


class ModelFiles:
    """The files of one model.

    Args:
        model: the model.
        session: what its trainings have left behind.
    """

    def __init__(self, model: HasFiles, session: TrainingSession) -> None:
        self._model, self._session = model, session

    def contents(self) -> tuple[Files, dict[str, Any]]:
        """The files and the manifest that save this model. Collective.

        Raises:
            StorageError: NaN or Inf in the values.
        """
        self.check_whole("save")
        training, run, slots, progress = self._session.last, self._session.run, None, None
        if self._session.saved is not None:
            slots = self._session.saved.slots
        elif training is not None and (state := training.coordination.state()) is not None:
            slots = state.slots
            if run is not None and run.is_active and training.updater.is_settled:
                progress = run.progress(state)
        files, manifest = contents(
            self._model.described(), self._model.network, self._session.compile_config, slots
        )
        if manifest["compile"] is not None:
            manifest["compile"]["own_optimizer"] = self._model.has_own_optimizer
        slots, optimizers = own_optimizers.contents(own_optimizers.optimizers_of(self._model))
        if optimizers:
            files[OWN_OPTIMIZERS_FILE], manifest["optimizers"] = slots, optimizers
        return files, manifest | {"progress": progress}

    def resume(self, found: tuple[Path, Files, dict[str, Any]] | None) -> bool:
        """Within `fit`, go on from what the chief has found. Collective.

        Args:
            found: folder, arrays and manifest of a checkpoint; None for none. What others pass is ignored.

        Returns:
            Whether there was anything, on every replica.

        Raises:
            StorageError: see `take`; on the chief.
        """
        saved = None
        if found is not None and self._model.strategy.is_chief:
            self.take(*found)
            saved, self._session.saved = self._session.saved, None
            if saved is not None:
                folder, _, manifest = found
                place = [str(folder), manifest["progress"], manifest.get("optimizers")]
                saved = saved._replace(origin=json.dumps(place))
        training, run = self._session.last, self._session.run
        assert training is not None
        assert run is not None
        origin = training.coordination.restore(saved)
        if origin:
            path, progress, optimizers = (*json.loads(origin), None)[:3]  # older ones have two parts
            if optimizers is not None and not self._model.strategy.is_chief:
                own_optimizers.take(own_optimizers.optimizers_of(self._model), optimizers, None)
            if progress is not None:
                run.resume(progress, path)
        return bool(origin)

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
        network, compiled = self._model.network, self._session.compile_config
        values = check_model(folder, network, files)
        if compiled is not None:
            saved = check_optimizer(folder, network, compiled.optimizer, files, manifest)
            compiled.optimizer.iterations = saved.step
            compiled.optimizer.follow(saved.learning_rate)
            self._session.saved, self._session.on_batches = saved, None
            own = own_optimizers.optimizers_of(self._model)
            if own and "optimizers" in manifest:
                known = own_optimizers.check(folder, own, manifest["optimizers"])
                own_optimizers.take(own, known, files.get(OWN_OPTIMIZERS_FILE, {}))
        self.assign(values)

    def assign(self, values: Mapping[str, Array]) -> None:
        """Overwrite all variables. What made them useless is over."""
        network = self._model.network
        assign_values(network, values)
        if network.damage and self._session.compile_config is not None and self._session.saved is None:
            self._session.compile_config.optimizer.forget()  # its slots have part of an update too
            self._session.on_batches = None
        network.damage = ""

    def check_whole(self, call: str) -> None:
        """Raise `ConfigError` if the values are damaged."""
        network = self._model.network
        if network.damage:
            raise ConfigError(
                f"The values of model '{self._model.name}' have {network.damage}, on all replicas. Received: {call}. "
                "Go on from a checkpoint (load_weights, or start again with BackupAndRestore), or set_weights."
            )

    def save(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the model as a folder, or as a file of Keras; see `Model.save`."""
        path, confirm = model_path(filepath), confirmed(self._model.strategy, Path(filepath))
        with collective("save"):
            say_unwritten(self._model.strategy, path)
            write_alone(self._model.strategy, lambda: check_free(path, overwrite))
            files, manifest = self.contents()
            if is_keras_file(path):
                self._write_keras(path, files, manifest, confirm)
            else:
                write_alone(
                    self._model.strategy, lambda: write_checkpoint(path, files, manifest, None, confirm)
                )

    def _write_keras(
        self, path: Path, files: Files, manifest: Mapping[str, Any], confirm: Callable[[], None]
    ) -> None:
        model = self._model
        write_alone(
            model.strategy,
            lambda: write_file(
                path, keras_file(path, model.described(), model.network, files, manifest), confirm
            ),
        )

    def save_weights(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the values of all variables to one file; see `Model.save_weights`."""
        path = weights_path(filepath)
        self.check_whole("save_weights")
        strategy, network = self._model.strategy, self._model.network
        confirm = confirmed(strategy, path)
        with collective("save_weights"):
            say_unwritten(strategy, path)
            write_alone(strategy, lambda: check_free(path, overwrite))
            if is_keras_file(path):
                self._write_keras(path, *self.contents(), confirm)
            else:
                write_alone(strategy, lambda: write_weights(path, network, confirm))

    def load_weights(self, filepath: str | Path, skip_mismatch: bool = False) -> None:
        """Read the values of all variables, on this replica; see `Model.load_weights`."""
        network, path = self._model.network, Path(filepath)
        if is_keras_file(path):
            self._load_keras(read_keras_file(path), skip_mismatch)
            return
        files = read_checkpoint(path)[0] if path.is_dir() else {MODEL_FILE: read_weights(weights_path(path))}
        if skip_mismatch:
            files = {MODEL_FILE: fitting(path, network, files.get(MODEL_FILE, {}))}
        self.assign(check_model(path, network, files))

    def _load_keras(self, found: KerasFile, skip_mismatch: bool) -> None:
        if skip_mismatch:
            raise ConfigError("load_weights does not support skip_mismatch with files of Keras.")
        self.take_keras(found, is_training=str(found.path).endswith(WEIGHTS_ENDING))

    def take_keras(self, found: KerasFile, is_training: bool) -> None:
        """Take the values and, if compiled and `is_training`, what the optimizer knows, from a file of Keras.

        Raises:
            StorageError: it is of another model, or holds NaN or Inf; nothing is changed.
        """
        network, compiled = self._model.network, self._session.compile_config
        files: Files = {MODEL_FILE: found.values(network, self._model.described())}
        state = None if compiled is None or not is_training else found.state(network, compiled.optimizer)
        if compiled is None or state is None:
            self.assign(check_model(found.path, network, files))
            return
        step, rate, files[OPTIMIZER_FILE] = state
        config = compiled.optimizer.get_config()
        if rate is not None:
            config["learning_rate"] = shortest(rate)
        self.take(found.path, files, {"compile": {"optimizer": config}, "step": step})
