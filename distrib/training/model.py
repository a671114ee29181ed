"""Model: Keras' compile, fit, evaluate and predict, over a network and a strategy.

`fit`, `evaluate` and `train_on_batch` are collective: every replica calls them, with the same data and arguments,
and takes its part of every batch. `predict` happens on this replica alone.
"""

from __future__ import annotations

import itertools
import json
import threading
from abc import abstractmethod
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from distrib.autodiff.recorder import open_tapes
from distrib.autodiff.structures import flat
from distrib.autodiff.tensor import as_tensor
from distrib.base import exit_codes
from distrib.base.arguments import checked
from distrib.base.arrays import Array, columns, training_dtype
from distrib.base.console import show
from distrib.base.errors import ConfigError, DataError
from distrib.base.ranges import Range
from distrib.cluster.resolve import resolve
from distrib.data.dataset import ArrayDataset
from distrib.data.streams.leased import LeasedStream
from distrib.data.streams.stream import BatchStream, check_length
from distrib.nn.calls.call_context import current_context, in_call
from distrib.nn.custom_objects import custom_object_scope
from distrib.nn.graph.graph import Graph
from distrib.nn.graph.symbolic import call, is_symbolic
from distrib.nn.layers.layer import Layer
from distrib.nn.layers.shapes import snake_case
from distrib.nn.metrics import Metric
from distrib.nn.network import Network
from distrib.nn.optimizers import Optimizer
from distrib.strategies.alone import check_not_alone
from distrib.strategies.default import get_strategy
from distrib.strategies.strategy import Strategy
from distrib.strategies.update.accumulation import AccumulatingUpdater
from distrib.strategies.update.feed import AnySchedule, Data
from distrib.strategies.update.training import Training
from distrib.strategies.update.updater import NonFinitePolicy
from distrib.strategies.update.variable_group import VariableGroup, same_variables
from distrib.training.arguments.batch_converter import BatchConverter
from distrib.training.arguments.batched_data import BatchedData, batched, split_batch
from distrib.training.arguments.compile_config import CompileConfig
from distrib.training.arguments.data_structure import DataStructure
from distrib.training.arguments.examples import Examples, ValidationData, checked_steps
from distrib.training.arguments.fit_plan import FitPlan, check_verbose, size_of
from distrib.training.arguments.unsupported import arrays_only, at_least, refuse
from distrib.training.callbacks import Callback, History, ProgressBar
from distrib.training.callbacks.callback import Logs
from distrib.training.callbacks.callback_list import CallbackList, Callbacks, listed
from distrib.training.collective import collective
from distrib.training.evaluator.roles_of_fit import evaluator_of_fit
from distrib.training.fingerprint import describe
from distrib.training.interface import Verbose
from distrib.training.loop.epoch_loop import EpochLoop
from distrib.training.loop.evaluation_run import EvaluationRun, in_batches
from distrib.training.loop.fit_loop import FitLoop
from distrib.training.loop.own_step import StepNetwork
from distrib.training.loop.step_objective import StepObjective
from distrib.training.loop.training_session import TrainingSession
from distrib.training.model_config import made_of
from distrib.training.model_files import ModelFiles
from distrib.training.model_layers import HasLayers
from distrib.training.model_steps import HasSteps
from distrib.training.seeds import next_model_name, seed_of_next_model, seed_of_next_training


