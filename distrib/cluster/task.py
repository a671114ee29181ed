"""Who this process is, from TF_CONFIG (the environment variable that TensorFlow's launchers set)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from distrib.errors import ConfigError


class Task(NamedTuple):
    """A task of a cluster with parameter servers.

    Attributes:
        worker: which worker this is; 0 is the chief.
        num_workers: the chief among them.
        ps: `host:port` of every ps.
    """

    worker: int
    num_workers: int
    ps: tuple[str, ...]


def task_from_environment(environ: Mapping[str, str] | None = None) -> Task | None:
    """The task that TF_CONFIG describes; None where it is not set.

    The chief is task `chief`, or worker 0 where the cluster has none.

    Args:
        environ: environment variables; `os.environ` by default.

    Raises:
        ConfigError: TF_CONFIG cannot be right; the message names the field.
    """
    text = (os.environ if environ is None else environ).get("TF_CONFIG")
    if not text:
        return None
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"TF_CONFIG is not JSON: {error}") from None
    cluster, task = _field(config, "cluster", dict), _field(config, "task", dict)
    kind, index = _field(task, "type", str, "task."), task.get("index", 0)
    chiefs, workers = cluster.get("chief", []), cluster.get("worker", [])
    tasks = {"chief": chiefs, "worker": workers}
    if kind not in tasks:
        raise ConfigError(f"TF_CONFIG: expected task.type chief or worker. Received: {kind!r}.")
    if not isinstance(index, int) or not 0 <= index < len(tasks[kind]):
        raise ConfigError(f"TF_CONFIG: expected task.index below {len(tasks[kind])}. Received: {index!r}.")
    worker = index if kind == "chief" else len(chiefs) + index
    return Task(worker, len(chiefs) + len(workers), tuple(_field(cluster, "ps", list, "cluster.")))


def _field(values: Any, name: str, kind: type, path: str = "") -> Any:
    value = values.get(name) if isinstance(values, dict) else None
    if not isinstance(value, kind):
        raise ConfigError(f"TF_CONFIG: expected {path}{name} as a {kind.__name__}. Received: {value!r}.")
    return value
