"""What `strategy_from_cluster` makes of the environment, on each rank. Rank 1 may be told something else."""

import os

import distrib

if distrib.cluster_resolver.resolve().worker == 1 and "TF_CONFIG_OF_RANK_1" in os.environ:
    os.environ["TF_CONFIG"] = os.environ["TF_CONFIG_OF_RANK_1"]
    print("FAULT FIRED", flush=True)

strategy = distrib.strategy_from_cluster()
task = distrib.cluster_resolver.resolve()
print(f"{task} of {task.num_workers}: {strategy!r} {strategy.reduce('SUM', 1.0):g}", flush=True)
