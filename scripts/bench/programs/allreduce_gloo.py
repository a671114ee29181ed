"""All-reduce of float32 by PyTorch's gloo; started by `scripts/bench/allreduce.py`, once for each rank."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist


def main() -> None:
    report, sizes, rounds = (
        Path(sys.argv[1]),
        [int(size) for size in sys.argv[2].split(",")],
        int(sys.argv[3]),
    )
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    results = {}
    for size in sizes:
        vector = torch.zeros(size // 4)
        times = []
        dist.all_reduce(vector)
        for _ in range(rounds * max(3, min(300, (64 << 20) // size))):
            dist.barrier()
            begin = time.perf_counter()
            dist.all_reduce(vector)
            times.append(time.perf_counter() - begin)
        results[size] = statistics.median(times)
    if os.environ["RANK"] == "0":
        report.write_text(json.dumps({"library": f"torch {torch.__version__}", "seconds": {"gloo": results}}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
