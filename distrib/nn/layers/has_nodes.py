"""HasNodes: what a layer says about its calls on symbolic tensors."""

from __future__ import annotations

from typing import Any

from distrib.base.errors import ConfigError
from distrib.nn.graph.symbolic import KerasTensor, Node
from distrib.nn.layers.has_variables import HasVariables


class HasNodes(HasVariables):
    """Calls on symbolic tensors.

    Attributes:
        nodes: one for each call.
    """

    nodes: list[Node]

    @property
    def input(self) -> Any:
        """The symbolic tensors that it was called on. Raises `ConfigError` unless it was called once."""
        return self._only_node().arguments

    @property
    def output(self) -> KerasTensor:
        """The symbolic tensor that it has returned. Raises `ConfigError` unless it was called once."""
        return self._only_node().outputs[0]

    def _only_node(self) -> Node:
        if len(self.nodes) != 1:
            raise ConfigError(
                f"{type(self).__name__} '{self.name}' has an input and an output where it is called once on a "
                f"symbolic tensor, or is in a built model. It was called {len(self.nodes)} times."
            )
        return self.nodes[0]
