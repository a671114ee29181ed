"""CompileConfig: the arguments of `compile`, checked."""

from __future__ import annotations

from collections.abc import Sequence

from distrib.base.arrays import Array
from distrib.nn import losses, metrics, optimizers
from distrib.nn.network import Network
from distrib.nn.objective import Objective
from distrib.strategies.update.updater import NonFinitePolicy


class CompileConfig:
    """Optimizer, loss and metrics.

    Metrics named `"accuracy"` become a class only when the first targets are seen, as in Keras.

    Args:
        optimizer: name or instance.
        loss: name or instance.
        unweighted: metrics measured without sample weights; names or instances.
        weighted: metrics measured with them.
        on_nonfinite: what to do about NaN or Inf.

    Raises:
        ConfigError: an unknown name.
    """

    def __init__(
        self,
        optimizer: str | optimizers.Optimizer,
        loss: str | losses.Loss,
        unweighted: Sequence[str | metrics.Metric],
        weighted: Sequence[str | metrics.Metric],
        on_nonfinite: NonFinitePolicy,
    ) -> None:
        self.optimizer = optimizers.get(optimizer)
        self.loss = losses.get(loss)
        self.on_nonfinite = on_nonfinite
        self._unweighted, self._weighted = list(unweighted), list(weighted)
        for identifier in (*self._unweighted, *self._weighted):
            metrics.get(identifier, output_shape=(), sparse_targets=False)  # raises for an unknown name

    def objective(self, network: Network, y: Array) -> Objective:
        """Loss and metrics for targets like `y`, as the user gave them."""
        shape = network.output_shape
        sparse = y.ndim - 1 < len(shape) or (y.shape[-1:] == (1,) and shape[-1] > 1)
        unweighted = [metrics.get(identifier, shape, sparse) for identifier in self._unweighted]
        weighted = [metrics.get(identifier, shape, sparse) for identifier in self._weighted]
        return Objective(network.layers[-1], self.loss, unweighted, weighted)

    def describe(self) -> dict[str, object]:
        """The configuration, as JSON values."""
        named = [*self._unweighted, "weighted:", *self._weighted]
        return {
            "optimizer": {**self.optimizer.get_config(), "iterations": self.optimizer.iterations},
            "loss": self.loss.get_config(),
            "metrics": [m if isinstance(m, str) else m.get_config() for m in named],
            "on_nonfinite": self.on_nonfinite,
        }
