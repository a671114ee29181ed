"""Checkpoint: a model and its optimizer in numbered folders, with TensorFlow's names.

checkpoint = distrib.train.Checkpoint(model=model, optimizer=optimizer)
path = checkpoint.save("checkpoints/ckpt")
checkpoint.restore(distrib.train.latest_checkpoint("checkpoints"))
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from distrib.base.arguments import HasArguments
from distrib.base.errors import ConfigError, StorageError
from distrib.io.checkpoint_folder import checkpoints, number_of, read_checkpoint
from distrib.nn.optimizers import Optimizer
from distrib.training.arguments.unsupported import refuse
from distrib.training.checkpoints.manager import CheckpointManager
from distrib.training.checkpoints.objects import CheckpointedObjects, can_be_saved
from distrib.training.interface import ModelInterface


class Checkpoint(HasArguments):
    """Saves and restores a model with the optimizer that it is compiled with; or the objects of a loop of one's own.

    Args:
        root: the model, if it has no name.
        objects: a compiled model by any name, and its optimizer by any. Or models, layers, variables, and optimizers
            that a loop applies gradients with.

    Attributes:
        model: what is saved.

    Raises:
        ConfigError: something else.
    """

    def __init__(self, root: Any = None, **objects: Any) -> None:
        given = {**({} if root is None else {"root": root}), **objects}
        models = [each for each in given.values() if hasattr(each, "files")]
        self._optimizers = [each for each in given.values() if isinstance(each, Optimizer)]
        others = [name for name, each in given.items() if not can_be_saved(each)]
        if not given or others:
            raise ConfigError(
                "Checkpoint expects models, layers, optimizers and variables. Received: "
                f"{', '.join(others or ['nothing'])}. Other numbers belong into a Variable."
            )
        is_of_model = len(models) == 1 and len(models) + len(self._optimizers) == len(given)
        if is_of_model and (models[0].is_compiled or not self._optimizers):
            self.model: ModelInterface = models[0]
        else:
            self.model, self._optimizers = cast(ModelInterface, CheckpointedObjects(given)), []
        self._manager: tuple[Path, CheckpointManager] | None = None

    def _check_optimizer(self) -> None:
        for each in self._optimizers:
            if each is not self.model.optimizer:
                raise ConfigError("Checkpoint expects the optimizer that the model is compiled with.")

    def save(self, file_prefix: str | Path, options: None = None) -> str:
        """Write a checkpoint with the next number. Collective.

        Args:
            file_prefix: the folder, and the name of checkpoints in it: `"checkpoints/ckpt"` for `ckpt-1`, `ckpt-2`.
            options: not supported.

        Returns:
            The path; on other replicas than the chief the folder.

        Raises:
            StorageError: on every replica: it cannot be written, or NaN or Inf in the values.
            ConfigError: another optimizer than that of the model, or a bad name.
        """
        refuse("save", {"options": options}, {"options": None})
        self._check_optimizer()
        prefix = Path(file_prefix)
        if self._manager is None or self._manager[0] != prefix:
            manager = CheckpointManager(self.model, prefix.parent, None, checkpoint_name=prefix.name)
            self._manager = prefix, manager
        return self._manager[1].save()

    @property
    def save_counter(self) -> int:
        """Number of the newest checkpoint where `save` has written; 0 before."""
        if self._manager is None:
            return 0
        prefix, _ = self._manager
        return max(map(number_of, checkpoints(prefix.parent, prefix.name)), default=0)

    def restore(self, save_path: str | Path | None, options: None = None) -> Checkpoint:
        """Give the model what a checkpoint holds; the next training goes on from there. On this replica.

        Args:
            save_path: what `save`, `latest_checkpoint` or `Model.save` has written; None, as `latest_checkpoint`
                returns where there is none, changes nothing.
            options: not supported.

        Returns:
            This, whose `assert_consumed` and `expect_partial` may be called as in TensorFlow.

        Raises:
            StorageError: it is damaged, or of another model or optimizer.
        """
        refuse("restore", {"options": options}, {"options": None})
        self._check_optimizer()
        if save_path is not None:
            folder = Path(save_path)
            if not folder.is_dir():
                raise StorageError(f"{folder} is no checkpoint: there is no such folder.")
            self.model.files.take(folder, *read_checkpoint(folder))
        return self

    def assert_consumed(self) -> Checkpoint:
        """Has no effect: `restore` takes all, or raises."""
        return self

    def assert_existing_objects_matched(self) -> Checkpoint:
        """Has no effect: see `assert_consumed`."""
        return self

    def expect_partial(self) -> Checkpoint:
        """Has no effect: see `assert_consumed`."""
        return self
