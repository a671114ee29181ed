"""The command `distrib`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from distrib.base.errors import ConfigError, DistribError, exit_code_of
from distrib.cli import launch
from distrib.cli.checkpoint import ACTIONS, inspect
from distrib.cli.doctor import diagnosis
from distrib.cluster.config import hosts_of_cluster
from distrib.cluster.launcher_env import run_name
from distrib.cluster.resolve import resolve
from distrib.host.disk_space import check_writable
from distrib.launch.local_cluster import READY, end_with_parent
from distrib.launch.task import exit_record
from distrib.ps.wire.requirements import run_token
from distrib.version import __version__


class _Parser(argparse.ArgumentParser):
    """Ends with the exit code of a `ConfigError` where argparse would take 2."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}. See {self.prog} --help.", file=sys.stderr)
        sys.exit(ConfigError.exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the subcommands; returns the exit code.

    Args:
        arguments: the command line without the program's name; that of this process by default.
    """
    parser = _Parser(prog="distrib", description="Data-parallel training on many processes.")
    parser.add_argument("--version", action="version", version=f"distrib {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True)
    commands.add_parser(
        "doctor",
        help="print what this machine offers: MPI, cores, BLAS, shared memory, and what 'auto' would choose",
    )
    ps = commands.add_parser("ps", help="be a parameter server until the chief has ended the job")
    ps.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="where to listen; port 0 is a free one. By default the address that TF_CONFIG has for this ps, or "
        "127.0.0.1:0",
    )
    ps.add_argument("--token-file", type=Path, metavar="FILE", help="holds the token of the run")
    ps.add_argument("--insecure", action="store_true", help="listen off the loopback interface without TLS")
    ps.add_argument("--no-shared-memory", action="store_true", help="let everything travel through gRPC")
    ps.add_argument(
        "--checkpoint-dir", type=Path, metavar="DIR", help="save values, slots and what is done there"
    )
    ps.add_argument("--checkpoint-steps", type=int, default=100, metavar="N", help="updates between two")
    ps.add_argument("--restore", action="store_true", help="begin from the newest checkpoint in there")
    ps.add_argument(
        "--only-own", action="store_true", help="with --restore: from one of this run, or anew if it has none"
    )
    ps.add_argument(
        "--chief-timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for a chief that is gone",
    )
    ps.add_argument(
        "--ps-timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for another ps that does not answer",
    )
    ps.add_argument("--with-parent", action="store_true", help="end when the process that started it ends")
    checkpoint = commands.add_parser("checkpoint", help="list, show or verify checkpoints")
    checkpoint.add_argument("action", choices=list(ACTIONS), help="; ".join(map(": ".join, ACTIONS.items())))
    checkpoint.add_argument("directory", type=Path, metavar="DIR", help="of checkpoints, or one of them")
    launch.add_flags(
        commands.add_parser(
            "launch", help="start all tasks of a cluster, here or over ssh, and see them to their end"
        )
    )
    given = parser.parse_args(arguments)
    runs = {"checkpoint": _checkpoint, "doctor": _doctor, "launch": launch.launch, "ps": _ps}
    try:
        return runs[given.command](given)
    except DistribError as error:
        print(f"distrib {given.command}: {error}", file=sys.stderr)
        return exit_code_of(error)
    except KeyboardInterrupt:
        print(f"distrib {given.command}: interrupted", file=sys.stderr)
        return exit_code_of(KeyboardInterrupt())


def _checkpoint(given: argparse.Namespace) -> int:
    inspect(given.action, given.directory)
    return 0


def _doctor(given: argparse.Namespace) -> int:
    for name, words in diagnosis():
        print(f"{name:14} {words}")
    return 0


def _address_of_task() -> str:
    """Where this process listens if TF_CONFIG describes a ps; else a free port that only this host sees."""
    task = resolve()
    return task.cluster.task_address("ps", task.index) if task.type == "ps" else "127.0.0.1:0"


def _ps(given: argparse.Namespace) -> int:
    from distrib.ps.server.checkpoint_writer import CheckpointOptions
    from distrib.ps.server.server import run

    if given.token_file:
        os.environ["DISTRIB_TOKEN_FILE"] = str(given.token_file)
    if given.with_parent:
        end_with_parent()
    checkpoints = None
    if given.checkpoint_dir:
        check_writable(given.checkpoint_dir)
        start = exit_record.run_of(os.environ) if run_name() else ""
        checkpoints = CheckpointOptions(
            given.checkpoint_dir, given.checkpoint_steps, given.restore, start, given.only_own
        )
    address = given.address or _address_of_task()
    host = address.rpartition(":")[0]
    try:
        run(
            address,
            run_token(),
            given.insecure,
            not given.no_shared_memory,
            checkpoints,
            given.chief_timeout,
            given.ps_timeout,
            lambda port: print(f"{READY}{host}:{port}", flush=True),
            hosts_of_cluster(os.environ),
        )
    except DistribError as error:
        if run_name():
            exit_record.say("ps", error.exit_code, str(error))
        raise
    if run_name():
        exit_record.say("ps")
    return 0
