"""Subclassed: models of one's own. A subclass of `Model` says what it computes in `call`, as in Keras.

    class Classifier(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = layers.Dense(64, activation="relu")
            self.logits = layers.Dense(10)

        def call(self, inputs, training=None):
            return self.logits(self.hidden(inputs))

The model is a network of one layer, whose variables are those of all layers in its attributes. It is built when it
sees the first data. A subclass that passes inputs and outputs to `super().__init__` is a `Functional`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from distrib.autodiff.structures import flat, in_structure
from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn import optimizers
from distrib.nn.custom_objects import get_registered_name
from distrib.nn.graph.graph import Application, Graph
from distrib.nn.graph.symbolic import is_symbolic
from distrib.nn.layers.parts import Parts, may_be_tracked
from distrib.nn.network import Network
from distrib.nn.variable import Variable
from distrib.training.arguments.data_structure import DataStructure
from distrib.training.functional import Functional
from distrib.training.model import Model
from distrib.training.own_models.bases import based_on, own_class
from distrib.training.own_models.model_call import ModelCall
from distrib.training.own_models.structures import is_several, names_in, shapes_in, shapes_listed
from distrib.training.summary import Row


class Subclassed(Model):
    """Base of models of one's own; `Model` becomes it.

    Args:
        inputs: as for `Functional`; then the model is one.
        outputs: likewise.
        trainable: see `Functional`.
        name: likewise.
        dtype: likewise.
        seed: likewise.
    """

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = "float32",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if inputs is not None or outputs is not None:
            self.__class__ = based_on(own_class(type(self)), Functional)
            Functional.__init__(self, inputs, outputs, trainable, name, dtype, seed)  # type: ignore[arg-type]
            return
        if kwargs:
            raise ConfigError(f"{type(self).__name__} passes unknown arguments to Model: {sorted(kwargs)}.")
        self.parts = Parts()
        super().__init__(name=name, dtype=dtype, seed=seed)
        self._layers = self.parts.layers
        self._call = ModelCall(self)
        self._given: Any = None  # an input in its structure, as it was first seen
        self._returns: Any = None  # likewise, the outputs
        self._compiled: Any = None  # the arguments of `compile`
        if not trainable:
            self.trainable = False

    # --- what a subclass overrides ------------------------------------------------------------------------------

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs. Takes `training` if it has an argument of that name."""
        raise NotImplementedError(f"{type(self).__name__} has no call. Add call(self, inputs).")

    def build(self, input_shape: Any = None) -> None:
        """Make the variables: by a call with zeros. A subclass may make some of its own here.

        Args:
            input_shape: shape of a batch, its first size None; a list or dict of these where there are several.
        """
        if input_shape is None or self._is_building:
            return
        shapes = shapes_in(input_shape)
        zeros = [np.zeros((2, *shape[1:]), self.dtype) for shape in flat(shapes)]
        self.structure_for(in_structure(shapes, zeros))

    # --- how it is trained --------------------------------------------------------------------------------------

    @property
    def needs_loss(self) -> bool:
        return False

    def compile(
        self, optimizer: Any = None, loss: Any = None, metrics: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """Configure the training; see `Model.compile`. Without a loss, what `add_loss` adds is lowered.

        Args:
            optimizer: see `Model.compile`.
            loss: likewise.
            metrics: likewise.
            args: likewise, the others.
            kwargs: likewise.
        """
        self.has_own_optimizer = optimizer is not None
        optimizer = optimizers.get(optimizer or "rmsprop")
        self._compiled = (optimizer, loss, metrics, *args), kwargs
        super().compile(optimizer, loss, metrics, *args, **kwargs)

    # --- how it is called ---------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name not in _OWN_ATTRIBUTES and may_be_tracked(value):
            if "parts" not in self.__dict__:
                raise ConfigError(
                    f"{type(self).__name__}.__init__ begins with super().__init__(). Received: {name} set before."
                )
            self.parts.find(value)

    def add_weight(self, *args: Any, **kwargs: Any) -> Variable:
        """A new variable of the model itself; see `Layer.add_weight`."""
        return self._call.add_weight(*args, **kwargs)

    def add_loss(self, loss: Any) -> None:
        """Add to the loss, within `call`; see `Layer.add_loss`."""
        self._call.add_loss(loss)

    def call_with(
        self,
        inputs: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = MappingProxyType({}),
        training: Any = None,
    ) -> Any:
        """`call`, with `training` if it takes it."""
        if "training" in inspect.signature(self.call).parameters:
            kwargs = {**kwargs, "training": training}
        return self.call(inputs, *args, **kwargs)

    def arranged(self, inputs: Any) -> Any:
        """Tensors in a list, or one, in the structure that `call` takes."""
        return in_structure(self._given, flat(inputs))

    def note_outputs(self, outputs: Any) -> None:
        """Keep the structure of what `call` has returned."""
        if self._returns is None:
            self._returns = in_structure(outputs, [None] * len(flat(outputs)))

    _is_building = False

    def build_own(self, input_shape: Any) -> None:
        """`build`, in which a subclass may make variables."""
        self._is_building = True
        try:
            self.build(in_structure(self._given, shapes_listed(input_shape)))
        finally:
            self._is_building = False

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply the model. An open `GradientTape` records it.

        Args:
            inputs: a batch of data, in the structure that `call` takes; or symbolic tensors.
            args: other arguments of `call`.
            kwargs: likewise; and `training`.
        """
        if is_symbolic(inputs):
            raise ConfigError(
                f"Model '{self.name}' is a subclass, which cannot be a layer of Model(inputs, outputs) yet. Make it "
                "a subclass of Layer."
            )
        return self._call.call_freely(inputs, args, kwargs)

    # --- as a network -------------------------------------------------------------------------------------------

    @property
    def has_network(self) -> bool:
        return type(self).call is not Subclassed.call

    def _arranged_targets(self, targets: Any) -> Any:
        return in_structure(self._returns, list(targets)) if isinstance(targets, tuple) else targets

    def structure_for(self, x: Any, y: Any = None) -> DataStructure:
        if not self.has_network:
            return DataStructure()
        if self._given is None:
            given = flat(x) if isinstance(x, Mapping | list | tuple) and is_several(x) else [x]
            self._given = x if len(given) > 1 or isinstance(x, Mapping) else given[0]
        if self._network is None:
            arrays = flat(self._given)
            self._graph_of([tuple(np.shape(each)[1:]) for each in arrays])
            self._given = in_structure(self._given, [None] * len(arrays))
        return self.data_structure

    def _graph_of(self, shapes: list[Shape]) -> None:
        taken: Any = shapes if len(shapes) > 1 else shapes[0]
        self._call.dtype, self._call.declared_dtype = self.dtype, self.dtype
        self._call.prepare(taken, self.dtype, self.seed)
        self._network = self._network_of(self.graph_for(shapes))
        if self._compiled is not None:  # before the outputs were known
            args, kwargs = self._compiled
            super().compile(*args, **kwargs)

    @property
    def data_structure(self) -> DataStructure:
        returns = self._returns
        if returns is None and self._compiled is not None:  # as far as the losses say it
            loss = self._compiled[0][1]
            returns = in_structure(loss, [None] * len(flat(loss)))
        return DataStructure(names_in(self._given, "input"), names_in(returns, "output"))

    def graph_for(self, input_shapes: Sequence[Shape]) -> Graph:
        """The network of `call` for inputs of these shapes; see `HasLayers.graph_for`."""
        count, outputs = len(input_shapes), len(flat(self._returns))
        application = Application("model", tuple(range(count)), None, outputs)
        return Graph(
            tuple(input_shapes), {"model": self._call}, (application,), tuple(range(count, count + outputs))
        )

    def _built(self, example_shape: Shape | None = None) -> Network:
        if self._network is None:
            if example_shape is None:
                raise ConfigError(
                    f"Model '{self.name}' is not built: its input shape is unknown. Call it on data, or call "
                    "build((None, 784))."
                )
            self.structure_for(np.zeros((2, *example_shape), self.dtype))
        assert self._network is not None
        return self._network

    def _returned(self, outputs: Sequence[Array]) -> Any:
        return in_structure(self._returns, outputs)

    def paths(self) -> Iterator[tuple[str, Variable]]:
        return self.parts.paths()

    @property
    def variables(self) -> list[Variable]:
        """All variables that there are by now."""
        return [variable for _, variable in self.parts.paths()]

    def _variables(self) -> Mapping[str, Variable]:
        return super()._variables() if self.has_network else dict(self.parts.paths())

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that an optimizer may update, as layers and model are set now."""
        return self._call.trainable_variables if self.trainable else []

    @property
    def losses(self) -> list[Any]:
        """What the last call has added to the loss, and the penalties of variables that are trained, as tensors."""
        return self._call.losses

    def symbolic_outputs(self, input_shapes: list[Shape]) -> Any:
        """See `Layer.symbolic_outputs`."""
        raise ConfigError(
            f"Model '{self.name}' is a subclass, which cannot be a layer of Model(inputs, outputs) yet."
        )

    def get_config(self) -> dict[str, Any]:
        """What makes the model again, as JSON values. A subclass whose `__init__` has arguments adds them."""
        return {
            "class": get_registered_name(own_class(type(self))),
            "name": self.name,
            "dtype": self.dtype.name,
        }

    def described(self) -> dict[str, Any]:
        described = {**self.get_config(), "class": get_registered_name(own_class(type(self)))}
        if not self.has_network:
            return described
        shapes = [list(each) for each in self.network.input_shapes]
        return {**described, "built_for": in_structure(self._given, shapes)}

    def _summary_rows(self) -> list[Row]:
        rows = []
        for name, layer in self.parts.layers.items():
            shape = getattr(layer, "output_shape", ()) if getattr(layer, "built", False) else ()
            shapes = tuple(shape) if isinstance(shape, list) else (tuple(shape),)
            rows.append(Row(layer, name, shapes))
        return rows


_OWN_ATTRIBUTES = frozenset(
    ("parts", "nodes", "history", "files", "strategy", "_layers", "_call", "_given", "_returns", "_compiled")
)
Model.of_calls = Subclassed
Model.based_on = staticmethod(based_on)
