"""The command `distrib launch`: its flags, and what they mean.

    distrib launch cluster_configs/local.toml train.py --epochs 5
    distrib launch -n 4 train.py
    distrib launch -H h1:2,h2:2 --max-restarts 3 -m package.train

Everything after the script is the script's.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import secrets
import shlex
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from distrib.base.errors import ConfigError
from distrib.cluster.config import ClusterConfig, read_config
from distrib.cluster.host_port import parse_address
from distrib.launch import hostfile
from distrib.launch.backends import ssh
from distrib.launch.backends.mpirun import check_user, find_mpi
from distrib.launch.plan import Plan, plan, taken_along
from distrib.launch.preflight import check_hosts
from distrib.launch.run.console import say
from distrib.launch.run.restart_loop import run
from distrib.launch.run.task_logs import make_folder
from distrib.launch.run_credentials import new_certificates, new_token
from distrib.launch.settings import Settings
from distrib.launch.task import supervisor


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of `distrib launch`."""
    parser.usage = (
        "distrib launch [flags] CONFIG [flags] SCRIPT ...\n"
        "       distrib launch -n N | -H HOSTS | --hostfile FILE [flags] SCRIPT ..."
    )
    parser.set_defaults(parser=parser)
    parser.add_argument(
        "-n", "-np", "--np", type=_positive, metavar="N", help="without CONFIG: number of processes"
    )
    parser.add_argument("-H", "--host", metavar="HOSTS", help="without CONFIG: where, such as h1:2,h2:2")
    parser.add_argument(
        "--hostfile", type=Path, metavar="FILE", help="without CONFIG: lines like `h1 slots=2`"
    )
    parser.add_argument(
        "--max-restarts",
        type=_count,
        default=0,
        metavar="N",
        help="start again so often when a process is lost; the script goes on from its checkpoint",
    )
    parser.add_argument(
        "--log-dir", type=Path, metavar="DIR", help="for the log of each task; runs/<time> by default"
    )
    parser.add_argument(
        "--tee", action="store_true", help="show the output of all tasks, not only the chief's"
    )
    parser.add_argument("-m", dest="module", action="store_true", help="SCRIPT is a module")
    parser.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="first see that every other host can be reached and has this distrib",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be started")
    parser.add_argument(
        "--grace",
        type=_seconds,
        default=20.0,
        metavar="SECONDS",
        help="for tasks to save and end, after SIGTERM or SIGINT (%(default)g)",
    )
    parser.add_argument(
        "--evaluator-timeout",
        type=_seconds,
        default=600.0,
        metavar="SECONDS",
        help="for the evaluator, after the chief has ended (%(default)g)",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="parameter servers without TLS, on a network that you trust"
    )
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def _give_home() -> None:
    """A home for Open MPI, which does not start without one: the user's, or else the folder of temporary files."""
    if not os.environ.get("HOME"):
        os.environ["HOME"] = home = os.path.expanduser("~")
        if not os.path.isabs(home):  # a user who is unknown here, as in a container
            os.environ["HOME"] = home = tempfile.gettempdir()
        say(f"HOME is not set, and Open MPI needs it: the tasks have HOME={home}")


def launch(given: argparse.Namespace) -> int:
    """Do what the flags say; returns the exit code.

    Args:
        given: the parsed command line.

    Raises:
        ConfigError: a flag, the cluster or the environment is invalid.
        StorageError: the logs cannot be written.
    """
    _give_home()
    config, script = _config_and_script(given)
    python = config.launch.python or sys.executable
    made = plan(config, script, python, functools.cache(ssh.is_here), given.insecure)
    mpi = find_mpi(python) if made.by_mpirun else None
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    settings = Settings(
        log_dir=given.log_dir or Path("runs") / name,
        tee=given.tee,
        grace_s=given.grace,
        evaluator_s=given.evaluator_timeout,
        command=lambda host: _supervisor(config, host, python),
        environ=taken_along(os.environ),
        secrets={},
        workdir=config.launch.workdir or os.getcwd(),
        mpi=mpi,
        ssh_options=config.launch.ssh_options,
    )
    if given.dry_run:
        _print(made, settings)
        return 0
    if mpi is not None:
        check_user(mpi, config.launch.mpirun_options, os.environ, os.geteuid())
    if given.check:
        others = dict.fromkeys(task.host for task in made.tasks if task.host != "localhost")
        check_hosts(others, python, settings.workdir, _pythonpath(config), config.launch.ssh_options)
    make_folder(settings.log_dir)
    if given.insecure:
        say("--insecure: what parameter servers and workers say to each other is not encrypted.")
    return run(made, replace(settings, secrets=_secrets(made)), name, given.max_restarts)


