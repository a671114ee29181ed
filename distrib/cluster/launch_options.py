"""The table `[launch]` of a cluster file: how `distrib launch` starts the tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from distrib.cluster.checks import Jobs
from distrib.cluster.fields import string, strings, table, wrong

STRATEGIES = ("mirrored", "central_storage", "ps-sync", "ps-async", "default")
"""The values of `strategy`."""

_SET_BY_THE_LAUNCHER = ("TF_CONFIG", "DISTRIB_CLUSTER_FILE", "DISTRIB_STRATEGY", "DISTRIB_TOKEN_FILE")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class LaunchOptions:
    """How the tasks of a cluster are started.

    Attributes:
        strategy: one of `STRATEGIES`; with ps tasks ps-sync by default, else mirrored.
        python: the interpreter on the hosts; None is that of the launcher.
        workdir: the folder on the hosts that the script is started in; None is that of the launcher.
        env: environment variables of every task.
        ssh_options: arguments of every ssh.
        ps_arguments: arguments of every `distrib ps`.
        mpirun_options: arguments of mpirun.
    """

    strategy: str = "mirrored"
    python: str | None = None
    workdir: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    ssh_options: tuple[str, ...] = ()
    ps_arguments: tuple[str, ...] = ()
    mpirun_options: tuple[str, ...] = ()


def launch_options(value: object, jobs: Jobs, path: str) -> LaunchOptions:
    """The options that a table means.

    Args:
        value: the table; an empty one means the defaults.
        jobs: addresses of the cluster's tasks by job and index.
        path: the field that holds the table, for errors.

    Raises:
        ConfigError: a key is unknown, a value is of the wrong type, or the strategy does not fit the cluster.
    """
    given = table(value, path)
    known: dict[str, Any] = {"strategy": "ps-sync" if jobs.get("ps") else "mirrored"}
    for key, item in given.items():
        where = f"{path}.{key}"
        if key in ("ssh_options", "ps_arguments", "mpirun_options"):
            known[key] = strings(item, where)
        elif key in ("strategy", "python", "workdir"):
            known[key] = string(item, where)
        elif key == "env":
            known[key] = _env(item, where)
        else:
            keys = ", ".join(LaunchOptions.__dataclass_fields__)
            raise wrong(where, f"keys of {keys}", key)
    options = LaunchOptions(**known)
    _check_strategy(options.strategy, jobs, f"{path}.strategy")
    return options


def _env(value: object, path: str) -> dict[str, str]:
    env = {}
    for name, text in table(value, path).items():
        if not _NAME.fullmatch(name):
            raise wrong(path, "names of letters, digits and _", name)
        if not isinstance(text, str) or "\0" in text:
            raise wrong(f"{path}.{name}", "a string", text)
        if name in _SET_BY_THE_LAUNCHER:
            raise wrong(f"{path}.{name}", "another name", name, "The launcher decides on this one.")
        env[name] = text
    return env


def _check_strategy(strategy: str, jobs: Jobs, path: str) -> None:
    if strategy not in STRATEGIES:
        raise wrong(path, f"one of {', '.join(STRATEGIES)}", strategy)
    if strategy.startswith("ps-") != bool(jobs.get("ps")):
        has = "has" if jobs.get("ps") else "has no"
        raise wrong(
            path, "ps-sync or ps-async with a job ps, and only then", strategy, f"The cluster {has} ps."
        )
    if strategy == "default" and len(jobs.get("chief", ())) + len(jobs.get("worker", ())) > 1:
        raise wrong(path, "another strategy for several workers", strategy, "default trains in one process.")
