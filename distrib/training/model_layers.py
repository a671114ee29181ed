"""HasLayers: the layers of a model, by the names that they have in it, and their variables."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.arrays import Array, Shape
from distrib.base.attributes import HasAttributes
from distrib.base.console import show
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.graph.graph import Graph
from distrib.nn.graph.symbolic import Node
from distrib.nn.layers.core.input import InputLayer
from distrib.nn.layers.has_parts import penalty_of
from distrib.nn.layers.layer import Layer
from distrib.nn.network import Network
from distrib.nn.variable import Variable
from distrib.training.summary import Row, summary_table


class HasLayers(HasAttributes):
    """Layers by name, and models among them.

    Attributes:
        name: of the model.
        dtype: of its variables.
        nodes: one for each call on symbolic tensors.
    """

    dtype: np.dtype[Any]
    _call_losses: Sequence[Any] = ()
    _name_in_owner: str | None = None
    name_is_given = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[Node] = []
        self._layers: dict[str, Any] = {}  # by their names in this model
        self._network: Network | None = None
        self._trainable = True

    @abstractmethod
    def _built(self, example_shape: Shape | None = None) -> Network:
        """The network, built if it has to be: for the declared shape, or else for that of an example."""

    @abstractmethod
    def symbolic_outputs(self, input_shapes: list[Shape]) -> Any:
        """The shapes of the outputs for inputs of these shapes; see `Layer.symbolic_outputs`."""

    @abstractmethod
    def graph_for(self, input_shapes: Sequence[Shape]) -> Graph:
        """The layers of this model, for inputs of these shapes, to be put into another model."""

    @property
    def layers(self) -> list[Any]:
        """The layers, and models that are used as layers."""
        return list(self._layers.values())

    @property
    def named_layers(self) -> Mapping[str, Any]:
        """The layers by the names that they have in this model."""
        return dict(self._layers)

    def paths(self) -> Iterator[tuple[str, Variable]]:
        """All variables by their paths in the model, as far as they are made."""
        if self._network is not None:
            yield from self._network.variables.items()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        shared = ("strategy", "_session", "files", "nodes", "history")
        for name, value in self.__dict__.items():
            made.__dict__[name] = (
                ([] if name == "nodes" else value) if name in shared else copy.deepcopy(value, memo)
            )
        return made

    def set_trainable_alone(self, trainable: bool) -> None:
        """Set whether the model is trainable, and leave its layers as they are."""
        self._trainable = trainable

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer of that name in this model, or of that index in `layers`. Raises `ConfigError` for none."""
        shown = self.layers
        for known_name, layer in self._layers.items():
            if known_name == name:
                return layer
        if index is not None and -len(shown) <= index < len(shown):
            return shown[index]
        raise ConfigError(f"No layer with name={name!r}, index={index}. The model has {list(self._layers)}.")

    @property
    def trainable(self) -> bool:
        """Whether an optimizer may update the model's variables. Setting it sets it on all layers.

        As in Keras it counts when a model is compiled: a model that was compiled before goes on as it was.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        self._trainable = bool(trainable)
        for layer in self._layers.values():
            layer.trainable = self._trainable

    def leaf_layers(self) -> Iterator[tuple[Layer, bool]]:
        """The layers, and those of the models among them, each with whether it is trainable here."""
        for each in self._layers.values():
            if isinstance(each, HasLayers):
                for layer, is_trainable in each.leaf_layers():
                    yield layer, is_trainable and self.trainable
            elif not isinstance(each, InputLayer):
                yield each, self.trainable and each.trainable

    def adopt(self, dtype: np.dtype[Any]) -> None:
        """Compute in the dtype of the model that this one is a layer of, unless it is built already."""
        if self._network is None:
            self.dtype = dtype
        for each in self._layers.values():
            if isinstance(each, HasLayers):
                each.adopt(dtype)

    def _frozen_now(self) -> dict[int, Layer]:
        """The layers that no optimizer may update, by their `id`, which holds as long as they are kept here."""
        return {id(layer): layer for layer, is_trainable in self.leaf_layers() if not is_trainable}

    @property
    def built(self) -> bool:
        """Whether the variables exist."""
        return self._network is not None

    @property
    def input_shape(self) -> Any:
        """Shape of a batch of inputs, its first size None; a list of them where there are several."""
        return _batches(self._built().input_shapes)

    @property
    def output_shape(self) -> Any:
        """Shape of a batch of outputs, its first size None; a list of them where there are several."""
        return _batches(self._built().output_shapes)

    @property
    def variables(self) -> list[Variable]:
        """All variables, layer by layer."""
        return list(self._variables().values())

    def _variables(self) -> Mapping[str, Variable]:
        return self._built().variables

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that an optimizer may update, as layers and model are set now."""
        self._built()
        seen: dict[int, Variable] = {}
        for layer, is_trainable in self.leaf_layers():
            seen |= {id(v): v for v in layer.variables if is_trainable and v.trainable}
        return [variable for variable in self.variables if id(variable) in seen]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The other variables."""
        trainable = {id(each) for each in self.trainable_variables}
        return [each for each in self.variables if id(each) not in trainable]

    @property
    def weights(self) -> list[Variable]:
        """See `variables`."""
        return self.variables

    @property
    def trainable_weights(self) -> list[Variable]:
        """See `trainable_variables`."""
        return self.trainable_variables

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """See `non_trainable_variables`."""
        return self.non_trainable_variables

    @property
    def losses(self) -> list[Any]:
        """What the last call has added to the loss, and the penalties of variables that are trained, as tensors."""
        return [
            *self._call_losses,
            *(penalty_of(v) for v in self.trainable_variables if v.regularizer is not None),
        ]

    def count_params(self) -> int:
        """Number of elements of all variables."""
        return sum(variable.size for variable in self.variables)

    def get_weights(self) -> list[Array]:
        """Copies of the values of all variables, in the order of `variables`."""
        return [variable.numpy() for variable in self.variables]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Overwrite the values of all variables, on this replica. `fit` begins with those of rank 0.

        Raises:
            ShapeError: another number of arrays, or another shape; nothing is overwritten.
        """
        variables = self._variables()
        arrays = [np.asarray(weight) for weight in weights]
        shapes = [variable.shape for variable in variables.values()]
        if [array.shape for array in arrays] != shapes:
            raise ShapeError(
                f"Model '{self.name}' expects weights of shapes {shapes}. "
                f"Received: {[array.shape for array in arrays]}."
            )
        self._assign(dict(zip(variables, arrays, strict=True)))

    @abstractmethod
    def _assign(self, values: Mapping[str, Array]) -> None:
        """Overwrite all variables, by the names that they have in the network."""

    @abstractmethod
    def _summary_rows(self) -> list[Row]:
        """The layers as the summary shows them."""

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print a table of the layers, their output shapes and numbers of parameters.

        Args:
            line_length: width of the table in characters.
            positions: accepted for Keras' sake; columns are as wide as what is in them.
            print_fn: called with each line; prints it by default.
            expand_nested: also show the layers of models that are layers of this one.
            show_trainable: show for each layer whether an optimizer may update it.
            layer_range: names of the first and of the last layer to show.

        Raises:
            ConfigError: a layer of `layer_range` that there is not.
        """
        self._built()
        rows = self._summary_rows()
        if layer_range is not None:
            first, last = (self.get_layer(each) for each in layer_range)
            ends = [index for index, row in enumerate(rows) if row.layer in (first, last)]
            rows = rows[ends[0] : ends[-1] + 1]
        trainable = sum(variable.size for variable in self.trainable_variables)
        total = self.count_params()
        itemsize = self._built().dtype.itemsize
        for line in summary_table(
            self.name, rows, (total, trainable, itemsize), line_length, expand_nested, show_trainable
        ):
            (print_fn or show)(line)


def _batches(shapes: Sequence[Shape]) -> Any:
    batches = [(None, *shape) for shape in shapes]
    return batches[0] if len(batches) == 1 else batches