def _secrets(made: Plan) -> dict[str, str]:
    if not made.ps:
        return {}
    certificates = (
        new_certificates(parse_address(task.address).host for task in made.ps) if made.needs_tls else {}
    )
    return {"DISTRIB_TOKEN_FILE": new_token(), **certificates}


def _config_and_script(given: argparse.Namespace) -> tuple[ClusterConfig, list[str]]:
    if given.np is not None or given.host is not None or given.hostfile is not None:
        if given.host is not None and given.hostfile is not None:
            raise ConfigError("--hostfile: expected either -H or --hostfile. Received: both.")
        found = hostfile.hosts_of_flag(given.host) if given.host is not None else []
        found = hostfile.hosts_of_file(given.hostfile) if given.hostfile is not None else found
        config = hostfile.config_of_hosts(found, given.np)
    else:
        if not given.rest:
            raise ConfigError("CONFIG: expected a cluster file, or -n, -H or --hostfile. Received: nothing.")
        path, *rest = given.rest
        _refuse_flag(path)
        config = read_config(path)
        given.parser.parse_args(rest, given)
        if given.np is not None or given.host is not None or given.hostfile is not None:
            raise ConfigError(
                "-n, -H, --hostfile: the cluster file names processes and hosts. Leave one of both out."
            )
    script = given.rest
    if not script:
        raise ConfigError("SCRIPT: expected the script to start. Received: nothing.")
    _refuse_flag(script[0])
    if not given.module and script[0].endswith((".toml", ".json")):
        raise ConfigError(
            f"SCRIPT: expected a Python file. Received: {script[0]}. A cluster file goes without -n and -H."
        )
    if not given.module and not config.launch.workdir and not Path(script[0]).is_file():
        raise ConfigError(f"SCRIPT: expected a Python file. Received: {script[0]}, which is none here.")
    return config, ["-m", *script] if given.module else script


def _refuse_flag(word: str) -> None:
    if word.startswith("-"):
        raise ConfigError(
            f"Unknown flag {word}. See distrib launch --help; flags of the script come after it."
        )


def _supervisor(config: ClusterConfig, host: str, python: str) -> list[str]:
    if host == "localhost":
        return [sys.executable, "-I", "-S", supervisor.__file__]
    command = [python, "-m", "distrib.launch.task.supervisor"]
    workdir = config.launch.workdir or os.getcwd()
    return ssh.remote(host, command, workdir, _pythonpath(config), config.launch.ssh_options)


def _pythonpath(config: ClusterConfig) -> str:
    return config.launch.env.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))


def _print(made: Plan, settings: Settings) -> None:
    """Print what would be started. No secrets exist yet, so none can be shown."""
    for task in made.tasks:
        through = "" if task.host == "localhost" else f" through {shlex.join(settings.command(task.host))}"
        print(f"{task.name} on {task.host}{through}")
        for name, value in made.environ(task).items():
            print(f"    {name}={shlex.quote(value)}")
        if not (made.by_mpirun and task in made.trainers):
            print(f"    {shlex.join(task.command)}")
    if made.by_mpirun:
        print(f"chief and workers by\n    {shlex.join(settings.mpirun(made))}")


def _positive(text: str) -> int:
    number = _count(text)
    if not number:
        raise argparse.ArgumentTypeError("expected at least 1. Received: 0")
    return number


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 999999. Received: {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"expected seconds, at least 0. Received: {text!r}")
    return seconds