class Model(HasSteps, HasLayers):
    """A model: `Model(inputs, outputs)` of symbolic tensors. Base class of `Sequential` and `Functional`.

    For the arguments see `Functional`, which `Model(inputs, outputs)` makes.

    Attributes:
        strategy: the strategy that trains it: that of the scope it was made in.
        history: what the last `fit` returned.
        files: its files: what `save` writes, and what a checkpoint brings.
    """

    of_tensors: ClassVar[type[Model]]
    """The class of `Model(inputs, outputs)`, which registers itself."""

    of_calls: ClassVar[type[Model]]
    """What subclasses of users are based on, which registers itself."""

    based_on: ClassVar[Callable[[type, type], type]]
    """Returns a class with another base."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """`Model(inputs, outputs)` is a `Functional`."""
        if cls is Model:
            if len(args) + len(kwargs.keys() & {"inputs", "outputs"}) < 2:
                raise ConfigError(
                    "Model expects inputs and outputs: symbolic tensors, from Input and from layers called on it; or "
                    "a subclass with call(self, inputs)."
                )
            return super().__new__(Model.of_tensors)
        is_open = cls.graph_for is HasLayers.graph_for
        return super().__new__(Model.based_on(cls, Model.of_calls) if is_open else cls)

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: str | np.dtype[Any] = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__(name or next_model_name(snake_case(type(self).__name__)))
        self.name_is_given = name is not None
        self.dtype = training_dtype(dtype)
        self._draws_own_seed = seed is None
        self.seed = seed_of_next_model() if seed is None else int(seed)
        self.strategy: Strategy = get_strategy()
        self.history: History | None = None
        self._frozen: dict[int, Layer] | None = None  # the layers that were frozen when it was compiled
        self._trained_by: int | None = None  # the thread in which `fit` is under way
        self._session = TrainingSession()
        self.files = ModelFiles(self, self._session)

    @property
    def needs_loss(self) -> bool:
        """Whether `compile` must be given a loss: layers of a user's own may add what is lowered."""
        return not any(layer.has_call for layer, _ in self.leaf_layers())

    @property
    def run(self) -> FitLoop | None:
        """The last call of `fit`, or the one under way; None before the first."""
        return self._session.run

    def use_seed(self, seed: int) -> None:
        """Draw from this seed, before the model is built."""
        self.seed, self._draws_own_seed = seed, False

    @property
    def network(self) -> Network:
        """The layers over flat vectors, built if they have to be. Raises `ConfigError` where the shape is unknown."""
        if self.has_network:
            return self._built()
        return cast(Network, StepNetwork(self, self._group_of_all(), None))

    @abstractmethod
    def build(self, input_shape: Any = None) -> None:
        """Make the variables, unless they exist.

        Args:
            input_shape: shape of a batch, its first size None.
        """

    @abstractmethod
    def get_config(self) -> dict[str, Any]:
        """The layers and how they are applied, as JSON values; see `from_config`."""

    def described(self) -> dict[str, Any]:
        """What is saved of it: `get_config`, and what makes it again with that."""
        return self.get_config()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The model that `get_config` has described, with values that are drawn anew. It is not compiled.

        Args:
            config: of the model.
            custom_objects: classes of one's own by name.

        Raises:
            ConfigError: it has layers that are neither built in nor registered, or is no configuration.
        """
        with custom_object_scope(custom_objects or {}):
            return made_of(config, f"{cls.__name__}.from_config")

    def to_json(self, **kwargs: Any) -> str:
        """The configuration as JSON, for `model_from_json`.

        Args:
            kwargs: for `json.dumps`.
        """
        return json.dumps(self.get_config(), **kwargs)

    def _network_of(self, graph: Graph) -> Network:
        """The network of these layers, without those that are frozen."""
        frozen = self._frozen_now() if self._frozen is None else self._frozen
        self.adopt(self.dtype)
        return Network(graph, self.dtype, self.seed, _names_of(graph, frozen))

    @property
    def data_structure(self) -> DataStructure:
        """How data for inputs and outputs is named."""
        return DataStructure()

    def structure_for(self, x: Any) -> DataStructure:
        """How data is named, for a model that sees these inputs, perhaps for the first time."""
        return self.data_structure

    def _targets(self, call: str, x: Any, y: Any) -> Any:
        """The targets that a call was given. Raises `ConfigError` for what are no arrays, and for none."""
        compiled = self._session.compile_config
        self._has_targets = y is not None
        if y is not None or compiled is None or compiled.loss is not None:
            arrays_only(call, x, y)
            return y
        arrays_only(call, x)
        outputs = self.structure_for(x).outputs
        nothing = np.zeros(len(flat(x)[0] if isinstance(x, list | tuple | dict) else x), self.dtype)
        return [nothing] * len(outputs) if len(outputs) > 1 else nothing

    def _returned(self, outputs: Sequence[Array]) -> Any:
        """Outputs in the structure in which they are returned."""
        return outputs[0]

    def _assign(self, values: Mapping[str, Array]) -> None:
        self.files.assign(values)

    @property
    def stop_training(self) -> bool:
        """Set it in a callback to end `fit`.

        At the end of an epoch, on any replica: all stop (under `ParameterServerStrategy` on the chief, which
        decides). After a batch, as in Keras, on every replica (under `ParameterServerStrategy` the epoch goes to its
        end first).
        """
        return self.run is not None and self.run.is_stopped

    @stop_training.setter
    def stop_training(self, stop: bool) -> None:
        if self.run is not None:
            self.run.is_stopped = stop

    @checked
    def compile(
        self,
        optimizer: str | Optimizer = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool | None = "auto",
        auto_scale_loss: bool = True,
        *,
        on_nonfinite: NonFinitePolicy = "raise",
        **unsupported: Any,
    ) -> None:
        """Configure the training.

        Args:
            optimizer: name or instance.
            loss: name or instance. For several outputs: one for all, or a list or dict with one for each, None for an
                output that is not trained.
            metrics: names or instances, or one of them, measured without sample weights; for several outputs a list
                with those of each, or a dict.
            loss_weights: factors of the losses of several outputs in their sum, in a list or dict; 1 by default.
            weighted_metrics: likewise, measured with sample weights.
            run_eagerly: without effect: there is no graph compiler, every step runs as it is.
            steps_per_execution: without effect: callbacks see every step.
            jit_compile: without effect on the model; see the argument of optimizers.
            auto_scale_loss: without effect: training happens in float32 or float64.
            on_nonfinite: what to do about NaN or Inf in a gradient: `"raise"` an error that names rank, variable
                and step; `"skip"` the step on all replicas; or `"allow"` it.
            unsupported: other arguments of Keras, with their defaults.

        Raises:
            ConfigError: an unknown name, an argument that is not supported, or `fit` is under way.
        """
        refuse("compile", unsupported, {}, ("metrics", "weighted_metrics", "on_nonfinite"))
        if on_nonfinite not in ("raise", "skip", "allow"):
            raise ConfigError(f"Expected on_nonfinite raise, skip or allow. Received: {on_nonfinite!r}.")
        self._check_not_training("compile")
        at_least(1, steps_per_execution=steps_per_execution)
        names = self.data_structure.outputs
        self._session.compile_config = CompileConfig(
            optimizer, loss, loss_weights, metrics, weighted_metrics, on_nonfinite, names, self.needs_loss
        )
        self._session.forget()
        self._frozen = self._frozen_now()
        if self._network is not None:
            self._network.lay_out(_names_of(self._network.graph, self._frozen))

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer. Raises `ConfigError` before `compile`."""
        return self.compile_config.optimizer

    @property
    def is_compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._session.compile_config is not None

    @property
    def metrics(self) -> list[Metric]:
        """The metrics; empty until `fit` or `evaluate` has seen the first targets.

        Of a model with a `train_step` of its own: its loss, those of `compile`, and those in its attributes.
        """
        if self.has_own_step:
            return self._own_metrics()
        return [] if self._session.trainer is None else self._session.trainer.means.metrics

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns: `"loss"`, then those of the metrics."""
        return ["loss", *(metric.name for metric in self.metrics)]

    @property
    def num_examples(self) -> int:
        """How many examples there are in the running logs, over all replicas: those of the epoch so far."""
        return 0 if self._session.trainer is None else self._session.trainer.means.num_examples

    @checked
    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Verbose = "auto",
        callbacks: Callbacks = None,
        validation_split: float = 0.0,
        validation_data: ValidationData | None = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train. Collective: every replica passes the same data and arguments.

        Args:
            x: `(examples, ...)` inputs; where a model has several, a list of arrays, or a dict by the inputs' names.
            y: `(examples, ...)` targets; likewise for several outputs.
            batch_size: examples of a step over *all* replicas (the global batch); 32 by default.
            epochs: the epoch to stop before.
            verbose: 0 silent, 1 a progress bar, 2 one line an epoch; `"auto"` is 1. Without a terminal, a bar is
                written once, when it is full. Only the chief shows anything.
            callbacks: called on every replica.
            validation_split: share of the examples, the last ones, to test on instead of training on them.
            validation_data: `(x, y)` or `(x, y, sample_weight)` to test on after each epoch.
            shuffle: draw a new order for every pass over the data.
            class_weight: label -> weight of its examples in training; validation does without.
            sample_weight: `(examples,)` weights, or a list or dict of those for each output; `validation_split` also
                splits them.
            initial_epoch: the epoch to begin with.
            steps_per_epoch: steps of an epoch; by default one pass over the data. Epochs go on where the one
                before stopped.
            validation_steps: number of batches to validate on, from the first.
            validation_batch_size: batch size of validation; `batch_size` by default.
            validation_freq: number of epochs from one validation to the next.

        Returns:
            The logs of every epoch.

        Raises:
            DataError: data that cannot be trained on.
            ShapeError: data of another shape than declared.
            ConfigError: an invalid argument, the model is not compiled, or it is being trained already.
            ProtocolError: the replicas are not about to train the same thing.
        """
        self._check_not_training("fit")
        check_not_alone(self.strategy, f"Model '{self.name}'")
        data = self._data("fit", x, y, sample_weight, batch_size, shuffle)
        plan = FitPlan.of(
            data,
            listed(callbacks),
            structure=self.structure_for(data.x),
            batch_size=batch_size,
            epochs=(initial_epoch, epochs),
            verbose=verbose,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
        )
        plan = plan._replace(data=self._weighted_by_class(plan.data, class_weight))
        if resolve().type == "evaluator":
            evaluator_of_fit(self, plan.callbacks, plan.validation, plan.test_size).start()
            raise SystemExit(0)  # the chief alone goes on after `fit`
        plan = plan.beside_evaluator(self.strategy.is_chief)
        dataset = self._prepare(plan.data)
        with collective("fit"):
            self._draw_seed()
        schedule = dataset.counted(plan.schedule(self.seed))
        tests: tuple[Data, AnySchedule] | None = None
        if plan.validation is not None:
            tested = self._prepare(plan.validation)
            tests = tested, tested.counted(plan.validation.schedule(plan.test_size, None, False, 0))
        self.history = History()
        called = plan.call_list(self, schedule, self._progress(verbose), self.history)
        trainer = self._trainer_of(plan.data)
        with collective("fit"):
            training = self._begin("fit", plan.describe(schedule, tests))
        run = FitLoop(self._trained(), trainer, training, dataset, schedule, called, tests, validation_freq)
        self._session.run = run
        self._trained_by = threading.get_ident()
        exit_codes.note(None)
        try:
            with collective("fit"):
                run.train(initial_epoch, epochs)
        except BaseException as error:
            called.fail(error)
            exit_codes.note(error)
            raise
        finally:
            self._trained_by = None
            for each in (dataset, *(tests or ())[:1]):
                each.close()
        self.history.counters = {**training.coordination.counters(), **run.data_counters}
        for report in (training.coordination.report(), run.report()):
            if report and verbose != 0 and self.strategy.is_chief:
                show(report)
        return self.history

    @checked
    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Callbacks = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Loss and metrics over a data set. Collective: the examples are spread over the replicas, each once.

        May be called in a callback of `fit`, which goes on as if nothing had been measured.

        Args:
            x: inputs; see `fit`.
            y: targets; see `fit`.
            batch_size: examples of a step over all replicas; 32 by default.
            verbose: see `fit`.
            sample_weight: weights; see `fit`.
            steps: number of batches, from the first; all by default.
            callbacks: called on every replica.
            return_dict: return name -> value.

        Returns:
            The loss, or `[loss, metric, ...]` if there are metrics, or a dict.

        Raises:
            DataError, ShapeError, ConfigError, ProtocolError: see `fit`.
        """
        at_least(1, batch_size=batch_size, steps=steps)
        check_verbose("evaluate", verbose)
        data = self._data("evaluate", x, y, sample_weight, batch_size).first(
            steps, size_of(batch_size), "steps"
        )
        dataset = self._prepare(data)
        schedule = dataset.counted(data.schedule(size_of(batch_size), None, False, 0))
        params = {"epochs": 1, "steps": schedule.steps_per_epoch, "verbose": verbose}
        called = CallbackList([*listed(callbacks), *self._progress(verbose)], self, params)
        objective: Any = self._trainer_of(data).objective
        if type(self).test_step is not Model.test_step:
            objective = StepObjective(self.metrics)
        with collective("evaluate"), self._trained("test").apart() as network:
            training = self._begin("evaluate", {"data": data.describe(), **schedule.describe()})
            try:
                logs = EvaluationRun(network, called).evaluate(objective, training.feed, dataset, schedule)
            finally:
                dataset.close()
        return _results(logs, return_dict)

    @checked
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """One step on one global batch. Collective: every replica passes the whole batch and takes its part.

        Args:
            x: inputs of the batch; see `fit`.
            y: targets; see `fit`.
            sample_weight: weights; see `fit`.
            class_weight: label -> weight of its examples.
            return_dict: return name -> value.

        Returns:
            Loss and metrics, in the form of `evaluate`: means since the last `reset_metrics`, as in Keras.

        Raises:
            DataError, ShapeError, ConfigError, ProtocolError: see `fit`.
        """
        y = self._targets("train_on_batch", x, y)
        self._check_not_training("train_on_batch")
        if self._session.on_batches is None:
            check_not_alone(self.strategy, f"Model '{self.name}'")
        data = self._weighted_by_class(Examples(x, y, sample_weight, self.structure_for(x)), class_weight)
        dataset, trainer = self._prepare(data), self._trainer_of(data)
        assert isinstance(dataset, ArrayDataset)
        with collective("train_on_batch"):
            if self._session.on_batches is None:
                self._draw_seed()
                self._session.on_batches = self._begin("train_on_batch", {"data": data.describe()})
            own = Range(0, len(dataset)).part(self.strategy.replica_id, self.strategy.num_replicas_in_sync)
            # There are no epochs here, so the step stands for the epoch in what random layers draw.
            batch = dataset.batch(own.slice, pass_index=self.optimizer.iterations, position=own.begin)
            return _results(trainer.train_step(self._session.on_batches, batch), return_dict)

    def reset_metrics(self) -> None:
        """Begin new means for `train_on_batch`."""
        if self._session.trainer is not None:
            self._session.trainer.means.reset()

    def test_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, return_dict: bool = False
    ) -> float | list[float] | dict[str, float]:
        """Loss and metrics over one global batch. Collective; see `evaluate`.

        Args:
            x: inputs of the batch; see `fit`.
            y: targets; see `fit`.
            sample_weight: weights; see `fit`.
            return_dict: return name -> value.

        Returns:
            Those of this batch alone, in the form of `evaluate`.

        Raises:
            DataError, ShapeError, ConfigError, ProtocolError: see `fit`.
        """
        size = len(columns(self.structure_for(x).inputs_of(x))[0])
        return self.evaluate(x, y, size, 0, sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, computed on this replica alone; see `predict`.

        Args:
            x: inputs of the batch; see `fit`.
        """
        size = len(columns(self.structure_for(x).inputs_of(x))[0])
        return self.predict(x, size, 0)

    @checked
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        steps: int | None = None,
        callbacks: Callbacks = None,
    ) -> Any:
        """The outputs for `x`, computed on this replica alone; one rank may call it.

        Args:
            x: inputs; see `fit`.
            batch_size: examples computed at once; 32 by default.
            verbose: see `fit`.
            steps: number of batches, from the first; all by default.
            callbacks: called on this replica.

        Returns:
            `(examples, *output_shape)` in the model's dtype; several outputs in the structure that `Model` was given.

        Raises:
            DataError, ShapeError: `x` is not a batch of this model's inputs, or empty.
        """
        at_least(1, batch_size=batch_size, steps=steps)
        check_verbose("predict", verbose)
        data = batched("predict", x, None, None, batch_size)
        if data is None:
            arrays_only("predict", x)
            network, arrays = self._inputs(x)
            size, num_examples = size_of(batch_size), len(arrays[0])
            num_examples = min(num_examples, checked_steps(steps, num_examples, "steps") * size)
            num_steps: int | None = -(-num_examples // size)
            batches = in_batches(tuple(each[:num_examples] for each in arrays), size)
        else:
            check_length(data.source, steps, "steps")
            network, _ = self._inputs(data.x)
            num_steps = data.source.num_batches if steps is None else steps
            read = data.source.batches(0, 0)
            parts = itertools.islice((each for each in read if each.size), steps)
            batches = (self._inputs(split_batch(each.part(slice(0, each.size)))[0])[1] for each in parts)
        params = {"epochs": 1, "steps": num_steps, "verbose": verbose}
        called = CallbackList([*listed(callbacks), *self._progress(verbose)], self, params)
        try:
            with network.apart() as network:
                return self._returned(EvaluationRun(network, called).predict(batches))
        finally:
            if data is not None:
                read.close()
                data.source.close()

    @checked
    def save(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the model, the arguments of `compile`, and the optimizer's state. Collective.

        `distrib.load_model` reads it, under any strategy. The chief writes.

        Args:
            filepath: a folder, or a file of Keras, which ends in `.keras` or `.h5` (needs `distrib[h5]`); an older
                one of that name is replaced as a whole. A folder knows besides where a `fit` was, and has checksums.
            overwrite: whether there may be one.

        Raises:
            StorageError: on every replica: it cannot be written, or NaN or Inf in the values.
            ConfigError: there is one, and it may not be replaced; or something that files of Keras cannot hold.
        """
        self.files.save(filepath, overwrite)

    @checked
    def save_weights(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the values of all variables to one file. Collective. The chief writes.

        Args:
            filepath: ends in `.weights.safetensors`; or in `.weights.h5`, as in Keras, with the optimizer's state.
            overwrite: whether there may be one.

        Raises:
            ConfigError: another ending, or there is one that may not be replaced.
            StorageError: on every replica: it cannot be written, or NaN or Inf in the values.
        """
        self.files.save_weights(filepath, overwrite)

    @checked
    def load_weights(self, filepath: str | Path, skip_mismatch: bool = False) -> None:
        """Read the values of all variables, on this replica, from a file or from a folder that `save` has written.

        Args:
            filepath: a folder, a file of Keras (`.keras`, `.h5`), or ends in `.weights.safetensors` or `.weights.h5`;
                from the last, a compiled model takes the optimizer's state, too.
            skip_mismatch: leave a variable as it is if the file has none of its name, shape and dtype, and warn; not
                for files of Keras.

        Raises:
            ConfigError: another ending.
            StorageError: it is damaged, or of another model: the error shows where they differ.
        """
        self.files.load_weights(filepath, skip_mismatch)

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """Apply the model.

        Args:
            inputs: symbolic tensors: the model becomes a layer of another one; or one batch of data, see `fit`.
            training: see `Layer.__call__`.

        Returns:
            Symbolic tensors; or the outputs, computed on this replica alone.
        """
        if is_symbolic(inputs):
            return call(self, inputs, training)
        if training or open_tapes() or current_context() is not None:
            return self._call_layers(inputs, training)
        network, arrays = self._inputs(inputs)
        with network.apart() as network:
            batch = tuple(np.ascontiguousarray(each, network.dtype) for each in arrays)
            return self._returned([as_tensor(each.copy()) for each in columns(network.forward(batch))])

    def _call_layers(self, inputs: Any, training: bool | None) -> Any:
        """Apply the layers one by one, in a training or under a tape, which records each."""
        context = current_context()
        if context is not None:
            self.adopt(context.dtype)
        values = flat(inputs) if isinstance(inputs, list | tuple | dict) else [inputs]
        if isinstance(inputs, Mapping):
            values = [inputs[name] for name in self.data_structure.inputs]
        network = self._built(tuple(np.shape(values[0])[1:]))
        network.check_input(tuple(map(as_tensor, values)))
        with in_call(self, training, self.dtype, self.seed, len(values[0])):
            for each in network.graph.applications:
                layer, taken = network.graph.layers[each.layer], [values[source] for source in each.sources]
                found = layer(taken if layer.takes_several else taken[0], training=each.training)
                values += flat(found)
        return self._returned([values[output] for output in network.graph.outputs])

    def _inputs(self, x: Any) -> tuple[Network, tuple[Array, ...]]:
        """The network, and `x` as a batch of its inputs."""
        arrays = columns(self.structure_for(x).inputs_of(x))
        network = self._built(arrays[0].shape[1:])
        network.check_input(arrays)
        if len({len(each) for each in arrays}) > 1:
            raise DataError(
                f"Expected as many examples in each input. Received: {[len(each) for each in arrays]}."
            )
        if not len(arrays[0]):
            raise DataError("Expected at least one example to predict. Received: empty data.")
        return network, arrays

    def _check_not_training(self, call: str) -> None:
        if self._trained_by is not None:
            raise ConfigError(
                f"Model '{self.name}' is being trained by fit. Received: {call}. Call it before or after; "
                "evaluate and predict may be called meanwhile."
            )

    @property
    def compile_config(self) -> CompileConfig:
        """The arguments of `compile`. Raises `ConfigError` before it was called."""
        if self._session.compile_config is None:
            raise ConfigError(
                f"Model '{self.name}' is not compiled. Call compile(optimizer, loss) first; again, where layers were "
                "added to a trained model, or taken from it."
            )
        return self._session.compile_config

    def _data(
        self, call: str, x: Any, y: Any, sample_weight: Any, batch_size: int | None, shuffle: bool = False
    ) -> Examples | BatchedData:
        """What was passed to a call, checked on this replica: arrays, or data that comes in batches."""
        data = batched(call, x, y, sample_weight, batch_size, shuffle)
        if data is None:
            y = self._targets(call, x, y)
            return Examples(x, y, sample_weight, self.structure_for(x))
        self._has_targets = data.y is not None
        compiled = self._session.compile_config
        if data.y is None and compiled is not None and compiled.loss is not None:
            raise ConfigError(f"{call} expects batches (x, y). Received: batches of inputs alone.")
        return data

    def _weighted_by_class(
        self, data: Examples | BatchedData, class_weight: Mapping[int, float] | None
    ) -> Examples | BatchedData:
        if class_weight is None:
            return data
        if isinstance(data, BatchedData):
            return data.weighted_by_class(class_weight)
        network = self._built(columns(data.x)[0].shape[1:])
        if len(network.output_shapes) > 1:
            raise ConfigError("class_weight is for models with one output. Use sample_weight.")
        shape = network.output_shape
        return data.weighted_by_class(class_weight, shape[-1] if shape else 1)

    def _prepare(self, data: Examples | BatchedData) -> Data:
        """The data set in the form network and loss take. Checks it, on this replica."""
        compiled = self.compile_config
        if isinstance(data, BatchedData):
            convert = self._converter(data)
            convert((data.x, data.y, data.weight), 0)
            kind = BatchStream if self.strategy.replicas_meet else LeasedStream
            return kind(data.source, convert)
        if not self.has_network:
            return ArrayDataset(data.x, data.y, data.weight, self.dtype)
        network = self._built(columns(data.x)[0].shape[1:])
        network.check_input(data.x)
        targets = compiled.prepare(data.y, network)
        return ArrayDataset(data.x, targets, data.weight, network.dtype)

    def _converter(self, data: BatchedData) -> BatchConverter:
        structure = self.structure_for(data.x)
        network = None
        if self.has_network:
            network = self._built(columns(structure.inputs_of(_listed(data.x)))[0].shape[1:])
        return BatchConverter(data, structure, self.compile_config, network, self.dtype)

    def _trainer_of(self, data: Examples | BatchedData) -> EpochLoop:
        if isinstance(data, BatchedData):
            data = self._converter(data).examples(data.x, data.y, data.weight)
        if self._session.trainer is None:
            objective: Any
            if self.has_own_step:
                self.see_targets(data.y, self.network.output_shapes if self.has_network else ())
                objective = StepObjective(self.metrics)
            else:
                objective = self.compile_config.objective(self.network, data.y)
            self._session.trainer = EpochLoop(self._trained(), objective)
        return self._session.trainer

    def _trained(self, what: str = "train") -> Any:
        """What `fit` trains, or `evaluate` measures: the network, or the steps of a subclass."""
        is_own = type(self).test_step is not Model.test_step if what == "test" else self.has_own_step
        if not is_own:
            return self.network
        network = self.network if self.has_network and self.has_own_optimizer else self._group_of_all()
        return StepNetwork(self, network, self.optimizer if self.has_own_optimizer else None)

    def _group_of_all(self) -> VariableGroup:
        """All variables, of a model that does not say what its outputs are, or makes all updates in its steps."""
        trainable = {id(each) for each in self.trainable_variables if self.has_own_optimizer}
        if self.has_own_optimizer and not trainable:
            raise ConfigError(
                f"Model '{self.name}' has no variables yet: call its layers on data before fit."
            )
        trained = {name: each for name, each in self._variables().items() if id(each) in trainable}
        others = {name: each for name, each in self._variables().items() if name not in trained}
        group = self._session.group
        if (
            group is None
            or not same_variables(group.buffer.variables, list(trained.values()))
            or not same_variables(list(group.fixed_variables.values()), list(others.values()))
        ):
            group = self._session.group = VariableGroup(trained, others, self.dtype)
        return group

    def _draw_seed(self) -> None:
        """The seed of what is drawn in training, unless one was given: the same on all replicas."""
        if self._draws_own_seed:
            self._draws_own_seed = False
            self.seed = self.strategy.seed_of_chief(seed_of_next_training(self.strategy))
            if self.has_network:
                self.network.seed = self.seed

    def _begin(self, call: str, arguments: dict[str, Any]) -> Training:
        """Make sure that all replicas are about to do the same, and begin from equal values. Collective."""
        network, compiled, session = self._trained(), self.compile_config, self._session
        if self._trained_by is not None:
            return self._training_of_run(call, arguments)
        self.files.check_whole(call)
        network.buffer.gather()
        if session.on_batches is not None:
            session.on_batches.updater.settle()  # what was accumulated is an update, as at the end of an epoch
            session.on_batches = None
        goes_on = {"restored": session.saved is not None}
        description = {"call": call, **describe(network, compiled), **arguments, **goes_on}
        self.strategy.agree(description)
        training = self.strategy.training(network, compiled.optimizer, compiled.on_nonfinite, description)
        steps = compiled.optimizer.gradient_accumulation_steps
        if steps is not None:
            training = training._replace(updater=AccumulatingUpdater(training.updater, network, steps))
        if session.saved is not None:
            training.coordination.restore(session.saved)
            session.saved = None
        session.last = training
        return training

    def _training_of_run(self, call: str, arguments: dict[str, Any]) -> Training:
        """That of the `fit` under way, which is left as it is."""
        assert self.run is not None
        training = self.run.training
        alone = self.strategy.num_replicas_in_sync == 1 and not training.feed.sums_are_running
        if self._trained_by != threading.get_ident() and not alone:
            raise ConfigError(
                f"Model '{self.name}' is being trained by fit in another thread, and {call} takes all replicas. Call "
                "it in a callback, or predict, which happens on this replica alone."
            )
        self.strategy.agree({"call": call, **arguments})
        return training

    def _progress(self, verbose: Verbose) -> list[Callback]:
        if not self.strategy.is_chief or verbose == 0:
            return []
        return [ProgressBar(1 if verbose == "auto" else verbose)]


def _listed(x: Any) -> Any:
    """Several inputs as a list."""
    return list(x) if isinstance(x, tuple) else x


def _names_of(graph: Graph, frozen: Container[int]) -> set[str]:
    """The names of the layers whose `id` is in `frozen`."""
    return {name for name, layer in graph.layers.items() if id(layer) in frozen}


def _results(logs: Logs, return_dict: bool) -> float | list[float] | dict[str, float]:
    """Logs in the form Keras returns them."""
    if return_dict:
        return dict(logs)
    others = [value for name, value in logs.items() if name != "loss"]
    return [logs["loss"], *others] if others else logs["loss"]
