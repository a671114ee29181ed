"""TrainingSession: what the trainings of a model leave behind, and what the next one begins from."""

from __future__ import annotations

from distrib.strategies.update.coordination import Saved
from distrib.strategies.update.training import Training
from distrib.strategies.update.variable_group import VariableGroup
from distrib.training.arguments.compile_config import CompileConfig
from distrib.training.loop.epoch_loop import EpochLoop
from distrib.training.loop.fit_loop import FitLoop


class TrainingSession:
    """The state of a model that is not in its variables.

    Attributes:
        compile_config: what `compile` was given; None before.
        group: the variables of a model that has steps, and does not say what its outputs are; None for others.
        trainer: trains the network with its loss and metrics; None until the first targets were seen.
        last: the last training, which knows the optimizer's slots; None for none.
        on_batches: the training of `train_on_batch`, while that goes on.
        saved: what the next training goes on from; None for what there is.
        run: the last call of `fit`, or the one under way; None before the first.
    """

    def __init__(self) -> None:
        self.compile_config: CompileConfig | None = None
        self.group: VariableGroup | None = None
        self.trainer: EpochLoop | None = None
        self.last: Training | None = None
        self.on_batches: Training | None = None
        self.saved: Saved | None = None
        self.run: FitLoop | None = None

    def forget(self) -> None:
        """Begin anew, as for another network or optimizer."""
        self.trainer = self.last = self.on_batches = self.saved = None
