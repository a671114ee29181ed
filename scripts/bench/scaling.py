#!/usr/bin/env python
"""All-reduce and training over 1 to 3 hosts with slow links, beside what plain sockets reach. Needs root.

    scripts/bench/scaling.py --rate 1gbit --json scaling.json

The hosts are made on this machine (`scripts/virtual_hosts.py`): network namespaces whose links are shaped. They share
its cores, so training does not become faster with hosts here; what is measured is the communication. The limit of
an all-reduce is the time in which plain sockets send the same bytes around the same ring.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from virtual_hosts import Hosts, why_not  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", default="1gbit", help="of each link, in each direction")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if why_not():
        sys.exit(f"This machine cannot have test hosts: it lacks {why_not()}.")
    results = [run(hosts, ranks, options) for hosts, ranks in ((1, 2), (2, 1), (3, 1), (2, 2))]
    print(f"{'hosts x ranks':14}{'collectives':28}{'all-reduce':>12}{'sent':>10}{'limit':>10}{'ratio':>7}")
    for each in results:
        limit = each["limit_seconds"]
        print(
            f"{each['hosts']} x {each['ranks'] // each['hosts']:<10}{each['implementation']:28}"
            f"{each['step_seconds'] * 1e3:9.1f} ms{each['payload_bytes_of_rank_0'] / 1e6:7.1f} MB"
            + (f"{limit * 1e3:7.1f} ms{each['step_seconds'] / limit:7.2f}" if limit else f"{'-':>10}{'-':>7}")
        )
    print(
        "\ntraining 784-1024-1024-1024-10, the batch such that computing and communicating take about equal time"
    )
    for each in results:
        training = each["training"]
        steps = training["step_seconds"]
        print(
            f"{each['hosts']} x {each['ranks'] // each['hosts']:<4}"
            f"{training['examples_per_replica']:5d} examples a replica, "
            f"computing {training['computing_seconds'] * 1e3:.0f} ms, communicating "
            f"{training['communicating_seconds'] * 1e3:.0f} ms: "
            + ", ".join(
                f"{name} {seconds * 1e3:.0f} ms ({steps['at once'] / seconds:.2f}x, "
                f"{training['payload_bytes_of_rank_0'][name] / 1e6:.1f} MB)"
                for name, seconds in steps.items()
            )
        )
    if options.json:
        options.json.write_text(
            json.dumps({"rate": options.rate, "unset": machine.UNSET, "runs": results}, indent=2) + "\n"
        )


def run(num_hosts: int, ranks_per_host: int, options: argparse.Namespace) -> dict[str, Any]:
    with Hosts(num_hosts, options.rate) as hosts, tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        ended = subprocess.run(
            [
                *hosts.mpirun(Path(sys.prefix), ranks_per_host),
                *(str(HERE / "programs" / "scaling_mpi.py"), str(report), str(options.rounds)),
            ],
            # The hosts share this machine's cores: one for each replica, as far as they go.
            env={**os.environ, **machine.AS_ROOT, "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if ended.returncode or not report.exists():
            sys.exit(f"{num_hosts} hosts failed:\n{ended.stdout}{ended.stderr}")
        result: dict[str, Any] = json.loads(report.read_text())
    sockets = result["socket_bytes_per_second"]
    # What leaves a host in an all-reduce around a ring of hosts.
    sent = 2 * result["vector_bytes"] * (num_hosts - 1) / num_hosts
    result["limit_seconds"] = sent / sockets if sockets else None
    return result


if __name__ == "__main__":
    main()
