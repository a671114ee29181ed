"""What makes a cluster one that can train: known jobs, at most one chief and evaluator, addresses used once."""

from __future__ import annotations

from collections.abc import Mapping

from distrib.cluster.fields import wrong
from distrib.cluster.host_port import Address, parse_address

JOBS = ("chief", "worker", "ps", "evaluator")
"""The types of tasks."""

Jobs = Mapping[str, Mapping[int, str]]


def check_cluster(jobs: Jobs, task_type: str | None, path: str) -> None:
    """Raise `ConfigError`, with the path of the field, if no training can run on this cluster.

    Args:
        jobs: addresses by job and index.
        task_type: what this process is; None while that is open, as in a file for the launcher.
        path: the field that holds the cluster.
    """
    seen: dict[Address, str] = {}
    for job, tasks in jobs.items():
        if job not in JOBS:
            advice = "TensorFlow 2 calls it chief." if job == "master" else ""
            raise wrong(f"{path}.{job}", f"jobs of {', '.join(JOBS)}", job, advice)
        if job in ("chief", "evaluator") and (len(tasks) > 1 or any(tasks)):
            raise wrong(f"{path}.{job}", f"at most one {job}, of index 0", list(tasks.values()))
        for index, text in tasks.items():
            where = f"{path}.{job}[{index}]"
            address = parse_address(text, where)
            if address.port == 0:
                if job == "ps" and task_type is not None:
                    raise wrong(where, "a port that workers can connect to", text)
                continue
            unique = address._replace(host=address.host.lower())
            if unique in seen:
                raise wrong(where, f"another address than {seen[unique]}", text)
            seen[unique] = where
    if jobs and not jobs.get("chief") and not jobs.get("worker") and task_type not in ("evaluator", "ps"):
        raise wrong(path, "a chief or a worker", {job: list(tasks.values()) for job, tasks in jobs.items()})


def check_task(jobs: Jobs, task_type: str, task_id: int | None, path: str) -> int:
    """The index of a task that belongs to the cluster; an evaluator need not be listed in it.

    Args:
        jobs: addresses by job and index.
        task_type: what the task is.
        task_id: its index; it may be left out where its job has one task only.
        path: the field that holds the task.

    Raises:
        ConfigError: there is no such task; the message has the path of the field.
    """
    if task_type not in JOBS:
        advice = "TensorFlow 2 calls it chief." if task_type == "master" else ""
        raise wrong(f"{path}.type", f"one of {', '.join(JOBS)}", task_type, advice)
    tasks = jobs.get(task_type, {})
    if not tasks and (task_type == "evaluator" or (not jobs and task_type != "ps")):
        tasks = {0: ""}
    if not tasks:
        raise wrong(f"{path}.type", f"a job of the cluster, which has {', '.join(jobs) or 'none'}", task_type)
    if task_id is None and len(tasks) > 1:
        raise wrong(f"{path}.index", f"an index, as there are {len(tasks)} tasks {task_type}", None)
    found = min(tasks) if task_id is None else task_id
    if found not in tasks:
        raise wrong(f"{path}.index", f"an index that {task_type} has: {_ranges(sorted(tasks))}", found)
    return found


def _ranges(indices: list[int]) -> str:
    dense = indices[-1] - indices[0] + 1 == len(indices)
    return f"{indices[0]} to {indices[-1]}" if dense and len(indices) > 1 else ", ".join(map(str, indices))
