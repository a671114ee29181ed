"""Session: runs the operations of the lazy graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from distrib.base.errors import ConfigError
from distrib.base.logs import LOGGER
from distrib.base.ranges import Range
from distrib.strategies.default import get_strategy
from distrib.tf.compat.v1.graph import Node, Placeholder, default_sessions, evaluate, filled, nodes_in
from distrib.tf.compat.v1.train import TrainOp
from distrib.tf.config import threading


class GPUOptions:
    """Options of GPUs, of which there are none.

    Args:
        kwargs: `allow_growth`, `per_process_gpu_memory_fraction` and the like, without effect.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.allow_growth = bool(kwargs.get("allow_growth"))


class ConfigProto:
    """How a session runs.

    Args:
        allow_soft_placement: without effect: there are CPUs only.
        log_device_placement: log where operations run.
        intra_op_parallelism_threads: threads of a matrix product; 0 as before.
        inter_op_parallelism_threads: without effect: operations run one after the other.
        gpu_options: without effect.
        kwargs: other options, without effect.
    """

    def __init__(
        self,
        allow_soft_placement: bool = False,
        log_device_placement: bool = False,
        intra_op_parallelism_threads: int = 0,
        inter_op_parallelism_threads: int = 0,
        gpu_options: Any = None,
        **kwargs: Any,
    ) -> None:
        self.allow_soft_placement, self.log_device_placement = allow_soft_placement, log_device_placement
        self.intra_op_parallelism_threads = intra_op_parallelism_threads
        self.inter_op_parallelism_threads = inter_op_parallelism_threads
        self.gpu_options = gpu_options or GPUOptions()


class Session:
    """Computes nodes.

    In the scope of a strategy every replica runs the same script, and feeds the same batches. Operations that train
    take this replica's part of the batch, and gradients are weighted by the size of the parts: a loss that is a mean
    over the batch is trained as in one process. All else is computed from the whole batch.

    Args:
        target: accepted for TensorFlow's sake.
        graph: likewise: there is one graph.
        config: how it runs.
    """

    def __init__(self, target: str = "", graph: Any = None, config: ConfigProto | None = None) -> None:
        if target:
            raise ConfigError(
                f"Session runs in this process. Received: target={target!r}. For several hosts use the scope of a "
                "strategy."
            )
        if config is not None and config.intra_op_parallelism_threads:
            threading.set_intra_op_parallelism_threads(config.intra_op_parallelism_threads)
        if config is not None and config.log_device_placement:
            LOGGER.warning("All operations run on the CPU of this process: %r.", get_strategy())

    def run(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        options: Any = None,
        run_metadata: Any = None,
    ) -> Any:
        """Compute nodes.

        Args:
            fetches: a node, or a structure of nodes.
            feed_dict: placeholder, or another node -> its value.
            options: accepted for TensorFlow's sake.
            run_metadata: likewise.

        Returns:
            The values, as arrays of NumPy, in the structure of `fetches`; None for an operation without one.

        Raises:
            DataError: a placeholder that is not fed, or a value that does not fit.
            ConfigError: what is no node, or a variable that is not initialized.
        """
        wanted = list(nodes_in(fetches))
        for each in [fetches] if not isinstance(fetches, list | tuple | dict) else []:
            if not isinstance(each, Node):
                raise ConfigError(f"Session.run expects nodes of the graph. Received: {type(each).__name__}.")
        feeds: dict[Node, Any] = {}
        for key, value in (feed_dict or {}).items():
            if not isinstance(key, Node):
                raise ConfigError(f"feed_dict has nodes as keys. Received: {type(key).__name__}.")
            feeds[key] = key.take(value) if isinstance(key, Placeholder) else value
        training = [each for each in wanted if isinstance(each, TrainOp)]
        others = [each for each in wanted if not isinstance(each, TrainOp)]
        found: dict[Node, Any] = dict(zip(others, evaluate(others, feeds), strict=True))
        for each in training:
            each.train(*_own_part(feeds))
            found[each] = None
        return filled(fetches, {node: _numpy(value) for node, value in found.items()})

    def close(self) -> None:
        """The session is over."""

    def as_default(self) -> Session:
        """For use in a `with` statement."""
        return self

    def __enter__(self) -> Session:
        default_sessions().append(self)
        return self

    def __exit__(self, *error: object) -> None:
        default_sessions().remove(self)


class InteractiveSession(Session):
    """A session that is open from the beginning, until `close`. For the arguments see `Session`."""

    def __init__(self, target: str = "", graph: Any = None, config: ConfigProto | None = None) -> None:
        super().__init__(target, graph, config)
        self.__enter__()

    def close(self) -> None:
        default_sessions().remove(self)


def _own_part(feeds: Mapping[Node, Any]) -> tuple[dict[Node, Any], int | None]:
    """The feeds of this replica, and the number of its examples; None where there is one replica."""
    strategy = get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return dict(feeds), None
    batches = [
        each
        for each in feeds
        if isinstance(each, Placeholder) and each.shape is not None and each.shape[:1] == (None,)
    ]
    if not batches:
        return dict(feeds), None
    size = len(feeds[batches[0]])
    own = Range(0, size).part(strategy.replica_id, strategy.num_replicas_in_sync)
    cut = {
        node: value[own.slice] if node in batches and len(value) == size else value
        for node, value in feeds.items()
    }
    return cut, own.size


def _numpy(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        array = np.array(value)
        return array[()] if array.ndim == 0 else array
    return value
