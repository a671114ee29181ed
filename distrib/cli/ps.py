"""The command `distrib ps`: a parameter server as a process."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from distrib.base.errors import DistribError
from distrib.cluster.config import hosts_of_cluster
from distrib.cluster.launcher_env import run_name
from distrib.cluster.resolve import resolve
from distrib.host.disk_space import check_writable
from distrib.launch.local_cluster import READY, end_with_parent
from distrib.launch.task import exit_record
from distrib.ps.wire.requirements import run_token


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `distrib ps`."""
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="where to listen; port 0 is a free one. By default the address that TF_CONFIG has for this ps, or "
        "127.0.0.1:0",
    )
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="holds the token of the run")
    parser.add_argument(
        "--insecure", action="store_true", help="listen off the loopback interface without TLS"
    )
    parser.add_argument("--no-shared-memory", action="store_true", help="let everything travel through gRPC")
    parser.add_argument(
        "--checkpoint-dir", type=Path, metavar="DIR", help="save values, slots and what is done there"
    )
    parser.add_argument("--checkpoint-steps", type=int, default=100, metavar="N", help="updates between two")
    parser.add_argument("--restore", action="store_true", help="begin from the newest checkpoint in there")
    parser.add_argument(
        "--only-own", action="store_true", help="with --restore: from one of this run, or anew if it has none"
    )
    parser.add_argument(
        "--chief-timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for a chief that is gone",
    )
    parser.add_argument(
        "--ps-timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for another ps that does not answer",
    )
    parser.add_argument(
        "--with-parent", action="store_true", help="end when the process that started it ends"
    )


def serve(given: argparse.Namespace) -> int:
    """Run a parameter server until the job has ended; returns the exit code.

    Raises:
        DistribError: it could not serve, or the job has failed.
    """
    from distrib.ps.server.checkpoint_writer import CheckpointOptions
    from distrib.ps.server.server import Server, run
    from distrib.ps.server.server_options import ServerOptions

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
        options = ServerOptions(
            token=run_token(),
            insecure=given.insecure,
            share_memory=not given.no_shared_memory,
            checkpoints=checkpoints,
            chief_timeout_s=given.chief_timeout,
            ps_timeout_s=given.ps_timeout,
            others=hosts_of_cluster(os.environ),
        )
        server = Server(address, options)
        print(f"{READY}{host}:{server.port}", flush=True)
        run(server)
    except DistribError as error:
        if run_name():
            exit_record.say("ps", error.exit_code, str(error))
        raise
    if run_name():
        exit_record.say("ps")
    return 0


def _address_of_task() -> str:
    """Where this process listens if TF_CONFIG describes a ps; else a free port that only this host sees."""
    task = resolve()
    return task.cluster.task_address("ps", task.index) if task.type == "ps" else "127.0.0.1:0"
