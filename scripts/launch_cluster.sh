#!/usr/bin/env bash
# Start all tasks of a cluster on its hosts, and see them to their end: the multi-host launch.
#
#     scripts/launch_cluster.sh [flags] cluster_configs/three_hosts.toml train.py --epochs 5
#
# First every host is asked by ssh (yours, with its settings and agent; it must not want a password) whether it has the
# same distrib. The rest, and all flags, are those of `distrib launch`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# The environment: the one you name, else the active one, else that of this folder.
python=${DISTRIB_PYTHON:-${VIRTUAL_ENV:-$root/.venv}/bin/python}
if ! "$python" -c 'import distrib' 2>/dev/null; then
  echo "No environment with distrib: $python. Activate one, run scripts/quickstart, or set DISTRIB_PYTHON." >&2
  exit 64
fi

exec "$python" -m distrib launch --check "$@"
