"""CollectiveStrategy: a strategy whose replicas meet in every step, and combine values by collectives."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.arrays import Array
from distrib.base.errors import ProtocolError
from distrib.base.logs import LOGGER
from distrib.base.tree_diff import differences, flatten
from distrib.comm.collectives.ring import COMBINE
from distrib.comm.communicator import Communicator
from distrib.comm.reduce_op import ReduceOp, as_reduce_op
from distrib.strategies.strategy import Strategy

_ADVICE = {
    "callbacks": "Pass the same callbacks on every rank: what must happen once, such as writing files, "
    "only the chief does.",
    r"(data|validation)\.(x|y|sample_weight)\[0\]": "Pass all examples on every rank. Each takes its own part "
    "of every batch, so data is not cut by hand (x[rank::size]).",
    r"(data|validation)\.(x|y|sample_weight)\[2\]": "The ranks have different examples. If each has drawn or "
    "shuffled them, use the same seed on every rank; if each has a part of them (x[rank::size]), pass all of them on "
    "every rank, which takes its own part of every batch.",
}


class CollectiveStrategy(Strategy):
    """Base of the strategies whose replicas meet.

    Attributes:
        communicator: the collectives between the replicas.
    """

    communicator: Communicator

    @property
    def num_replicas_in_sync(self) -> int:
        return self.communicator.world_size

    @property
    def replica_id(self) -> int:
        return self.communicator.rank

    @property
    def is_chief(self) -> bool:
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

    def reduce(self, reduce_op: ReduceOp | str, value: ArrayLike, axis: int | None = None) -> Array:
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
        self.communicator.barrier()

    def seed_of_chief(self, seed: int) -> int:
        return int(self.gather_bytes(str(seed).encode())[0])

    def gather_bytes(self, data: bytes) -> list[bytes]:
        return self.communicator.gather_bytes(data)

    def confirm(self) -> None:
        self.communicator.confirm()

    def agree(self, description: Mapping[str, Any]) -> None:
        texts = [_without_numpy(text) for text in self._tell_numpy(description)]
        if any(text != texts[0] for text in texts):
            raise ProtocolError(_disagreement([flatten(json.loads(text)) for text in texts]), is_common=True)
        self.communicator.agree_on_model(hashlib.blake2b(texts[0], digest_size=8).digest())

    def _tell_numpy(self, description: Mapping[str, Any]) -> list[bytes]:
        """All descriptions. Another version of NumPy is only warned of: owners of ranges compute for all."""
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
