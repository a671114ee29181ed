"""What `strategy_from_cluster` makes of the environment, on each rank."""

import distrib

strategy = distrib.strategy_from_cluster()
task = distrib.cluster_resolver.resolve()
print(f"{task} of {task.num_workers}: {strategy!r} {strategy.reduce('SUM', 1.0):g}", flush=True)
