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
        """Whether this task leads the training: the chief, or worker 0 where the cluster has no chief."""
        return self.type in ("chief", "worker") and self.worker == 0

    @property
    def worker(self) -> int:
        """Which worker this is; the chief is worker 0, and the others follow. The index, if it is no worker."""
        return self._num("chief") + self.index if self.type == "worker" else self.index

    @property
    def num_workers(self) -> int:
        """Number of workers, the chief among them; where indices are left out, there may be workers there."""
        return max(1, self._num("chief") + self._num("worker"))

    @property
    def ps(self) -> tuple[str, ...]:
        """`host:port` of every ps that is known, in the order of their indices."""
        if "ps" not in self.cluster.jobs:
            return ()
        return tuple(self.cluster.task_address("ps", index) for index in self.cluster.task_indices("ps"))

    def _num(self, job: str) -> int:
        return len(self.cluster.job_tasks(job)) if job in self.cluster.jobs else 0

    def __str__(self) -> str:
        return f"{self.type}:{self.index}"
