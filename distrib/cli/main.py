"""The command `distrib`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from distrib.base.errors import ConfigError, DistribError, exit_code_of
from distrib.cli import launch, ps
from distrib.cli.checkpoint import ACTIONS, inspect
from distrib.cli.doctor import diagnosis
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
    ps.add_flags(commands.add_parser("ps", help="run a parameter server until the chief has ended the job"))
    checkpoint = commands.add_parser("checkpoint", help="list, show or verify checkpoints")
    checkpoint.add_argument("action", choices=list(ACTIONS), help="; ".join(map(": ".join, ACTIONS.items())))
    checkpoint.add_argument("directory", type=Path, metavar="DIR", help="of checkpoints, or one of them")
    launch.add_flags(
        commands.add_parser(
            "launch", help="start all tasks of a cluster, here or over ssh, and see them to their end"
        )
    )
    given = parser.parse_args(arguments)
    runs = {"checkpoint": _checkpoint, "doctor": _doctor, "launch": launch.launch, "ps": ps.serve}
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
    for name, value in diagnosis():
        print(f"{name:14} {value}")
    return 0
