"""Strategy: the facade over the replicas, with the names of tf.distribute.

One process is one replica. `run` therefore calls the function once, here, and what it returns is this replica's
value; `reduce` and `gather` combine such values over all replicas and are collective.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.arguments import HasArguments
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, ProtocolError
from distrib.base.logs import LOGGER
from distrib.base.tree_diff import differences, flatten
from distrib.comm.collectives.ring import COMBINE
from distrib.comm.communicator import Communicator
from distrib.comm.reduce_op import ReduceOp
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.strategies import scope
from distrib.strategies.update.updater import NonFinitePolicy, Updater

T = TypeVar("T")

_ADVICE = {
    "callbacks": "Pass the same callbacks on every rank: what must happen once, such as writing files, "
    "only the chief does.",
    r"(data|validation)\.(x|y|sample_weight)\[0\]": "Pass all examples on every rank. Each takes its own part "
    "of every batch, so data is not cut by hand (x[rank::size]).",
    r"(data|validation)\.(x|y|sample_weight)\[2\]": "The ranks have different examples. If each has drawn or "
    "shuffled them, use the same seed on every rank; if each has a part of them (x[rank::size]), pass all of them on "
    "every rank, which takes its own part of every batch.",
}


class Strategy(HasArguments):
    """Base of all strategies.

    Attributes:
        communicator: the collectives between the replicas.
    """

    communicator: Communicator

    def scope(self) -> AbstractContextManager[Strategy]:
        """`with strategy.scope():` models made inside are trained by this strategy.

        Re-entrant. Raises `ConfigError` inside the scope of another strategy.
        """
        return scope.entered(self)

    @property
    def num_replicas_in_sync(self) -> int:
        """Number of replicas whose gradients are combined in a step."""
        return self.communicator.world_size

    @property
    def replica_id(self) -> int:
        """Which replica this process is, from 0."""
        return self.communicator.rank

    @property
    def is_chief(self) -> bool:
        """Whether this process shows progress and writes files: replica 0."""
        return self.communicator.rank == 0

    @property
    def counters(self) -> dict[str, Any]:
        """Bytes sent by this replica, and seconds spent; empty where there is one replica.

        `bytes_sent` counts messages, not what lies in shared memory. `seconds` are those of steps: `communicating` is
        the time in their collectives, waiting for slower replicas included.
        """
        if self.communicator.world_size == 1:
            return {}
        counters = self.communicator.counters
        bytes_sent = counters.payload_bytes + counters.header_bytes
        return {"bytes_sent": bytes_sent, "seconds": {"communicating": counters.seconds}}

    def run(
        self, fn: Callable[..., T], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> T:
        """Call `fn(*args, **kwargs)` on this replica; every replica does so in its own process.

        Inside, `get_replica_context()` is this replica's.
        """
        with self.scope():
            return fn(*args, **(kwargs or {}))

    def reduce(self, reduce_op: ReduceOp | str, value: ArrayLike, axis: int | None = None) -> Array:
        """Combine a value over the replicas. Collective.

        Args:
            reduce_op: `"SUM"`, `"MEAN"`, `"MAX"` or `"MIN"`.
            value: this replica's value, of the same shape and dtype on all; with `axis`, lengths along it may differ.
            axis: also combine along this axis of the value. A MEAN then divides by the number of elements on
                all replicas, so each element has the same weight.

        Returns:
            The combined value, the same on every replica.
        """
        op = as_reduce_op(reduce_op)
        array = np.array(value, copy=True)
        if axis is None:
            return self._all_reduce(array, op)
        if op is ReduceOp.MEAN:
            total = self._all_reduce(np.asarray(array.sum(axis=axis, dtype=_mean_dtype(array))), ReduceOp.SUM)
            count = self._all_reduce(np.array(float(array.shape[axis])), ReduceOp.SUM)
            return np.asarray(total / count, dtype=total.dtype)
        return self._all_reduce(np.asarray(COMBINE[op].reduce(array, axis=axis)), op)

    def gather(self, value: ArrayLike, axis: int = 0) -> Array:
        """The replicas' values joined along `axis`, in replica order. Collective.

        Raises:
            ProtocolError: the replicas' values differ in dtype, or in another axis than `axis`.
        """
        array = np.ascontiguousarray(value)
        if array.ndim == 0:
            array = array.reshape(1)
        kinds = [json.loads(k) for k in self.communicator.gather_bytes(_json([array.dtype.str, array.shape]))]
        shapes = [
            (dtype, [n for i, n in enumerate(shape) if i != axis % array.ndim]) for dtype, shape in kinds
        ]
        if any(kind != shapes[0] for kind in shapes):
            raise ProtocolError(
                f"gather(axis={axis}) expects equal dtypes and other axes. Received: {kinds}."
            )
        parts = self.communicator.gather_bytes(array.tobytes())
        arrays = [
            np.frombuffer(part, array.dtype).reshape(shape)
            for part, (_, shape) in zip(parts, kinds, strict=True)
        ]
        return np.concatenate(arrays, axis=axis)

    def barrier(self) -> None:
        """Return when every replica has called it. Collective."""
        self.communicator.barrier()

    def seed_of_chief(self, seed: int) -> int:
        """The seed of rank 0, on every replica. Collective.

        Args:
            seed: this replica's, from 0 on.
        """
        return int(self.communicator.gather_bytes(str(seed).encode())[0])

    @abstractmethod
    def updater(self, network: Network, optimizer: Optimizer, on_nonfinite: NonFinitePolicy) -> Updater:
        """Make the updater for a training that begins now.

        Args:
            network: the network to train.
            optimizer: its optimizer.
            on_nonfinite: what to do about a NaN or Inf in the gradient.
        """

    def agree(self, description: Mapping[str, Any]) -> None:
        """Make sure that all replicas are about to do the same thing. Collective.

        Args:
            description: what this replica is about to do, as nested JSON values.

        Raises:
            ProtocolError: on every replica, if they differ; the message shows the differences.
        """
        texts = [_without_numpy(text) for text in self._tell_numpy(description)]
        if any(text != texts[0] for text in texts):
            raise ProtocolError(_disagreement([flatten(json.loads(text)) for text in texts]), is_common=True)
        self.communicator.agree_on_model(hashlib.blake2b(texts[0], digest_size=8).digest())

    def _tell_numpy(self, description: Mapping[str, Any]) -> list[bytes]:
        """All descriptions; another NumPy is worth a word only: owners of ranges compute for all."""
        texts = self.communicator.gather_bytes(_json(description))
        found = [json.loads(text).get("versions", {}).get("numpy", "") for text in texts]
        if len(set(found)) > 1 and not self.replica_id:
            each = ", ".join(f"rank {rank}: {version}" for rank, version in enumerate(found))
            LOGGER.warning("The replicas have different versions of NumPy: %s.", each)
        return texts

    def _all_reduce(self, array: Array, op: ReduceOp) -> Array:
        if op is ReduceOp.MEAN:
            array = array.astype(_mean_dtype(array))
        contiguous = np.ascontiguousarray(array).reshape(-1)
        self.communicator.all_reduce(contiguous, op)
        return contiguous.reshape(array.shape)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} replica {self.replica_id} of {self.num_replicas_in_sync}>"


def as_reduce_op(op: ReduceOp | str) -> ReduceOp:
    """The operation of that name. Raises `ConfigError` for unknown names."""
    if isinstance(op, ReduceOp):
        return op
    try:
        return ReduceOp[str(op).upper()]
    except KeyError:
        known = ", ".join(member.name for member in ReduceOp)
        raise ConfigError(f"Expected a reduce operation: {known}. Received: {op!r}.") from None


def _disagreement(descriptions: Sequence[Mapping[str, Any]]) -> str:
    lines = differences(descriptions)
    found = [advice for about, advice in _ADVICE.items() if re.search(rf"^  {about}", lines, re.MULTILINE)]
    return "\n".join(
        [
            "The replicas are not about to train the same thing. They differ in:",
            lines,
            *(found or ["Every replica must build the same model and pass the same data and arguments."]),
        ]
    )


def _without_numpy(text: bytes) -> bytes:
    description = json.loads(text)
    description.get("versions", {}).pop("numpy", None)
    return _json(description)


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode()


def _mean_dtype(array: Array) -> np.dtype[Any]:
    return array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
