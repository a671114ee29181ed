"""The interface of a model, and of a running `fit`, for callbacks, checkpoints and evaluators.

They know a model by this interface only, so nothing that hangs on the training loop imports `Model`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.arrays import Array
from distrib.nn.metrics import Metric
from distrib.nn.optimizers import Optimizer
from distrib.nn.variable import Variable
from distrib.strategies.strategy import Strategy
from distrib.training.checkpoints.model_state import Files

Verbose: TypeAlias = Literal["auto", 0, 1, 2]


class FitUnderWay(Protocol):
    """The call of `fit` that is under way.

    Attributes:
        request: what this replica asks of all replicas, with every step from now on: a number of at least 0, of which
            the largest counts.
    """

    request: int

    @property
    def requested(self) -> int:
        """The requests of all replicas in the last step, the same on all."""

    @property
    def is_settled(self) -> bool:
        """Whether the values are those of whole updates, so that they can be saved."""


class FilesInterface(Protocol):
    """The files of a model: what a checkpoint takes, and what it brings."""

    def contents(self) -> tuple[Files, dict[str, Any]]:
        """The files and the manifest of a checkpoint. Collective."""

    def take(self, folder: Path, files: Files, manifest: Mapping[str, Any]) -> None:
        """Take values and the optimizer's state from a checkpoint."""

    def resume(self, found: tuple[Path, Files, dict[str, Any]] | None) -> bool:
        """Within `fit`, go on from a checkpoint. Collective."""


class ModelInterface(Protocol):
    """A model, for what hangs on its training. `Model` is one.

    Attributes:
        name: of the model.
        dtype: of its values.
        strategy: the strategy that trains it.
        stop_training: whether `fit` ends after this epoch.
    """

    name: str
    dtype: np.dtype[Any]
    strategy: Strategy
    stop_training: bool

    @property
    def files(self) -> FilesInterface:
        """What a checkpoint takes, and what it brings."""

    @property
    def run(self) -> FitUnderWay | None:
        """The last call of `fit`, or the one under way; None before the first."""

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer. Raises `ConfigError` before `compile`."""

    @property
    def metrics(self) -> list[Metric]:
        """The metrics; empty until `fit` or `evaluate` has seen the first targets."""

    @property
    def num_examples(self) -> int:
        """How many examples there are in the running logs, over all replicas."""

    @property
    def layers(self) -> list[Any]:
        """The layers."""

    @property
    def variables(self) -> list[Variable]:
        """All variables, layer by layer."""

    def get_weights(self) -> list[Array]:
        """Copies of the values of all variables."""

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Overwrite the values of all variables."""

    def summary(self, *, print_fn: Callable[[str], Any] | None = ...) -> None:
        """Print a table of the layers."""

    def evaluate(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        sample_weight: ArrayLike | None = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Loss and metrics over a data set."""

    def predict(
        self, x: ArrayLike, batch_size: int | None = None, verbose: Verbose = "auto", steps: int | None = None
    ) -> Array:
        """The outputs for `x`."""

    def save(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the model as a folder. Collective."""

    def save_weights(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the values of all variables to one file. Collective."""

    def load_weights(self, filepath: str | Path, skip_mismatch: bool = False) -> None:
        """Read the values of all variables."""
