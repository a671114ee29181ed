"""CheckpointedObjects: models, layers, optimizers and variables of a loop of one's own, saved as a model is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distrib.base.errors import ConfigError
from distrib.nn.optimizers import Optimizer
from distrib.nn.variable import Variable
from distrib.strategies.default import get_strategy
from distrib.strategies.strategy import Strategy
from distrib.training.checkpoints import own_optimizers
from distrib.training.checkpoints.model_state import Files, check_arrays
from distrib.training.fingerprint import versions

VARIABLES_FILE = "variables.safetensors"
SLOTS_FILE = "slots.safetensors"


class CheckpointedObjects:
    """Objects by name.

    Args:
        objects: each a model, layer, optimizer or variable.

    Attributes:
        name: of what is saved.
        strategy: under which.
        files: this; see `ModelInterface.files`.
    """

    def __init__(self, objects: Mapping[str, Any]) -> None:
        self._objects, self.name = dict(objects), "objects"
        self.strategy: Strategy = get_strategy()
        self.files = self

    def _named_variables(self) -> Iterator[tuple[str, Variable]]:
        for name, each in self._objects.items():
            if isinstance(each, Variable):
                yield name, each
            elif not isinstance(each, Optimizer):
                _check_built(each)
                for path, variable in each.paths():
                    yield f"{name}/{path}", variable

    def _optimizers(self) -> dict[str, Optimizer]:
        return {name: each for name, each in self._objects.items() if isinstance(each, Optimizer)}

    @property
    def variables(self) -> list[Variable]:
        """All variables."""
        return [variable for _, variable in self._named_variables()]

    def contents(self) -> tuple[Files, dict[str, Any]]:
        """The files and the manifest of a checkpoint. Collective.

        Raises:
            ConfigError: an optimizer that `fit` has used: it is saved with its model.
        """
        slots, optimizers = own_optimizers.contents(self._optimizers())
        values = {name: variable.value for name, variable in self._named_variables()}
        manifest = {
            "objects": optimizers,
            "step": max((each[1] for each in optimizers.values()), default=0),
            "compile": None,
            "progress": None,
            "versions": versions(),
        }
        return {VARIABLES_FILE: values, SLOTS_FILE: slots}, manifest

    def take(self, folder: Path, files: Files, manifest: Mapping[str, Any]) -> None:
        """Take the values from a checkpoint; optimizers go on from theirs at their next update. On this replica.

        Raises:
            StorageError: it is of other objects, or holds NaN or Inf; nothing is changed.
        """
        expected = {name: (v.shape, v.dtype) for name, v in self._named_variables()}
        values = check_arrays(folder / VARIABLES_FILE, expected, files.get(VARIABLES_FILE, {}))
        optimizers = self._optimizers()
        saved = own_optimizers.check(folder, optimizers, manifest.get("objects"))
        own_optimizers.take(optimizers, saved, files.get(SLOTS_FILE, {}))
        for name, variable in self._named_variables():
            variable.assign(values[name])

    def resume(self, found: Any) -> bool:
        """For `fit`, which has no part in this. Raises `ConfigError`."""
        raise ConfigError("A checkpoint of several objects is not for callbacks of fit. Pass the model.")


def _check_built(each: Any) -> None:
    """Build a model whose input shape is known. Raises `ConfigError` for what is not built."""
    if not each.built and hasattr(each, "graph_for") and each.has_network:
        each.build()
    if not each.built and getattr(each, "has_network", True):
        raise ConfigError(
            f"{type(each).__name__} '{each.name}' has no variables yet. Call it on data before."
        )


def can_be_saved(value: Any) -> bool:
    """Whether a checkpoint takes it."""
    return isinstance(value, Variable | Optimizer) or hasattr(type(value), "paths")
