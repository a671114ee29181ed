"""ClusterSpec: the tasks of a cluster by job, with TensorFlow's names.

    ClusterSpec({"chief": ["h0:2222"], "worker": ["h1:2222", "h2:2222"], "ps": {3: "h3:2222"}})

A job is a list of addresses, or a sparse map from task index to address.
"""

from __future__ import annotations

from typing import Any

from distrib.base.arguments import HasArguments
from distrib.base.errors import ConfigError
from distrib.cluster.fields import index, string, table, wrong


class ClusterSpec(HasArguments):
    """The tasks of a cluster. Immutable.

    Args:
        cluster: `{job: [address, ...]}` or `{job: {index: address}}`, or another `ClusterSpec`.

    Raises:
        ConfigError: it is none of these; the message has the path of the field.
    """

    def __init__(self, cluster: object) -> None:
        given = cluster.as_dict() if isinstance(cluster, ClusterSpec) else cluster
        self._jobs = jobs_of(given, "cluster")

    @property
    def jobs(self) -> list[str]:
        """Names of the jobs."""
        return list(self._jobs)

    def num_tasks(self, job_name: str) -> int:
        """Number of tasks of a job. Raises `ConfigError` if there is no such job."""
        return len(self._tasks(job_name))

    def task_indices(self, job_name: str) -> list[int]:
        """Indices of a job's tasks, sorted. Raises `ConfigError` if there is no such job."""
        return sorted(self._tasks(job_name))

    def task_address(self, job_name: str, task_index: int) -> str:
        """Address of a task. Raises `ConfigError` if there is no such task."""
        tasks = self._tasks(job_name)
        if task_index not in tasks:
            raise ConfigError(f"No task with index {task_index!r} in job {job_name!r}.")
        return tasks[task_index]

    def job_tasks(self, job_name: str) -> list[str | None]:
        """Addresses of a job's tasks; None at an index without a task. Raises `ConfigError` without such a job."""
        tasks = self._tasks(job_name)
        return [tasks.get(task) for task in range(max(tasks, default=-1) + 1)]

    def as_dict(self) -> dict[str, Any]:
        """`{job: [address, ...]}`; a job with gaps is `{index: address}`, and one without tasks `{}`."""
        return {
            job: {task: tasks[task] for task in sorted(tasks)}
            if not tasks or len(tasks) <= max(tasks)
            else self.job_tasks(job)
            for job, tasks in self._jobs.items()
        }

    def _tasks(self, job_name: str) -> dict[int, str]:
        if job_name not in self._jobs:
            raise ConfigError(f"No such job in cluster: {job_name!r}. It has {self.jobs}.")
        return self._jobs[job_name]

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClusterSpec) and self._jobs == other._jobs

    def __hash__(self) -> int:
        return hash(frozenset((job, frozenset(tasks.items())) for job, tasks in self._jobs.items()))

    def __repr__(self) -> str:
        return f"ClusterSpec({dict(sorted(self.as_dict().items()))})"


def jobs_of(cluster: object, path: str) -> dict[str, dict[int, str]]:
    """The addresses by job and index.

    Args:
        cluster: what may be a cluster.
        path: the field that holds it, for errors.

    Raises:
        ConfigError: it is none; the message has the path of the field.
    """
    jobs: dict[str, dict[int, str]] = {}
    for job, tasks in table(cluster, path).items():
        where = f"{path}.{string(job, f'{path}: name of a job')}"
        if isinstance(tasks, list | tuple):
            jobs[job] = {i: string(address, f"{where}[{i}]") for i, address in enumerate(tasks)}
        elif isinstance(tasks, dict):
            jobs[job] = _sparse(tasks, where)
        else:
            raise wrong(where, "a list of addresses, or a table {index: address}", tasks)
    return jobs


def _sparse(tasks: dict[Any, Any], path: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for key, address in tasks.items():
        task = index(key, f"{path}: index of a task")
        if task in found:
            raise wrong(f"{path}[{task}]", "each index once", key)
        found[task] = string(address, f"{path}[{task}]")
    return found
