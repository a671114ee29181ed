#!/usr/bin/env python
"""Long fault campaigns. Small, seeded samples of them are in the tests.

scripts/campaign.py ps          # 10 000 pushes, 10 % lost answers, 1 % duplicates, 5 kills of the ps
scripts/campaign.py messages    # 10 000 mutated messages
scripts/campaign.py checkpoint  # 1000 flipped bits, 200 kills of a process that saves
scripts/campaign.py roles       # 50 kills of chief, worker, ps, evaluator, mpirun and launcher in turn
scripts/campaign.py ends        # 20 runs of all roles that nothing happens to
scripts/campaign.py strangers   # 10 000 bad connections and calls to the ports of MPI jobs and of a ps job, each
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def main() -> None:
    """Run one campaign; exits with 1 if it fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("campaign", choices=list(CAMPAIGNS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--count", type=int, help="how much; of checkpoint, the flipped bits, and 1/5 are kills"
    )
    options = parser.parse_args()
    campaign, count = CAMPAIGNS[options.campaign]
    options.count = options.count or count
    sys.exit(not campaign(options))


def pushes(options: argparse.Namespace) -> bool:
    """Weights equal to a replay of what survived, bit for bit."""
    campaign = importlib.import_module("campaigns.pushes")
    with tempfile.TemporaryDirectory() as folder:
        weights, replayed, faults = campaign.Campaign(
            Path(folder), options.count, num_workers=3, lost=0.1, duplicated=0.01, kills=5, seed=options.seed
        ).run()
    same = weights.tobytes() == replayed.tobytes()
    print(f"{options.count} pushes, {faults}: weights {'equal' if same else 'DIFFER FROM'} the replay")
    return bool(same)


def messages(options: argparse.Namespace) -> bool:
    """No crash, no growth over 64 MB, no change of weights by a refused message."""
    fuzz = importlib.import_module("campaigns.messages")
    begin = time.monotonic()
    outcomes, grown = fuzz.fuzz(options.count, options.seed)
    for (call, outcome), count in sorted(outcomes.items()):
        print(f"{count:6} of {call} {outcome}")
    print(
        f"{options.count} messages in {time.monotonic() - begin:.0f} s: no crash, no weight changed by a "
        f"refused one, memory grew by {grown / 2**20:.0f} MB"
    )
    return bool(grown < 64 << 20)


def checkpoints(options: argparse.Namespace) -> bool:
    """Every flipped bit is refused by name or harmless; after every kill there is a whole checkpoint."""
    campaign = importlib.import_module("campaigns.checkpoints")
    kills = options.count // 5
    with tempfile.TemporaryDirectory() as folder:
        refused, harmless = campaign.flip_bits(Path(folder) / "bits", options.count, options.seed)
        print(f"{options.count} flipped bits: {refused} refused by name, {harmless} harmless", flush=True)
        torn = campaign.kill_savers(Path(folder) / "kills", kills, options.seed)
    print(f"{kills} kills, {torn} of them while a folder was being written: always a whole checkpoint")
    return torn > 0


def roles(options: argparse.Namespace) -> bool:
    """No hang, no wrong success, no process left over."""
    campaign = importlib.import_module("campaigns.roles")
    hits = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.count):
            strategy, victim = campaign.ROUNDS[number % len(campaign.ROUNDS)]
            code, alive = campaign.kill_one(
                Path(folder) / str(number), strategy, victim, options.seed + number
            )
            hits += alive
            print(
                f"{number:4} {strategy:15} {victim:11} exit code {code}{'' if alive else ', came too late'}",
                flush=True,
            )
    print(f"{options.count} rounds, {hits} kills: no hang, no wrong success, nothing left over")
    return hits >= 0.9 * options.count


def ends(options: argparse.Namespace) -> bool:
    """Every role ends within 2 s of the chief's script, with 0, and nothing is left."""
    campaign = importlib.import_module("campaigns.roles")
    strategies, longest = list(campaign.VICTIMS), 0.0
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for number in range(options.count):
            strategy = strategies[number % len(strategies)]
            seconds = campaign.end_well(Path(folder) / str(number), strategy)
            longest = max(longest, seconds)
            print(f"{number:4} {strategy:15} {seconds:.2f} s", flush=True)
    print(f"{options.count} runs: all ended with 0, the last process {longest:.2f} s after the chief at most")
    return longest < 2.0


def strangers(options: argparse.Namespace) -> bool:
    """The right weights and exit codes, with bad connections to every port."""
    campaign = importlib.import_module("campaigns.strangers")
    with tempfile.TemporaryDirectory() as folder:
        for number, job in enumerate(campaign.JOBS):
            begin = time.monotonic()
            made = campaign.run(Path(folder) / str(number), job, options.count, options.seed)
            print(
                f"{job}: {made} connections and calls in {time.monotonic() - begin:.0f} s: the right weights, code 0"
            )
    return True


CAMPAIGNS = {
    "strangers": (strangers, 10_000),
    "ps": (pushes, 10_000),
    "messages": (messages, 10_000),
    "checkpoint": (checkpoints, 1000),
    "roles": (roles, 50),
    "ends": (ends, 20),
}

if __name__ == "__main__":
    main()
