"""The command `distrib`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from distrib.doctor import diagnosis
from distrib.errors import ConfigError
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
    parser.parse_args(arguments)
    for name, words in diagnosis():
        print(f"{name:14} {words}")
    return 0
