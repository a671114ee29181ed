"""Task: who a process is. A frozen value, found once by `cluster/resolve.py`."""

from __future__ import annotations

from dataclasses import dataclass

from distrib.cluster.spec import ClusterSpec


@dataclass(frozen=True)
class Task:
    """A task of a cluster.

    Attributes:
        type: `chief`, `worker`, `ps` or `evaluator`.
        index: which one of its job.
        cluster: all tasks; empty where this process is alone.
    """

    type: str
    index: int
    cluster: ClusterSpec

    @property
    def is_chief(self) -> bool:
        """Whether this task leads the training: the chief, or the lowest worker where the cluster has no chief."""
        return self.type in ("chief", "worker") and self.worker == 0

    @property
    def worker(self) -> int:
        """Which worker this is; the chief is worker 0, and the others follow. The index, if it is no worker.

        Indices with gaps are closed up, so that workers are numbered as ranks are.
        """
        if self.type != "worker":
            return self.index
        before = [each for each in self._indices("worker") if each < self.index]
        return len(self._indices("chief")) + len(before)

    @property
    def num_workers(self) -> int:
        """Number of workers, the chief among them."""
        return max(1, len(self._indices("chief")) + len(self._indices("worker")))

    @property
    def ps(self) -> tuple[str, ...]:
        """`host:port` of every ps that is known, in the order of their indices."""
        return tuple(self.cluster.task_address("ps", index) for index in self._indices("ps"))

    def _indices(self, job: str) -> list[int]:
        return self.cluster.task_indices(job) if job in self.cluster.jobs else []

    def __str__(self) -> str:
        return f"{self.type}:{self.index}"
