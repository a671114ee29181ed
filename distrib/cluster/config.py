"""TF_CONFIG, as text of JSON or TOML: the cluster, which task this process is, and how to launch it all.

    {"cluster": {"chief": ["h0:2222"], "worker": ["h1:2222", "h2:2222"], "ps": ["h3:2222"]},
     "task": {"type": "worker", "index": 0}}

What it means is what TensorFlow means by it. Without `chief`, the lowest worker is it. The evaluator may be in
`cluster` or not. A job may be a map with gaps, `{"3": "h3:2222"}`. Kubeflow's `sparseCluster` is read too, but names
no worker except the one that it is for: it does not say how many train, so no training is possible.
Keys that we do not know are ignored, except in `launch`, which is ours. Without a cluster a process trains alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distrib.base import environment
from distrib.base.errors import ConfigError
from distrib.base.parse_json import parse_json
from distrib.cluster.checks import check_cluster, check_task
from distrib.cluster.fields import index, string, table, wrong
from distrib.cluster.host_port import parse_address
from distrib.cluster.launch_options import LaunchOptions, launch_options
from distrib.cluster.spec import ClusterSpec, jobs_of

_LONGEST_TEXT = 1 << 20
_EMPTY = ClusterSpec({})
_CLUSTERS = ("cluster", "sparseCluster")


@dataclass(frozen=True)
class ClusterConfig:
    """The content of TF_CONFIG or of a cluster file.

    Attributes:
        cluster: all tasks; empty where a process trains alone.
        task_type: what this process is: chief, worker, ps or evaluator; None if it is not said.
        task_id: its index in that job; None if its type is not said.
        environment: where it runs, such as `cloud`, for those who ask.
        rpc_layer: how tasks talk, for those who ask.
        launch: how `distrib launch` starts the tasks.
        is_partial: whether it names some of the workers only.
    """

    cluster: ClusterSpec = _EMPTY
    task_type: str | None = None
    task_id: int | None = None
    environment: str | None = None
    rpc_layer: str | None = None
    launch: LaunchOptions = field(default_factory=LaunchOptions)
    is_partial: bool = False


def config_from_text(text: str, format: str = "json") -> ClusterConfig:
    """The configuration that a text says.

    Args:
        text: of at most 1 MiB.
        format: `"json"` or `"toml"`.

    Raises:
        ConfigError: it is invalid; the message begins with the path of the field.
    """
    if len(text) > _LONGEST_TEXT:
        raise ConfigError(f"Expected a cluster of at most {_LONGEST_TEXT} characters. Received: {len(text)}.")
    try:
        parsed = _PARSE[format](text)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ConfigError(f"The cluster is not {format.upper()}: {reason}.") from None
    return _config(table(parsed, "$"))


def read_config(path: str | Path) -> ClusterConfig:
    """The configuration in a file, which must name a cluster.

    Args:
        path: of a `.json` or `.toml` file in UTF-8.

    Raises:
        ConfigError: it cannot be read or is invalid; the message has the path of the file and of the field.
    """
    file = Path(path)
    format = file.suffix.removeprefix(".")
    if format not in _PARSE:
        raise ConfigError(f"{file}: expected a .toml or .json file. Received: {file.name!r}.")
    try:
        with file.open("rb") as stream:
            content = stream.read(_LONGEST_TEXT + 1)
        text = content.decode()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    config = _from(str(file), text, format)
    if not config.cluster:
        raise ConfigError(f"{file}: cluster: expected at least one task. Received: none.")
    return config


def config_from_environment(environ: Mapping[str, str]) -> ClusterConfig | None:
    """The configuration in TF_CONFIG; None if that is not set, or is empty.

    Args:
        environ: environment variables.

    Raises:
        ConfigError: it is invalid; the message has the path of the field.
    """
    text = environment.text(environment.TF_CONFIG, environ)
    return _from("TF_CONFIG", text, "json") if text else None


def hosts_of_cluster(environ: Mapping[str, str]) -> list[str]:
    """The hosts that TF_CONFIG names, each once; none without it. A port 0 is no matter here.

    Args:
        environ: environment variables.

    Raises:
        ConfigError: it is invalid; the message has the path of the field.
    """
    try:
        given = table(_PARSE["json"](environment.text(environment.TF_CONFIG, environ) or "{}"), "TF_CONFIG")
    except (ValueError, RecursionError):
        raise ConfigError("TF_CONFIG is not JSON.") from None
    tasks = [
        tasks for key in _CLUSTERS for tasks in jobs_of(given.get(key, {}), f"TF_CONFIG: {key}").values()
    ]
    hosts = [parse_address(text, "TF_CONFIG").host for each in tasks for text in each.values()]
    return list(dict.fromkeys(hosts))


def _from(source: str, text: str, format: str) -> ClusterConfig:
    try:
        return config_from_text(text, format)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


def _config(given: dict[str, Any]) -> ClusterConfig:
    if all(key in given for key in _CLUSTERS):
        raise wrong("sparseCluster", "either cluster or sparseCluster", given["sparseCluster"])
    key = "sparseCluster" if "sparseCluster" in given else "cluster"
    jobs = jobs_of(given.get(key, {}), key)
    task = table(given.get("task", {}), "task")
    task_type = None if task.get("type") is None else string(task["type"], "task.type")
    task_id = None if task.get("index") is None else index(task["index"], "task.index")
    if key == "sparseCluster" and task_type == "ps" and len(jobs.get("ps", ())) == 1 and task_id:
        jobs["ps"] = {task_id: jobs["ps"].popitem()[1]}  # Kubeflow tells a ps its own address only, in a list
    check_cluster(jobs, task_type, key)
    if task_type is not None:
        task_id = check_task(jobs, task_type, task_id, "task")
    elif task_id is not None:
        raise wrong("task.type", "the job of the task", None)
    return ClusterConfig(
        ClusterSpec(jobs),
        task_type,
        task_id,
        _optional(given, "environment"),
        _optional(given, "rpc_layer"),
        launch_options(given.get("launch", {}), jobs, "launch"),
        is_partial=key == "sparseCluster",
    )


def _optional(given: dict[str, Any], key: str) -> str | None:
    return None if given.get(key) is None else string(given[key], key)


_PARSE = {
    "json": lambda text: parse_json(text, no_duplicates=True),
    "toml": tomllib.loads,
}
